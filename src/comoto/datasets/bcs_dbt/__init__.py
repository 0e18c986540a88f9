"""BCS-DBT, the public tomosynthesis set of Duke University on TCIA, as a manifest.

Boxes are in the corrected orientation (a stored volume may be turned by 180 degrees against it), which has
the size of the stored frames, so nothing is turned here. Of a benign or cancer study the release holds only
the views in which the lesion was boxed, so a study need not have four views, nor one of each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.bcs_dbt.files import LocatedVolumes, locate_volumes, require_found
from comoto.datasets.bcs_dbt.tables import (
    IMAGE_REMEDY,
    KEY,
    BoxTable,
    LabelTable,
    PathTable,
    SplitTables,
    labelled_volumes,
    read_bcs_dbt_tables,
    volume_ids,
)
from comoto.datasets.reading.boxes import CORNERS, clip_to_image, counted_once
from comoto.datasets.reading.options import excluded_images, one_of, require_known
from comoto.datasets.reading.tables import Table
from comoto.dicom.read import DicomHeader, read_header
from comoto.errors import DatasetError
from comoto.progress import track
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Manifest, Modality, Split

_WITH_LESION = ("benign", "cancer")
_ACTIONABLE = ("keep", "leave-out")


@dataclass(frozen=True)
class _SplitContent:
    """One split, joined: ``volumes`` of labels and paths, and the boxes (None: no lesion anywhere)."""

    volumes: pd.DataFrame
    boxes: BoxTable | None


@dataclass(frozen=True)
class _Said:
    """What goes beside the tables of a manifest: ``notes`` and ``dropped``."""

    notes: list[str]
    dropped: list[str]


def read_bcs_dbt(
    root: Path,
    *,
    tables: Path | None = None,
    allow_missing: bool = False,
    actionable: str = "keep",
    exclude: str | Sequence[str] | None = None,
) -> Manifest:
    """Read the release's tables and find its volumes on disk.

    A split is read if its labels and file paths are there. Headers are read of the volumes that have a box,
    and of files whose folders do not name their series.

    Args:
        root: any folder above the DICOM files; any of the download layouts.
        tables: folder of the CSV tables, ``root`` if not given.
        allow_missing: leave out volumes that are not on disk, and say so, instead of refusing.
        actionable: ``keep``, or ``leave-out`` for the volumes with a finding that was recalled but not
            biopsied: they have no box, although there is something to see.
        exclude: volumes that are left out wholly, ``PatientID_StudyUID_View`` with commas: the way out where
            a row of theirs is wrong.

    Returns:
        One image per volume; ``label`` is normal, actionable, benign or cancer; lesions are half-open boxes
        in the corrected orientation, clipped to the image.

    Raises:
        ConfigError: ``actionable`` is another word, or an excluded volume is in no table.
        DatasetError: a table is missing or wrong, volumes are not on disk, or a box lies outside of its
            volume; the message names file, lines and remedy.
        DicomError: the file of a volume with a box cannot be read.
    """
    root = Path(root).absolute()
    folder = root if tables is None else Path(tables)
    keep = one_of("bcs-dbt", "actionable", actionable, _ACTIONABLE) == "keep"
    said = _Said([], [])
    excluded = excluded_images("bcs-dbt", exclude)
    if excluded:
        said.notes.extend(require_known("bcs-dbt", excluded, labelled_volumes(folder)))
    contents = _contents(folder, read_bcs_dbt_tables(folder, excluded), said)
    wanted = pd.concat([content.volumes for content in contents.values()], ignore_index=True)
    located = locate_volumes(root, wanted)
    said.dropped.extend(located.dropped)
    require_found(root, wanted, located, allow_missing)
    images, lesions = [], []
    for split, content in contents.items():
        present = _present(split, content.volumes, located, keep, said)
        boxes, notes = _boxes(content, present, located)
        said.notes.extend(notes)
        images.append(_images(split, present, boxes, located))
        lesions.append(boxes)
    return Manifest(
        "bcs-dbt",
        pd.concat(images, ignore_index=True)[list(IMAGE_COLUMNS)],
        pd.concat(lesions, ignore_index=True)[list(LESION_COLUMNS)],
        tuple(said.notes),
        tuple(said.dropped),
    )


def _contents(folder: Path, tables: dict[Split, SplitTables], said: _Said) -> dict[Split, _SplitContent]:
    contents: dict[Split, _SplitContent] = {}
    for split, found in tables.items():
        if found.labels is None or found.paths is None:
            absent = "labels" if found.labels is None else "file-paths"
            said.dropped.append(f"{split}: the whole split, because {folder} holds no {absent} table of it")
            continue
        contents[split] = _joined(split, found.labels, found.paths, found.boxes, said)
    if not contents:
        raise DatasetError(
            f"{folder}: no split has both a labels and a file-paths table ({'; '.join(said.dropped)}); "
            "download the missing tables from the collection's page"
        )
    return contents


def _present(
    split: Split, volumes: pd.DataFrame, located: LocatedVolumes, keep_actionable: bool, said: _Said
) -> pd.DataFrame:
    """Return the volumes that are on disk and wanted, and say what was left out."""
    present = volumes[volumes["series_uid"].isin(list(located.paths))]
    if len(present) < len(volumes):
        absent = len(volumes) - len(present)
        said.dropped.append(f"{split}: {absent} of {len(volumes)} volumes, because they are not on disk")
    if keep_actionable:
        return present
    wanted = present["label"] != "actionable"
    said.notes.append(f"{split}: {int((~wanted).sum())} actionable volumes are left out, as asked for")
    return present[wanted]


def _joined(
    split: Split, labels: LabelTable, paths: PathTable, boxes: BoxTable | None, said: _Said
) -> _SplitContent:
    volumes = labels.volumes.merge(paths.volumes, on=KEY, how="left", validate="one_to_one")
    volumes.index = labels.volumes.index
    labels.table.refuse(
        volumes["series_uid"].isna(),
        f"the volume has no row in {paths.table.path.name}",
        "use tables of the same release",
    )
    labelled = pd.MultiIndex.from_frame(volumes[KEY])
    unlabelled = ~pd.MultiIndex.from_frame(paths.volumes[KEY]).isin(labelled)
    if unlabelled.any():
        lines = list(paths.volumes.index[unlabelled])
        said.dropped.append(f"{paths.table.path.name}: no label for the volume, in {lines_text(lines)}")
    positive = volumes["label"].isin(_WITH_LESION)
    if boxes is None and positive.any():
        raise DatasetError(
            f"{labels.table.path}: {int(positive.sum())} volumes are benign or cancer, but there is no boxes "
            f"table of the {split} split beside it; download it, or lesions would pass for healthy tissue"
        )
    if boxes is not None:
        said.notes.extend(_disagreements(labels, volumes, positive, boxes))
    return _SplitContent(volumes, boxes)


def _disagreements(
    labels: LabelTable, volumes: pd.DataFrame, positive: pd.Series[bool], boxes: BoxTable
) -> list[str]:
    """Say where labels and boxes do not tell the same; in the release they do."""
    boxed = pd.MultiIndex.from_frame(volumes[KEY]).isin(pd.MultiIndex.from_frame(boxes.boxes[KEY]))
    notes = []
    for wrong, what in (
        (positive & ~boxed, "is benign or cancer but has no box"),
        (~positive & boxed, "has a box but is neither benign nor cancer"),
    ):
        lines = list(volumes.index[wrong])
        if lines:
            notes.append(f"{labels.table.path.name}: the volume {what} in {lines_text(lines)}")
    return notes


def _boxes(
    content: _SplitContent, present: pd.DataFrame, located: LocatedVolumes
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the boxes of the present volumes, clipped, with ``image_id`` and the real ``num_slices``."""
    if content.boxes is None:
        return pd.DataFrame({name: [] for name in [*LESION_COLUMNS, "num_slices"]}), ()
    table = content.boxes.table
    boxes = content.boxes.boxes.reset_index().merge(present[[*KEY, "series_uid"]], on=KEY, how="inner")
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
    clipped, notes = clip_to_image(table, boxes[CORNERS], columns, rows, IMAGE_REMEDY)
    boxes[CORNERS] = clipped
    boxes["num_slices"] = frames
    boxes["image_id"] = volume_ids(boxes)
    _refuse_two_classes(table, boxes)
    boxes, repeated = counted_once(table, boxes)
    return boxes, (*notes, *repeated)


def _refuse_two_classes(table: Table, boxes: pd.DataFrame) -> None:
    """A lesion is benign or cancer; nobody but the release can say which where rows of one box differ."""
    same_box = boxes.groupby([*KEY, "slice_index", *CORNERS])["category"]
    Table(table.path, boxes).refuse(
        same_box.transform("nunique") > 1, "the same box is benign and cancer", IMAGE_REMEDY
    )


def _headers(series: list[str], located: LocatedVolumes) -> dict[str, DicomHeader]:
    if not series:
        return {}
    tracked = track(series, "read headers of volumes with a box", len(series))
    return {uid: _header(located.paths[uid], uid) for uid in tracked}


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
    split: Split, volumes: pd.DataFrame, boxes: pd.DataFrame, located: LocatedVolumes
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
            "path": [str(located.paths[uid]) for uid in volumes["series_uid"]],
            "num_slices": image_ids.map(num_slices).astype("Int64"),
        }
    )
