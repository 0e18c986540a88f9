"""A tiny simulated data set for tests of several rooms."""

from dataclasses import dataclass
from pathlib import Path

TINY = (
    "preprocess.rows=128",
    "preprocess.columns=64",
    "detector.anchor_sizes=[[6, 9], [12, 16], [22, 30]]",
    "schedule.epochs=4",
    "schedule.steps_per_epoch=3",
    "batch.size=4",
    "selection.min_hit_radius=5.3",
    "precision=32-true",
    "threads=1",
    "joint.size=0",
    "joint.batch_norm=own",
)
"""Overrides of the demo preset for the tiny exams; students are plain unless a test mixes mammograms in."""


@dataclass(frozen=True)
class Exams:
    """Folders of a tiny simulated data set, indexed and prepared."""

    bcs_dbt: Path
    vindr_mammo: Path
    manifests: Path
    stores: Path

    @property
    def teacher_data(self) -> list[str]:
        return [*TINY, f"data.mammograms={self.stores / 'vindr-mammo'}"]

    @property
    def student_data(self) -> list[str]:
        return [*self.teacher_data, f"data.tomosynthesis={self.stores / 'bcs-dbt'}"]
