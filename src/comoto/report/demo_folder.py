"""The folder that ``comoto demo`` leaves behind: where things lie in it and what it says of itself.

The parts that the report reads::

    exams/bcs-dbt, exams/vindr-mammo      simulated DICOM files and tables
    manifests/<data set>                  what ``comoto index`` made of them
    runs/teacher, runs/<student>
    predictions/<name>.csv                of the students on the test volumes, teacher.csv on mammograms
    evaluation/<student>.json             the challenge's metrics with bootstrap; teacher.json on mammograms
    demo.json                             see ``DemoAbout``
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from comoto.checksums import read_json_object
from comoto.config.explain import first_problem
from comoto.config.models import Positive, StrictModel
from comoto.errors import DatasetError
from comoto.preprocessing.store import read_json
from comoto.records import Manifest
from comoto.report.training_runs import ReportedRun, read_run
from comoto.report.wording import mebibytes, seconds
from comoto.training.log_file import LOG

FORMAT = "comoto-demo-2"
_FORMER = "comoto-demo-1"
TEACHER = "teacher"
STUDENTS = {
    "fine-tuned": "Fine-tuned",
    "scratch": "From scratch",
    "comoto": "CoMoTo (LsKD)",
    "joint-training": "MAF (the recipe)",
}
"""Folder name and title of each student; the first is the reference that each other is compared with."""
MAMMOGRAMS, TOMOSYNTHESIS = "vindr-mammo", "bcs-dbt"


class Stage(StrictModel):
    """What one step of the demo took."""

    name: str
    seconds: Annotated[float, Field(ge=0)]
    peak_mib: Annotated[int | float, Field(ge=0)] | None
    """Highest resident memory of the demo and its child processes together; None where not measured."""


class DemoAbout(BaseModel):
    """What the report needs of ``demo.json``; further keys belong to the demo itself."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    seed: int
    size: str
    fraction: Annotated[float, Field(gt=0, le=1)]
    """Share of the tomosynthesis training patients that the students see."""
    min_hit_radius: Positive
    """Least radius in source pixels within which a detection hits."""
    pixel_mm: Positive
    """Side of a source pixel in the plane of the slice."""
    slice_mm: Positive
    """Distance of neighbouring slices."""
    started: str
    """When the demo began, as ISO 8601."""
    command: str | None
    """The command line; None where it was called from Python."""
    stages: tuple[Stage, ...]
    versions: str | None = None
    """One line per package; None where the demo did not note them."""
    machine: str


def read_demo_json(path: Path) -> dict[str, Any]:
    """Read ``demo.json``.

    Raises:
        DatasetError: it is damaged or was changed.
    """
    return read_json_object(path, DatasetError, "run 'comoto demo' into a new folder", (_FORMER,))


class DemoFolder:
    """Read access to a finished demo folder.

    Attributes:
        root: the folder.
        about: ``demo.json``.

    Raises:
        DatasetError: ``demo.json`` is missing or says something else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        path = self.file("demo.json")
        try:
            self.about = DemoAbout.model_validate(read_demo_json(path))
        except ValidationError as error:
            problem = first_problem(error, "the file")
            raise DatasetError(f"{path}: {problem}; run 'comoto demo' again into a new folder") from error

    def file(self, name: str) -> Path:
        """Return the path of a file that has to be there.

        Raises:
            DatasetError: it is not.
        """
        path = self.root / name
        if not path.is_file():
            raise DatasetError(
                f"{path}: is missing, so the demo is not finished; run 'comoto demo --out {self.root}' again"
            )
        return path

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON object.

        Raises:
            DatasetError: the file is missing or holds something else.
        """
        return read_json(self.file(name))

    def manifest(self, name: str) -> Manifest:
        """Read the manifest of a data set."""
        return Manifest.load(self.file(f"manifests/{name}/manifest.json").parent)

    def run(self, name: str) -> ReportedRun:
        """Read what a training run says of itself.

        Raises:
            DatasetError: a file is missing or damaged.
            CheckpointError: the description of the checkpoint is damaged.
        """
        files = [
            self.file(f"runs/{name}/{file}") for file in ("config.yaml", "checkpoint.json", "split.json", LOG)
        ]
        return read_run(files[0].parent)


def stage_table(stages: Sequence[Stage]) -> dict[str, Any]:
    """Return the stages in words, their sum, and each one's share of the longest, for a bar."""
    longest = max((stage.seconds for stage in stages), default=0.0) or 1.0
    peaks = [stage.peak_mib for stage in stages if stage.peak_mib is not None]
    return {
        "rows": [
            {
                "name": stage.name,
                "seconds": seconds(stage.seconds),
                "percent": round(100 * stage.seconds / longest, 1),
                "peak": "" if stage.peak_mib is None else mebibytes(stage.peak_mib),
            }
            for stage in stages
        ],
        "total": seconds(sum(stage.seconds for stage in stages)),
        "peak": mebibytes(max(peaks)) if peaks else "",
    }
