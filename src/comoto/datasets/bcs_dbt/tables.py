"""The tables of the BCS-DBT release, parsed and checked without any DICOM file.

Names and columns as published by Duke University and TCIA (DOI 10.7937/E4WT-CD02). The releases differ in
their names (``BCS-DBT labels-train-v2.csv``, ``BCS-DBT-labels-test-PHASE-2.csv``), so tables are found by
what their names contain.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comoto.datasets.reading.boxes import remedy
from comoto.datasets.reading.tables import Table, read_table
from comoto.errors import DatasetError
from comoto.records import Split

KEY = ["PatientID", "StudyUID", "View"]
"""Joins all tables; rows are never joined by their order."""

LABELS = ["Normal", "Actionable", "Benign", "Cancer"]
_NAME = re.compile(
    r"^BCS-DBT[ _-]+(file[ _-]paths|labels|boxes)[ _-]+(train|validation|test)(?:[ _-].*)?\.csv$",
    re.IGNORECASE,
)
_SERIES_NUMBER = re.compile(r"/(\d+)\.\d+-[^/]*/[^/]*$")
IMAGE_REMEDY = remedy("--set exclude=PATIENT_STUDY_VIEW")
_VIEW = re.compile(r"^(l|r)(cc|mlo)(\d*)$")


@dataclass(frozen=True)
class ParsedTable:
    """A table as it was read, and a row of what each of its rows means; the index is the line."""

    table: Table
    rows: pd.DataFrame


@dataclass(frozen=True)
class SplitTables:
    """What a folder holds for one split; None where a table is absent."""

    labels: ParsedTable | None
    boxes: ParsedTable | None
    paths: ParsedTable | None


def read_bcs_dbt_tables(folder: Path, excluded: Collection[str] = ()) -> dict[Split, SplitTables]:
    """Find, parse and check the tables of a folder.

    Args:
        folder: holds the tables directly, not in subfolders.
        excluded: volumes (``PatientID_StudyUID_View``) whose rows are not looked at.

    Returns:
        The splits of which the folder has at least one table.

    Raises:
        DatasetError: no table is there, one stands twice, or the content of one is wrong.
    """
    found = _find(folder)
    tables = {}
    for split in Split:
        labels, boxes, paths = (found.get((kind, split)) for kind in ("labels", "boxes", "file-paths"))
        if labels or boxes or paths:
            tables[split] = SplitTables(
                labels=_labels(labels, excluded) if labels else None,
                boxes=_boxes(boxes, excluded) if boxes else None,
                paths=_paths(paths, excluded) if paths else None,
            )
            _check_boxes_have_labels(tables[split])
    return tables


@dataclass(frozen=True)
class VolumeKey:
    """How the tables name a volume."""

    patient: str
    study: str
    view: str
    laterality: str


def has_path_tables(folder: Path) -> bool:
    """Say whether a folder holds a file-paths table of the release."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return False
    return any(match is not None and "path" in match.group(1).lower() for match in map(_NAME.match, names))


def series_keys(folder: Path) -> dict[str, VolumeKey]:
    """Return how the file-paths tables in a folder name each series, by its UID.

    Raises:
        DatasetError: a table is wrong.
    """
    keys: dict[str, VolumeKey] = {}
    for (kind, _), path in _find(folder).items():
        if kind != "file-paths":
            continue
        table = _paths(path, ())
        rows = table.rows.assign(laterality=_with_view(table.table)["laterality"])
        for row in rows[[*KEY, "laterality", "series_uid"]].itertuples(index=False):
            patient, study, view, laterality, series = map(str, row)
            keys[series] = VolumeKey(patient, study, view, laterality)
    return keys


def _find(folder: Path) -> dict[tuple[str, Split], Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    found: dict[tuple[str, Split], Path] = {}
    for path in sorted(folder.iterdir()):
        match = _NAME.match(path.name)
        if match is None:
            continue
        kind = re.sub(r"[ _]", "-", match.group(1).lower())
        key = kind, Split(match.group(2).lower())
        if key in found:
            raise DatasetError(
                f"{folder}: '{found[key].name}' and '{path.name}' are two tables of the same kind; "
                "keep the newer one"
            )
        found[key] = path
    if not found:
        raise DatasetError(
            f"{folder}: none of the BCS-DBT tables is here (such as BCS-DBT-labels-train-v2.csv); "
            "download them from the collection's page, or name their folder with --tables"
        )
    return found


def volume_ids(table: pd.DataFrame) -> pd.Series[str]:
    """Return the ``image_id`` of each row of a table with the key."""
    return table["PatientID"] + "_" + table["StudyUID"] + "_" + table["View"]


def labelled_volumes(folder: Path) -> list[str]:
    """Return the ``image_id`` of every volume that a labels table of a folder names."""
    tables = [path for (kind, _), path in _find(folder).items() if kind == "labels"]
    return [name for path in tables for name in volume_ids(read_table(path, KEY).rows)]


def _read(path: Path, columns: Sequence[str], excluded: Collection[str]) -> Table:
    table = read_table(path, [*KEY, *columns])
    return table.without(volume_ids(table.rows), excluded)


def _labels(path: Path, excluded: Collection[str]) -> ParsedTable:
    """Return a row per volume: the key, ``laterality``, ``view`` and ``label`` (lower case)."""
    table = _read(path, LABELS, excluded)
    table.unique(KEY)
    volumes = _with_view(table)
    flags = pd.DataFrame({name: table.integers(name) for name in LABELS})
    # a volume of two labels or none must not become healthy by anybody's guess
    wrong = ~flags.isin([0, 1]).all(axis=1) | (flags.sum(axis=1) != 1)
    table.refuse(wrong, f"not exactly one of {', '.join(LABELS)} is 1", "correct the table")
    volumes["label"] = [str(name).lower() for name in flags.idxmax(axis=1)]
    return ParsedTable(table, volumes)


def _boxes(path: Path, excluded: Collection[str]) -> ParsedTable:
    """Return a row per box.

    The key, ``x1, y1, x2, y2`` (half-open, source pixels, not clipped), ``slice_index``, ``category``,
    ``architectural_distortion`` (absent column: False) and ``num_slices`` (absent column: missing).
    """
    table = _read(path, ["Slice", "X", "Y", "Width", "Height", "Class"], excluded)
    boxes = _with_view(table)
    left, top, width, height = (table.integers(name) for name in ("X", "Y", "Width", "Height"))
    table.refuse((width <= 0) | (height <= 0), "the box is empty", IMAGE_REMEDY)
    boxes["x1"], boxes["y1"] = left.astype("float64"), top.astype("float64")
    boxes["x2"], boxes["y2"] = (left + width).astype("float64"), (top + height).astype("float64")
    boxes["slice_index"] = table.integers("Slice")
    boxes["category"] = table.words("Class", ("benign", "cancer"))
    boxes["architectural_distortion"] = False
    if "AD" in table.rows:
        boxes["architectural_distortion"] = table.words("AD", ("0", "1")) == "1"
    boxes["num_slices"] = pd.Series(pd.NA, index=table.rows.index, dtype="Int64")
    if "VolumeSlices" in table.rows:
        boxes["num_slices"] = table.integers("VolumeSlices").astype("Int64")
    beyond = (boxes["slice_index"] < 0) | (boxes["slice_index"] >= boxes["num_slices"]).fillna(False)
    table.refuse(beyond, "Slice is not between 0 and VolumeSlices - 1", IMAGE_REMEDY)
    differs = boxes.groupby(KEY)["num_slices"].transform("nunique") > 1
    table.refuse(differs, "VolumeSlices differs within one volume", "correct the table")
    return ParsedTable(table, boxes)


def _paths(path: Path, excluded: Collection[str]) -> ParsedTable:
    """Return a row per volume: the key, ``series_uid``, and ``series_number`` of the descriptive layout."""
    table = _read(path, ["descriptive_path", "classic_path"], excluded)
    table.unique(KEY)
    volumes = _with_view(table)[KEY]
    classic = [text.replace("\\", "/").split("/") for text in table.rows["classic_path"]]
    short = [len(parts) < 3 for parts in classic]
    table.refuse(short, "classic_path has fewer than three parts", "download the table again")
    volumes["series_uid"] = [parts[-2] for parts in classic]
    descriptive = table.rows["descriptive_path"].str.replace("\\", "/", regex=False)
    volumes["series_number"] = descriptive.str.extract(_SERIES_NUMBER, expand=False)
    repeated = volumes["series_uid"].duplicated(keep=False)
    table.refuse(repeated, "the same series stands more than once", "download the table again")
    return ParsedTable(table, volumes)


def _with_view(table: Table) -> pd.DataFrame:
    """Return the key columns and what View means."""
    parts = table.rows["View"].str.extract(_VIEW)
    bad = parts[0].isna()
    in_capitals = table.rows["View"][bad].str.lower().str.match(_VIEW).all()
    way_out = "write it in lower case, as the release does" if in_capitals else "correct the table"
    table.refuse(bad, "View is not like lcc, rmlo or lmlo1", way_out)
    volumes = table.rows[KEY].copy()
    volumes["laterality"] = parts[0].str.upper()
    volumes["view"] = parts[1].str.upper()
    return volumes


def _check_boxes_have_labels(tables: SplitTables) -> None:
    if tables.boxes is None or tables.labels is None:
        return
    known = pd.MultiIndex.from_frame(tables.labels.rows[KEY])
    unknown = ~pd.MultiIndex.from_frame(tables.boxes.rows[KEY]).isin(known)
    tables.boxes.table.refuse(
        unknown,
        f"the volume has no row in {tables.labels.table.path.name}",
        "use tables of the same release",
    )
