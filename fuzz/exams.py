"""Simulated volumes and their manifest, for ``fuzz/kill.py`` and ``fuzz/damage.py``."""

from __future__ import annotations

from pathlib import Path


def write_exams(folder: Path, size: str, patients: int, lesion_share: float) -> None:
    """Write volumes, one a patient, as ``exams`` and their manifest as ``manifest``."""
    from comoto import api
    from comoto.records import save_manifest

    cohort = {
        "mammography.training_patients": 0,
        "mammography.test_patients": 0,
        "tomosynthesis.train_patients": patients,
        "tomosynthesis.validation_patients": 0,
        "tomosynthesis.test_patients": 0,
        "tomosynthesis.lesion_share": lesion_share,
        "tomosynthesis.views_per_study": 1,
    }
    paths = api.simulate(folder / "exams", size=size, values=cohort, workers=1)
    save_manifest(api.index("bcs-dbt", paths.bcs_dbt), folder / "manifest")
