"""The lesions of the generic tables: boxes of either form, in source pixels, clipped to their images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.own_tables.box_suspicion import are_shares, in_upper_left_quarter, look_for_mirrored
from comoto.datasets.own_tables.options import CsvOptions
from comoto.datasets.reading.boxes import CORNERS, clip_to_image, counted_once, remedy
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.tables import Table, blank_cells
from comoto.errors import DatasetError
from comoto.progress import track
from comoto.records import LESION_COLUMNS, Laterality, Modality
from comoto.sources import open_source
from comoto.sources.volume_orientation import volume_orientation

_SIZED = ["x", "y", "width", "height"]
_REMEDY = "correct the table"
_IMAGE_REMEDY = remedy("--set exclude=IMAGE")
_NO_LESION = ("no finding", "no findings", "no lesion", "normal", "negative", "healthy", "background", "-")
"""Words of a category that need no box, beside empty cells."""

_TOLERANCE = 1e-6
_MOSTLY = 0.5
_WORDS = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}


def has_boxes(table: Table) -> bool:
    """Return whether a table with our column names has the columns of a box."""
    return any(set(form) <= set(table.rows.columns) for form in (CORNERS, _SIZED))


def parse_lesions(table: Table, options: CsvOptions, ledger: Ledger) -> pd.DataFrame:
    """Parse the rows that have a box.

    Args:
        table: with our column names; a row whose box is left empty holds no lesion.
        options: what corners and slice numbers mean.
        ledger: gets a note of rows without a box.

    Returns:
        x1, y1, x2, y2 (half-open, as annotated: pixels, or shares of the image), slice_index (from 0, missing
        where the table is silent) and category, the line as index.

    Raises:
        DatasetError: there are no columns of a box, or a cell is wrong, or boxes look like shares and nobody
            said what they are.
    """
    _require_columns(table, options)
    form = CORNERS if set(CORNERS) <= set(table.rows.columns) and options.boxes != "yolo" else _SIZED
    values = pd.DataFrame({name: table.optional_numbers(name, options.decimal) for name in form})
    empty = values.isna()
    partly = empty.any(axis=1) & ~empty.all(axis=1)
    table.refuse(partly, "part of the box is missing", _IMAGE_REMEDY)
    rows = table.rows
    named = rows["category"] if "category" in rows else pd.Series("", index=rows.index, dtype="string")
    silent = blank_cells(named) | named.str.lower().isin(_NO_LESION)
    table.refuse(
        empty.all(axis=1) & ~silent,
        "a finding has no box",
        f"{_IMAGE_REMEDY}; where there is none, leave category empty",
    )
    values = values[~empty.all(axis=1)]
    _check_unit(table, values, options)
    boxes = _as_corners(values, form, options)
    with_box = replace(table, rows=rows.loc[boxes.index])
    boxes["slice_index"] = _slices(with_box, options)
    boxes["category"] = named.loc[boxes.index].mask(named == "", "lesion")
    without = len(rows) - len(boxes)
    if without:
        ledger.note(f"{table.path.name}: {without} rows have no box and count as no lesion")
    return boxes


def _require_columns(table: Table, options: CsvOptions) -> None:
    columns = set(table.rows.columns)
    if options.boxes == "yolo" and not set(_SIZED) <= columns:
        raise DatasetError(
            f"{table.path}: boxes=yolo needs the columns x (or x_center), y (or y_center), width, height "
            f"(understood here: {', '.join(table.rows.columns)}); name yours with --set "
            "columns=x:YOUR_NAME,..."
        )
    if options.corners == "pixels" and not set(CORNERS) <= columns and set(_SIZED) <= columns:
        raise DatasetError(
            f"{table.path}: corners=pixels is about x2 and y2, and the table has width and height; leave it "
            "out"
        )
    if not has_boxes(table):
        raise DatasetError(
            f"{table.path}: no box: the columns x1, y1, x2, y2 or x, y, width, height are needed "
            f"(understood here: {', '.join(table.rows.columns)}); name yours with --set "
            "columns=x1:YOUR_NAME,...; boxes of YOLO (x_center, y_center, width, height in shares of the "
            "image) are read with --set boxes=yolo"
        )


def _check_unit(table: Table, values: pd.DataFrame, options: CsvOptions) -> None:
    """Refuse shares that nobody announced, and pixels where shares were announced."""
    if options.are_shares:
        beyond = ((values < -_TOLERANCE) | (values > 1 + _TOLERANCE)).any(axis=1)
        table.refuse(
            beyond.reindex(table.rows.index, fill_value=False),
            f"the box is not between 0 and 1, as boxes={options.boxes} are",
            f"leave boxes={options.boxes} out if they are pixels, or {_IMAGE_REMEDY}",
        )
    elif options.boxes is None and are_shares(values):
        raise DatasetError(
            f"{table.path}: these look normalised: every box lies between 0 and 1 "
            f"({lines_text(values.index)}); if they are shares of the image, say --set boxes=yolo (centre, "
            "width, height) or --set boxes=normalised (corners, or left, top, width, height); if they are "
            "pixels, --set boxes=pixels"
        )


def _as_corners(values: pd.DataFrame, form: list[str], options: CsvOptions) -> pd.DataFrame:
    if form == CORNERS:
        boxes = values.copy()
        if options.corners == "pixels":
            boxes[["x2", "y2"]] += 1
        return boxes
    boxes = pd.DataFrame(index=values.index)
    for low, high, start, size in (("x1", "x2", "x", "width"), ("y1", "y2", "y", "height")):
        before = values[size] / 2 if options.boxes == "yolo" else 0.0
        boxes[low] = values[start] - before
        boxes[high] = boxes[low] + values[size]
    return boxes[CORNERS]


def place_lesions(
    table: Table, boxes: pd.DataFrame, images: pd.DataFrame, options: CsvOptions, ledger: Ledger
) -> pd.DataFrame:
    """Return the lesions of the images that are there, in the corrected orientation.

    Args:
        table: for messages.
        boxes: of ``parse_lesions``, with image_id.
        images: image_id as index; path, modality, laterality, num_slices, rows, columns.
        options: ``boxes``, ``boxes_on`` and, for a hint, ``first_slice``.
        ledger: gets notes of what was changed or looks odd.

    Raises:
        DatasetError: a size is not known, a box or slice is not in its image, or boxes look like those of
            other pictures: smaller or mirrored copies.
        DicomError: a volume with a lesion cannot be opened.
    """
    if boxes.empty:
        return pd.DataFrame({name: [] for name in LESION_COLUMNS})
    boxes = boxes[boxes["image_id"].isin(images.index)].copy()
    of_image = images.loc[boxes["image_id"]].set_axis(boxes.index, axis=0)
    boxed = Table(table.path, boxes)
    boxed.refuse(
        of_image[["rows", "columns"]].isna().any(axis=1),
        "the size of the image is not known",
        "give the images table the columns rows and columns, or leave out --set headers=never",
    )
    is_volume = of_image["modality"] == Modality.TOMOSYNTHESIS.value
    _check_slices(boxed, of_image, is_volume, options)
    boxes["slice_index"] = boxes["slice_index"].where(is_volume).astype("Int64")
    rows, columns = of_image["rows"].astype("int64"), of_image["columns"].astype("int64")
    if options.are_shares:
        boxes[["x1", "x2"]] = boxes[["x1", "x2"]].mul(columns, axis=0)
        boxes[["y1", "y2"]] = boxes[["y1", "y2"]].mul(rows, axis=0)
    _explain_empty(boxed, boxes)
    boxes[CORNERS] = clip_to_image(table, boxes[CORNERS], columns, rows, _IMAGE_REMEDY, ledger)
    if options.boxes is None and in_upper_left_quarter(boxes, boxes["image_id"], columns, rows):
        raise DatasetError(
            f"{table.path}: all {len(boxes)} boxes lie in the upper left quarter of their images, as boxes "
            "do that were drawn on smaller copies; give them in pixels of these images, or as shares of the "
            "copy with --set boxes=normalised; if they are right, say --set boxes=pixels"
        )
    if options.boxes_on == "mirrored":
        _mirror(table, boxes, of_image, ledger)
    elif options.boxes_on != "corrected" and is_volume.any():
        _turn(table, boxes, of_image[is_volume], ledger)
    _compare_with_outlines(table, boxes, of_image[~is_volume], options, ledger)
    return counted_once(table, boxes, ledger)[list(LESION_COLUMNS)]


def _explain_empty(boxed: Table, boxes: pd.DataFrame) -> None:
    """Say what boxes may be of which all or most are empty: sizes under the names of corners."""
    empty = (boxes["x2"] <= boxes["x1"]) | (boxes["y2"] <= boxes["y1"])
    if len(boxes) and empty.mean() > _MOSTLY and set(CORNERS) <= set(boxed.rows.columns):
        boxed.refuse(
            empty,
            "the box is empty",
            "correct the table; if x1 and y1 are the left upper corner and x2 and y2 width and height, name "
            "them: --set columns=x:YOUR_X1,y:YOUR_Y1,width:YOUR_X2,height:YOUR_Y2; if x1 and y1 are the "
            "centre, take half of width and height off first; if x1, y1 and x2, y2 are exchanged, exchange "
            "their names",
        )


def _mirror(table: Table, boxes: pd.DataFrame, of_image: pd.DataFrame, ledger: Ledger) -> None:
    """Mirror, in place, the boxes of right breasts, which were drawn on copies that look like left ones."""
    of_right = of_image["laterality"] == Laterality.RIGHT.value
    lines = [int(line) for line in of_image.index[of_right]]
    if not lines:
        ledger.note(f"{table.path.name}: boxes-on=mirrored, but no box is of a right breast")
        return
    columns = of_image.loc[lines, "columns"].astype("float64")
    old = boxes.loc[lines, CORNERS].copy()
    boxes.loc[lines, "x1"], boxes.loc[lines, "x2"] = columns - old["x2"], columns - old["x1"]
    ledger.note(f"{table.path.name}: {len(lines)} boxes of right breasts mirrored ({lines_text(lines)})")


def _compare_with_outlines(
    table: Table, boxes: pd.DataFrame, of_mammogram: pd.DataFrame, options: CsvOptions, ledger: Ledger
) -> None:
    """Refuse boxes that look mirrored, unless the user said on what they were drawn; then note them.

    Raises:
        DatasetError: more boxes of a side lie on air, and their mirror images on the breast, than the other
            way round.
    """
    if options.headers == "never":
        return
    for found in look_for_mirrored(boxes, of_mammogram):
        what = (
            f"a box of a {_WORDS[found.side]} breast lies on air, and its mirror image on "
            f"the breast, in {lines_text(found.mirrored)}"
        )
        if found.is_suspect and options.boxes_on in (None, "mirrored"):
            raise DatasetError(
                f"{table.path}: {what}; with {found.right} boxes it is the other way round: "
                f"{_ways_out(found.side, options)}"
            )
        ledger.note(f"{table.path.name}: {what}; look at them with 'comoto inspect'")


def _ways_out(side: Laterality, options: CsvOptions) -> str:
    if options.boxes_on == "mirrored":
        return "these were drawn on the images as they are; leave boxes-on=mirrored out"
    if side is Laterality.RIGHT:
        return (
            "if they were drawn on mirrored copies, say --set boxes-on=mirrored, which mirrors those of "
            "right breasts; if all of them are right as they are, say --set boxes-on=stored"
        )
    return (
        "they were drawn on mirrored copies, or the side is wrong; correct them, or, if all of them are "
        "right as they are, say --set boxes-on=stored"
    )


def _slices(table: Table, options: CsvOptions) -> pd.Series[int]:
    if "slice_index" not in table.rows:
        return pd.Series(pd.NA, index=table.rows.index, dtype="Int64")
    values = table.optional_numbers("slice_index", options.decimal) - options.first_slice
    bad = values.notna() & ((values != values.round()) | (values < 0))
    table.refuse(bad, f"slice_index is no whole number from {options.first_slice}", _REMEDY)
    return values.astype("Int64")


def _check_slices(
    boxed: Table, of_image: pd.DataFrame, is_volume: pd.Series[bool], options: CsvOptions
) -> None:
    slices = boxed.rows["slice_index"]
    boxed.refuse(
        is_volume & slices.isna(),
        "a lesion of a volume has no slice_index",
        "give the slice on which the box was drawn",
    )
    beyond = is_volume & (slices >= of_image["num_slices"]).fillna(False)
    hint = "" if options.first_slice else "; if your first slice is number 1, add --set first-slice=1"
    boxed.refuse(beyond, "slice_index is beyond the last slice", _REMEDY + hint)


def _turn(table: Table, boxes: pd.DataFrame, of_volume: pd.DataFrame, ledger: Ledger) -> None:
    """Turn, in place, the boxes of volumes that are stored turned by 180 degrees.

    Which ones are, says ``comoto.sources.volume_orientation``, as for the frames themselves.
    """
    turned: dict[str, bool] = {}
    volumes = of_volume.drop_duplicates("path")
    for row in track(volumes.itertuples(), "look how volumes with a lesion are stored", len(volumes)):
        with open_source(Path(str(row.path))) as image:
            orientation = volume_orientation(image.header, image.frame(0), Laterality(str(row.laterality)))
            turned[str(row.path)] = orientation.is_turned
    lines = [int(line) for line in of_volume.index[of_volume["path"].map(turned).astype(bool)]]
    if not lines:
        return
    columns, rows = (of_volume.loc[lines, side].astype("float64") for side in ("columns", "rows"))
    old = boxes.loc[lines, CORNERS].copy()
    boxes.loc[lines, "x1"], boxes.loc[lines, "x2"] = columns - old["x2"], columns - old["x1"]
    boxes.loc[lines, "y1"], boxes.loc[lines, "y2"] = rows - old["y2"], rows - old["y1"]
    ledger.note(
        f"{table.path.name}: {len(lines)} boxes turned with their volumes, which are stored turned by 180 "
        f"degrees ({lines_text(lines)})"
    )
