"""BCS-DBT, the public tomosynthesis set of Duke University on TCIA, as a manifest.

Boxes are in the corrected orientation (a stored volume may be turned by 180 degrees against it), which has
the size of the stored frames, so nothing is turned here. Of a benign or cancer study the release holds only
the views in which the lesion was boxed, so a study need not have four views, nor one of each kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.bcs_dbt.files import locate_volumes, require_found
from comoto.datasets.bcs_dbt.tables import (
    IMAGE_REMEDY,
    KEY,
    ParsedTable,
    SplitTables,
    labelled_volumes,
    read_bcs_dbt_tables,
    volume_ids,
)
from comoto.datasets.reading.boxes import CORNERS, clip_to_image, counted_once
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, Words, require_known
from comoto.datasets.reading.tables import Table
from comoto.dicom.read import DicomHeader, read_header
from comoto.errors import DatasetError
from comoto.progress import track
from comoto.records import LESION_COLUMNS, Manifest, Modality, Split

_WITH_LESION = ("benign", "cancer")


_SplitContent = tuple[pd.DataFrame, ParsedTable | None]
"""One split, joined: volumes of labels and paths, and the boxes (None: no lesion anywhere)."""


class BcsDbtOptions(AllowMissing):
    """Options of ``read_bcs_dbt``."""

    about = DatasetAbout(
        name="bcs-dbt",
        title="Breast Cancer Screening, Digital Breast Tomosynthesis (Duke University)",
        modalities=("DBT",),
        boxes="435 boxes, one slice each",
        access="open: TCIA, IDC",
        licence="CC BY-NC 4.0",
        commercial_use="no",
        citation=(
            "Buda M, Saha A, Walsh R, Ghate S, Li N, Swiecicki A, Lo JY, Mazurowski MA. A Data Set and Deep "
            "Learning Algorithm for the Detection of Masses and Architectural Distortions in Digital Breast "
            "Tomosynthesis Images. JAMA Network Open 4(8), 2021. Data: doi.org/10.7937/E4WT-CD02"
        ),
        url="https://www.cancerimagingarchive.net/collection/breast-cancer-screening-dbt/",
        notes=(
            "22,032 volumes of 5,060 patients, 1.6 TB. Boxes mark biopsied masses and distortions. "
            "Official training, validation and test splits. Of a positive study only the views with a box "
            "are released."
        ),
    )

    tables: Path | None = None
    """Folder of the CSV tables, if it is not the folder of the images."""
    actionable: Literal["keep", "leave-out"] = "keep"
    """Volumes with a finding that was recalled but not biopsied: they have no box, although there is
    something to see."""
    exclude: Words = ()
    """Volumes that are left out wholly, PATIENT_STUDY_VIEW: the way out where a row of theirs is wrong."""


def read_bcs_dbt(root: Path, options: BcsDbtOptions) -> Manifest:
    """Read the release's tables and find its volumes on disk.

    A split is read if its labels and file paths are there. Headers are read of the volumes that have a box,
    and of files whose folders do not name their series.

    Args:
        root: any folder above the DICOM files; any of the download layouts.
        options: what is read.

    Returns:
        One image per volume; ``label`` is normal, actionable, benign or cancer; lesions are half-open boxes
        in the corrected orientation, clipped to the image.

    Raises:
        ConfigError: an excluded volume is in no table.
        DatasetError: a table is missing or wrong, volumes are not on disk, or a box lies outside of its
            volume; the message names file, lines and remedy.
        DicomError: the file of a volume with a box cannot be read.
    """
    folder = options.tables or root
    ledger = Ledger()
    if options.exclude:
        ledger.note(*require_known("bcs-dbt", options.exclude, labelled_volumes(folder)))
    contents = _contents(folder, read_bcs_dbt_tables(folder, options.exclude), ledger)
    wanted = pd.concat([volumes for volumes, _ in contents.values()], ignore_index=True)
    located = locate_volumes(root, wanted, ledger)
    require_found(root, wanted, located, options.allow_missing)
    images, lesions = [], []
    for split, (volumes, parsed) in contents.items():
        present = _present(split, volumes, located, options, ledger)
        boxes = _boxes(parsed, present, located, ledger)
        images.append(_images(split, present, boxes, located))
        lesions.append(boxes)
    return Manifest(
        "bcs-dbt",
        pd.concat(images, ignore_index=True),
        pd.concat(lesions, ignore_index=True),
        ledger.notes,
        ledger.dropped,
    )


def _contents(folder: Path, tables: dict[Split, SplitTables], ledger: Ledger) -> dict[Split, _SplitContent]:
    contents: dict[Split, _SplitContent] = {}
    for split, found in tables.items():
        if found.labels is None or found.paths is None:
            absent = "labels" if found.labels is None else "file-paths"
            ledger.drop(f"{split}: the whole split, because {folder} holds no {absent} table of it")
            continue
        contents[split] = _joined(split, found.labels, found.paths, found.boxes, ledger)
    if not contents:
        raise DatasetError(
            f"{folder}: no split has both a labels and a file-paths table ({'; '.join(ledger.dropped)}); "
            "download the missing tables from the collection's page"
        )
    return contents


def _present(
    split: Split, volumes: pd.DataFrame, located: dict[str, Path], options: BcsDbtOptions, ledger: Ledger
) -> pd.DataFrame:
    """Return the volumes that are on disk and wanted, and say what was left out."""
    present = volumes[volumes["series_uid"].isin(list(located))]
    if len(present) < len(volumes):
        absent = len(volumes) - len(present)
        ledger.drop(f"{split}: {absent} of {len(volumes)} volumes, because they are not on disk")
    if options.actionable == "keep":
        return present
    wanted = present["label"] != "actionable"
    ledger.note(f"{split}: {int((~wanted).sum())} actionable volumes are left out, as asked for")
    return present[wanted]


def _joined(
    split: Split, labels: ParsedTable, paths: ParsedTable, boxes: ParsedTable | None, ledger: Ledger
) -> _SplitContent:
    volumes = labels.rows.merge(paths.rows, on=KEY, how="left", validate="one_to_one")
    volumes.index = labels.rows.index
    labels.table.refuse(
        volumes["series_uid"].isna(),
        f"the volume has no row in {paths.table.path.name}",
        "use tables of the same release",
    )
    labelled = pd.MultiIndex.from_frame(volumes[KEY])
    unlabelled = ~pd.MultiIndex.from_frame(paths.rows[KEY]).isin(labelled)
    if unlabelled.any():
        lines = list(paths.rows.index[unlabelled])
        ledger.drop(f"{paths.table.path.name}: no label for the volume, in {lines_text(lines)}")
    positive = volumes["label"].isin(_WITH_LESION)
    if boxes is None and positive.any():
        raise DatasetError(
            f"{labels.table.path}: {int(positive.sum())} volumes are benign or cancer, but there is no boxes "
            f"table of the {split} split beside it; download it, or lesions would pass for healthy tissue"
        )
    if boxes is not None:
        _note_disagreements(labels, volumes, positive, boxes, ledger)
    return volumes, boxes


def _note_disagreements(
    labels: ParsedTable, volumes: pd.DataFrame, positive: pd.Series[bool], boxes: ParsedTable, ledger: Ledger
) -> None:
    """Say where labels and boxes do not tell the same; in the release they do."""
    boxed = pd.MultiIndex.from_frame(volumes[KEY]).isin(pd.MultiIndex.from_frame(boxes.rows[KEY]))
    for wrong, what in (
        (positive & ~boxed, "is benign or cancer but has no box"),
        (~positive & boxed, "has a box but is neither benign nor cancer"),
    ):
        lines = list(volumes.index[wrong])
        if lines:
            ledger.note(f"{labels.table.path.name}: the volume {what} in {lines_text(lines)}")


def _boxes(
    parsed: ParsedTable | None, present: pd.DataFrame, located: dict[str, Path], ledger: Ledger
) -> pd.DataFrame:
    """Return the boxes of the present volumes, clipped, with ``image_id`` and the real ``num_slices``."""
    if parsed is None:
        return pd.DataFrame({name: [] for name in [*LESION_COLUMNS, "num_slices"]})
    table = parsed.table
    boxes = parsed.rows.reset_index().merge(present[[*KEY, "series_uid"]], on=KEY, how="inner")
    boxes = boxes.set_index("line").sort_index()
    series = list(dict.fromkeys(boxes["series_uid"]))
    headers = _headers(series, located)
    columns, rows, frames = (
        pd.Series(
            [getattr(headers[uid], name) for uid in boxes["series_uid"]], index=boxes.index, dtype="int64"
        )
        for name in ("columns", "rows", "num_frames")
    )
    of_boxes = Table(table.path, boxes)
    of_boxes.refuse(
        (boxes["num_slices"] != frames).fillna(False),
        "VolumeSlices is not the number of frames in the file",
        "download the volumes of these rows again",
    )
    of_boxes.refuse(boxes["slice_index"] >= frames, "Slice is beyond the last frame", "correct the table")
    boxes[CORNERS] = clip_to_image(table, boxes[CORNERS], columns, rows, IMAGE_REMEDY, ledger)
    boxes["num_slices"] = frames
    boxes["image_id"] = volume_ids(boxes)
    _refuse_two_classes(table, boxes)
    return counted_once(table, boxes, ledger)


def _refuse_two_classes(table: Table, boxes: pd.DataFrame) -> None:
    """A lesion is benign or cancer; nobody but the release can say which where rows of one box differ."""
    same_box = boxes.groupby([*KEY, "slice_index", *CORNERS])["category"]
    Table(table.path, boxes).refuse(
        same_box.transform("nunique") > 1, "the same box is benign and cancer", IMAGE_REMEDY
    )


def _headers(series: list[str], located: dict[str, Path]) -> dict[str, DicomHeader]:
    if not series:
        return {}
    tracked = track(series, "read headers of volumes with a box", len(series))
    return {uid: _header(located[uid], uid) for uid in tracked}


def _header(path: Path, series_uid: str) -> DicomHeader:
    header = read_header(path)
    header.require_volume()
    if header.series_instance_uid != series_uid:
        raise DatasetError(
            f"{path}: holds series {header.series_instance_uid}, but its place in the folders is that of "
            f"{series_uid}; download it again"
        )
    return header


def _images(
    split: Split, volumes: pd.DataFrame, boxes: pd.DataFrame, located: dict[str, Path]
) -> pd.DataFrame:
    image_ids = volume_ids(volumes)
    num_slices = boxes.groupby("image_id")["num_slices"].first()
    return pd.DataFrame(
        {
            "image_id": image_ids,
            "modality": Modality.TOMOSYNTHESIS.value,
            "patient_id": volumes["PatientID"],
            "study_id": volumes["StudyUID"],
            "view_key": volumes["View"],
            "laterality": volumes["laterality"],
            "view": volumes["view"],
            "split": split.value,
            "label": volumes["label"],
            "path": [str(located[uid]) for uid in volumes["series_uid"]],
            "num_slices": image_ids.map(num_slices).astype("Int64"),
        }
    )
