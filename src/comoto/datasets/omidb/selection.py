"""The flat extract of OMI-DB, ``omidb-selection.csv`` with PNG files cropped to the breast, as a manifest.

A row is a region of an image; both its boxes are in pixels of the uncropped image, the PNG is the crop. The
extract's authors mirrored right breasts before they cropped, together with the boxes, so boxes and PNG agree
and the breast touches the left edge of every PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.reading.boxes import CORNERS, LEAST_SIDE, parts_inside
from comoto.datasets.reading.file_names import find_name, names_in
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, Several, Words
from comoto.datasets.reading.tables import Table, read_table
from comoto.datasets.reading.views import parse_side, parse_view, view_keys
from comoto.errors import DatasetError, DicomError
from comoto.progress import track
from comoto.records import Laterality, Manifest, Modality, Split
from comoto.sources import read_source_header

TABLE = "omidb-selection.csv"
TYPES = {"M": "malignant", "MU": "malignant, subtype unknown", "B": "benign", "N": "normal"}
"""Words of the column ``type`` and the labels they become."""

_NORMAL = "N"
"""Rows of this type hold a random region of healthy tissue, never a lesion."""

_FOLDERS = {"MU": "stu", "B": "benign", "N": "normal"}
_OTHER_NAMES = {
    "scanner": ("manufacturer",),
    "bbox": ("breast_bbox",),
    "type": ("class",),
    "image": ("img_id",),
}
_NEEDED = ("client", "filename", "scanner", "bbox", "bbox_roi")
_LEAST_INSIDE = 0.5
"""Share of a lesion's box that must lie in the crop; with less, the box is not that of this image."""


class OmidbSelectionOptions(AllowMissing):
    """Options of ``read_omidb_selection``."""

    about = DatasetAbout(
        name="omidb-selection",
        title="A flat extract of OMI-DB: omidb-selection.csv and PNG files cropped to the breast",
        modalities=("FFDM",),
        boxes="one a row",
        access="not distributed; needs OMI-DB",
        licence="that of OMI-DB",
        commercial_use="by agreement",
        citation="As OMI-DB.",
        url="https://medphys.royalsurrey.nhs.uk/omidb/",
        notes="8-bit PNG of one side each, right breasts mirrored by the extract's authors. No splits.",
    )

    tables: Path | None = None
    """The table or its folder, if it is not ROOT."""
    scanner: Words = ()
    """Scanners, such as HOLOGIC; all if none is named."""
    types: Several[Literal["M", "MU", "B", "N"]] = ("M", "MU", "B", "N")
    """Malignant, malignant of unknown subtype, benign, normal."""


def read_omidb_selection(root: Path, options: OmidbSelectionOptions) -> Manifest:
    """Read the table and find the PNG files.

    Args:
        root: the folder with ``<scanner>/ffdm/...``.
        options: what is read.

    Returns:
        One image per file name, with every lesion that a row gives it; all of it is ``train``. Rows that
        cannot be used are listed in ``dropped`` with their images: without the lesion they would pass for
        healthy.

    Raises:
        DatasetError: the table is missing or lacks columns, or images are not on disk.
    """
    ledger = Ledger()
    table = _table((options.tables or root).absolute())
    rows = _selected(table, options, ledger)
    rows = _valid(table, rows, ledger)
    rows = _located(root, table, rows, options.allow_missing, ledger)
    rows = _of_their_size(table, rows, ledger)
    if rows.empty:
        raise DatasetError(f"{table.path}: no row can be used: {'; '.join(ledger.dropped)}")
    images, lesions = _tables(table, rows, ledger)
    return Manifest("omidb-selection", images, lesions, ledger.notes, ledger.dropped)


def _table(place: Path) -> Table:
    path = place / TABLE if place.is_dir() else place
    table = read_table(path)
    names = {
        other: name
        for name, others in _OTHER_NAMES.items()
        for other in others
        if other in table.rows and name not in table.rows
    }
    rows = table.rows.rename(columns=names)
    missing = [name for name in _NEEDED if name not in rows]
    if missing:
        raise DatasetError(
            f"{path}: columns are missing: {', '.join(missing)} (the first line has: "
            f"{', '.join(table.rows.columns)}); is this {TABLE}?"
        )
    if "type" not in rows:
        rows = rows.assign(type="M")
    return Table(path, rows)


def _selected(table: Table, options: OmidbSelectionOptions, ledger: Ledger) -> pd.DataFrame:
    rows = table.rows
    table.words("type", tuple(TYPES))
    keep = rows["type"].isin(list(options.types))
    if options.scanner:
        keep &= rows["scanner"].isin(list(options.scanner))
    if not keep.any():
        raise DatasetError(
            f"{table.path}: no row of scanner {', '.join(options.scanner or ['(any)'])} and type "
            f"{', '.join(options.types)}; it has the scanners {', '.join(sorted(rows['scanner'].unique()))}"
        )
    left_out = int((~keep).sum())
    if left_out:
        ledger.note(f"{table.path.name}: {left_out} rows of other scanners or types left out")
    return rows[keep].copy()


def _valid(table: Table, rows: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return the usable rows with crop (c_...) and, where there is a lesion, its box in the PNG (x1, ...)."""
    crop = _boxes(rows["bbox"])
    roi = _boxes(rows["bbox_roi"])
    rows = rows.join(crop.add_prefix("c_")).join(roi)
    rows["has_lesion"] = rows["type"] != _NORMAL
    width, height = crop["x2"] - crop["x1"], crop["y2"] - crop["y1"]
    rows["columns"], rows["rows"] = width, height
    reasons = pd.Series("", index=rows.index, dtype="string")
    folder = rows.apply(_folder, axis=1)
    lesion = rows["has_lesion"]
    for bad, reason in (
        (rows["client"].eq("") | rows["filename"].eq(""), "client or filename is empty"),
        (folder.eq(""), "subtype is no number of up to three digits"),
        (crop.isna().any(axis=1), "bbox is no BoundingBox(x1=..., y1=..., x2=..., y2=...)"),
        (~((width > 0) & (height > 0)), "bbox, the crop, is empty"),
        (lesion & roi.isna().any(axis=1), "bbox_roi is no BoundingBox(x1=..., y1=..., x2=..., y2=...)"),
        (lesion & ~((roi["x2"] > roi["x1"]) & (roi["y2"] > roi["y1"])), "bbox_roi is empty or reversed"),
        (lesion & (_short_side(roi) < LEAST_SIDE), "bbox_roi is smaller than a pixel"),
        (lesion & ~_mostly_inside(roi, crop), "bbox_roi lies for the greater part outside of the crop"),
    ):
        reasons = reasons.mask(bad & (reasons == ""), reason)
    rows["folder"] = folder
    ledger.drop(
        *(
            f"{table.path.name}: {reason}, in {lines_text(list(reasons.index[reasons == reason]))}"
            for reason in sorted(set(reasons) - {""})
        )
    )
    spoilt = rows["filename"].isin(rows["filename"][reasons != ""]) & (reasons == "")
    if spoilt.any():
        lines = lines_text(list(rows.index[spoilt]))
        ledger.drop(f"{table.path.name}: another row of the same image cannot be used, in {lines}")
    for low, high, origin in (("x1", "x2", "c_x1"), ("y1", "y2", "c_y1")):
        rows[[low, high]] = rows[[low, high]].sub(rows[origin], axis=0)
    return rows[(reasons == "") & ~spoilt].copy()


def _boxes(cells: pd.Series[str]) -> pd.DataFrame:
    """Parse ``BoundingBox(x1=12, y1=0, x2=954, y2=2457)``; missing where the text is something else."""
    is_box = cells.str.fullmatch(r"BoundingBox\(.*\)")
    return pd.DataFrame(
        {
            name: pd.to_numeric(
                cells.str.extract(rf"\b{name}\s*=\s*(?:np\.\w+\()?(-?\d+(?:\.\d+)?)", expand=False),
                errors="coerce",
            )
            .astype("float64")
            .where(is_box)
            for name in CORNERS
        }
    )


def _short_side(boxes: pd.DataFrame) -> pd.Series[float]:
    sides = pd.DataFrame({"x": boxes["x2"] - boxes["x1"], "y": boxes["y2"] - boxes["y1"]})
    return sides.min(axis=1)


def _mostly_inside(roi: pd.DataFrame, crop: pd.DataFrame) -> pd.Series[bool]:
    inside = pd.Series(1.0, index=roi.index)
    for low, high in (("x1", "x2"), ("y1", "y2")):
        overlap = roi[high].clip(upper=crop[high]) - roi[low].clip(lower=crop[low])
        inside *= overlap.clip(lower=0) / (roi[high] - roi[low])
    return inside >= _LEAST_INSIDE


def _folder(row: pd.Series[Any]) -> str:
    """Return the folder below ``ffdm``; empty where the subtype is no number.

    The subtype is the state of three receptors, such as 011; a table that was read as numbers says 11.
    """
    if row["type"] in _FOLDERS:
        return _FOLDERS[str(row["type"])]
    digits = str(row.get("subtype", "")).removesuffix(".0").strip("[]").replace(" ", "")
    return f"st{digits.zfill(3)}" if digits.isdecimal() and len(digits) <= 3 else ""


def _located(
    root: Path, table: Table, rows: pd.DataFrame, allow_missing: bool, ledger: Ledger
) -> pd.DataFrame:
    """Add ``path``: in the folder of the type, that of the subtype, or ``ffdm`` itself."""
    listings: dict[Path, set[str]] = {}
    paths = []
    for row in rows.itertuples():
        base = root / str(row.scanner) / "ffdm"
        subtype = _folder(pd.Series({"type": "M", "subtype": getattr(row, "subtype", "")}))
        paths.append(_first(listings, [base / str(row.folder), base / subtype, base], str(row.filename)))
    rows = rows.assign(path=paths)
    missing = rows["path"] == ""
    lines = list(rows.index[missing])
    absent = [
        f"{root / row['scanner'] / 'ffdm' / row['folder'] / row['filename']} (line {line})"
        for line, row in zip(lines, rows[missing].to_dict("records"), strict=True)
    ]
    way_out = "choose a scanner with --set scanner=HOLOGIC"
    refuse_missing(table.path, "images", absent, len(rows), allow_missing, way_out=way_out)
    if absent:
        ledger.drop(
            f"{table.path.name}: {len(lines)} of {len(rows)} images are not on disk, in {lines_text(lines)}"
        )
    return rows[~missing]


def _first(listings: dict[Path, set[str]], folders: Sequence[Path], filename: str) -> str:
    for folder in folders:
        if folder not in listings:
            listings[folder] = {name for name, is_folder in names_in(folder).items() if not is_folder}
        for name in (filename, f"{filename}.png"):
            found = find_name(name, listings[folder])
            if found is not None:
                return str(folder / found)
    return ""


def _of_their_size(table: Table, rows: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Leave out PNGs that cannot be read or that have not the size of their crop: boxes would not fit."""
    wrong: list[int] = []
    bad = set()
    for path, group in track(rows.groupby("path", sort=False), "read PNG headers", rows["path"].nunique()):
        try:
            header = read_source_header(str(path))
        except DicomError as error:
            ledger.drop(f"{table.path.name}: {lines_text(list(group.index))}: {error}")
            bad.add(path)
            continue
        if not ((group["rows"] == header.rows) & (group["columns"] == header.columns)).all():
            wrong.extend(group.index)
            bad.add(path)
    if wrong:
        ledger.drop(
            f"{table.path.name}: the PNG has not the size of bbox, so boxes would not fit, in "
            f"{lines_text(wrong)}"
        )
    return rows[~rows["path"].isin(bad)].copy()


def _tables(table: Table, rows: pd.DataFrame, ledger: Ledger) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows["image_id"] = rows["filename"].str.removesuffix(".png")
    first = rows.assign(normal=~rows["has_lesion"]).sort_values("normal", kind="stable")
    images = first.drop_duplicates("image_id").sort_index()
    parts = images["image_id"].str.split("_")
    views = images["view"] if "view" in images else parts.str[-1]
    parsed = [parse_view(str(view)) for view in views]
    unknown = [found is None for found in parsed]
    Table(table.path, images).refuse(
        unknown, "the file name does not end in a view, such as _CC.png", "correct the file name"
    )
    sides = _sides(images, ledger)
    episode = images["episode"] if "episode" in images else parts.str[1]
    study = images["client"] + "_" + episode.fillna("")
    words = [found.word for found in parsed if found is not None]
    keys = [side.lower() + word.lower() for side, word in zip(sides, words, strict=True)]
    manifest_images = pd.DataFrame(
        {
            "image_id": images["image_id"],
            "modality": Modality.MAMMOGRAM.value,
            "patient_id": images["client"],
            "study_id": study,
            "view_key": view_keys(list(study), keys),
            "laterality": sides,
            "view": [found.view.value for found in parsed if found is not None],
            "split": Split.TRAIN.value,
            "label": images["type"].map(TYPES),
            "path": images["path"],
            "num_slices": 1,
        }
    )
    return manifest_images, _lesions(table, rows, ledger)


def _lesions(table: Table, rows: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return the boxes of the rows with a lesion, clipped to their PNG."""
    lesions = rows[rows["has_lesion"]].copy()
    clipped = parts_inside(lesions[CORNERS], lesions["columns"], lesions["rows"])
    changed = list(lesions.index[(clipped != lesions[CORNERS]).any(axis=1)])
    if changed:
        ledger.note(f"{table.path.name}: {len(changed)} boxes clipped to the crop ({lines_text(changed)})")
    lesions[CORNERS] = clipped
    lesions["slice_index"] = pd.NA
    lesions["category"] = lesions["type"].map(TYPES)
    return lesions


def _sides(images: pd.DataFrame, ledger: Ledger) -> list[str]:
    """Return the sides; without a column ``side``, the left, which every PNG of the extract looks like."""
    found = [parse_side(str(word)) for word in images["side"]] if "side" in images else [None] * len(images)
    silent = sum(side is None for side in found)
    if silent:
        ledger.note(
            f"{silent} images do not say their side; they count as left, as the extract mirrors right breasts"
        )
    return [(side or Laterality.LEFT).value for side in found]
