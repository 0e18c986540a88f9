"""The tables of BCS-DBT and VinDr-Mammo, with the file names and columns of the real releases."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from comoto.output_files import write_text
from comoto.records import Split
from comoto.simulation.cohort import MammogramCase, TomosynthesisCase

FILE_PATHS_COLUMNS = ("PatientID", "StudyUID", "View", "descriptive_path", "classic_path")
LABELS_COLUMNS = ("PatientID", "StudyUID", "View", "Normal", "Actionable", "Benign", "Cancer")
BOXES_COLUMNS = (
    *("PatientID", "StudyUID", "View", "Subject", "Slice"),
    *("X", "Y", "Width", "Height", "Class", "AD", "VolumeSlices"),
)
BREAST_COLUMNS = (
    *("study_id", "series_id", "image_id", "laterality", "view_position", "height", "width"),
    *("breast_birads", "breast_density", "split"),
)
FINDING_COLUMNS = (
    *("study_id", "series_id", "image_id", "laterality", "view_position", "height", "width"),
    *("breast_birads", "breast_density", "finding_categories", "finding_birads"),
    *("xmin", "ymin", "xmax", "ymax", "split"),
)
BCS_DBT_TABLES = {
    Split.TRAIN: (
        "BCS-DBT-file-paths-train-v2.csv",
        "BCS-DBT-labels-train-v2.csv",
        "BCS-DBT-boxes-train-v2.csv",
    ),
    Split.VALIDATION: (
        "BCS-DBT-file-paths-validation-v2.csv",
        "BCS-DBT-labels-validation-PHASE-2-Jan-2024.csv",
        "BCS-DBT-boxes-validation-v2-PHASE-2-Jan-2024.csv",
    ),
    Split.TEST: (
        "BCS-DBT-file-paths-test-v2.csv",
        "BCS-DBT-labels-test-PHASE-2.csv",
        "BCS-DBT-boxes-test-v2-PHASE-2-Jan-2024.csv",
    ),
}
"""File names of (file paths, labels, boxes) of each split."""
COLLECTION = "Breast-Cancer-Screening-DBT"
Finding = dict[str, float]
"""One mass: ``x1 y1 x2 y2`` in pixels of the corrected orientation; ``slice``, ``num_slices`` in volumes."""


def classic_path(case: TomosynthesisCase) -> str:
    """Return the path that the table calls classic."""
    return f"{COLLECTION}/{case.patient_id}/{case.study_uid}/{case.series_uid}/1-1.dcm"


def descriptive_path(case: TomosynthesisCase, on_disk: bool = False) -> str:
    """Return the path that the table calls descriptive; newer downloads have ``-NA-`` in it ``on_disk``."""
    study = f"01-01-2000-{case.study_alias}-{case.study_description}-{case.study_uid[-5:]}"
    missing = "NA-" if on_disk else ""
    series = f"{case.series_number}.000000-{missing}{case.series_uid[-5:]}"
    return f"{COLLECTION}/{case.patient_id}/{study}/{series}/1-1.dcm"


def write_bcs_dbt_tables(
    root: Path, cases: Sequence[TomosynthesisCase], findings: dict[tuple[int, int], list[Finding]]
) -> None:
    """Write the three tables of every split; ``findings`` are keyed by ``case.key``."""
    for split, (paths_name, labels_name, boxes_name) in BCS_DBT_TABLES.items():
        chosen = [case for case in cases if case.split is split]
        write_table(
            root / paths_name,
            FILE_PATHS_COLUMNS,
            ((*_join_key(case), descriptive_path(case), classic_path(case)) for case in chosen),
        )
        write_table(root / labels_name, LABELS_COLUMNS, (_label_row(case) for case in chosen))
        write_table(
            root / boxes_name,
            BOXES_COLUMNS,
            (
                _box_row(case, finding, distortion=distortion)
                for case in chosen
                for finding, distortion in zip(findings[case.key], case.distortions, strict=True)
            ),
        )


def write_vindr_tables(
    root: Path,
    cases: Sequence[MammogramCase],
    findings: dict[tuple[int, int], list[Finding]],
    shape: tuple[int, int],
) -> None:
    """Write both tables; ``shape`` is (rows, columns) of every image."""
    write_table(
        root / "breast-level_annotations.csv",
        BREAST_COLUMNS,
        ((*_image_columns(case, shape), case.split) for case in cases),
    )
    write_table(
        root / "finding_annotations.csv",
        FINDING_COLUMNS,
        (row for case in cases for row in _finding_rows(case, findings[case.key], shape)),
    )


def _join_key(case: TomosynthesisCase) -> tuple[str, str, str]:
    return case.patient_id, case.study_alias, case.view_key


def _label_row(case: TomosynthesisCase) -> tuple[object, ...]:
    return (*_join_key(case), *(int(case.label == name) for name in LABELS_COLUMNS[3:]))


def _box_row(case: TomosynthesisCase, finding: Finding, *, distortion: bool) -> tuple[object, ...]:
    x1, y1, x2, y2 = (round(finding[name]) for name in ("x1", "y1", "x2", "y2"))
    return (
        *_join_key(case),
        case.subject,
        round(finding["slice"]),
        *(x1, y1, x2 - x1, y2 - y1),
        case.label.lower(),
        int(distortion),
        round(finding["num_slices"]),
    )


def _image_columns(case: MammogramCase, shape: tuple[int, int]) -> tuple[object, ...]:
    return (
        *(case.study_id, case.series_id, case.image_id, case.laterality.value, case.view.value, *shape),
        *(f"BI-RADS {case.birads}", f"DENSITY {case.breast.density}"),
    )


def _finding_rows(
    case: MammogramCase, findings: list[Finding], shape: tuple[int, int]
) -> Iterable[tuple[object, ...]]:
    if not findings:
        yield (*_image_columns(case, shape), "['No Finding']", "", "", "", "", "", case.split)
    for finding, words in zip(findings, case.finding_words, strict=True):
        box = (round(finding[name], 10) for name in ("x1", "y1", "x2", "y2"))
        yield (*_image_columns(case, shape), str(words), f"BI-RADS {case.birads}", *box, case.split)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV table; the name appears when it is complete."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())
