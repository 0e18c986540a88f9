"""The lesions of the generic tables: boxes of either form, in source pixels, clipped to their images."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.boxes import CORNERS, clip_to_image
from comoto.datasets.table_csv_options import CsvOptions
from comoto.datasets.tables import Table
from comoto.errors import DatasetError
from comoto.progress import track
from comoto.records import LESION_COLUMNS, Laterality, Modality
from comoto.sources import open_source
from comoto.sources.lie import volume_lie

_SIZED = ["x", "y", "width", "height"]
_REMEDY = "correct the table"


def has_boxes(table: Table) -> bool:
    """Return whether a table with our column names has the columns of a box."""
    return any(set(form) <= set(table.rows.columns) for form in (CORNERS, _SIZED))


def parse_lesions(table: Table, options: CsvOptions) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Parse the rows that have a box.

    Args:
        table: with our column names; a row whose box is left empty holds no lesion.
        options: what corners and slice numbers mean.

    Returns:
        x1, y1, x2, y2 (half-open, as annotated), slice_index (from 0, missing where the table is silent) and
        category, the line as index; and notes.

    Raises:
        DatasetError: there are no columns of a box, or a cell is wrong.
    """
    if not has_boxes(table):
        have = ", ".join(table.rows.columns)
        raise DatasetError(
            f"{table.path}: no box: the columns x1, y1, x2, y2 or x, y, width, height are needed "
            f"(understood here: {have}); name yours with --set columns=x1:YOUR_NAME,..."
        )
    form = CORNERS if set(CORNERS) <= set(table.rows.columns) else _SIZED
    values = pd.DataFrame({name: table.optional_numbers(name, options.decimal) for name in form})
    empty = values.isna()
    partly = empty.any(axis=1) & ~empty.all(axis=1)
    table.refuse(partly, "part of the box is missing", "complete it, or leave all of it empty")
    values = values[~empty.all(axis=1)]
    boxes = values.copy() if form == CORNERS else pd.DataFrame(index=values.index)
    if form == _SIZED:
        boxes["x1"], boxes["y1"] = values["x"], values["y"]
        boxes["x2"], boxes["y2"] = values["x"] + values["width"], values["y"] + values["height"]
    elif options.corners == "pixels":
        boxes[["x2", "y2"]] += 1
    with_box = Table(table.path, table.rows.loc[boxes.index])
    boxes["slice_index"] = _slices(with_box, options)
    rows = with_box.rows
    named = rows["category"] if "category" in rows else pd.Series("", index=rows.index, dtype="string")
    boxes["category"] = named.mask(named == "", "lesion")
    without = len(table.rows) - len(boxes)
    notes = (f"{table.path.name}: {without} rows have no box and count as no lesion",) if without else ()
    return boxes, notes


def place_lesions(
    table: Table, boxes: pd.DataFrame, images: pd.DataFrame, options: CsvOptions
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the lesions of the images that are there, in the corrected orientation.

    Args:
        table: for messages.
        boxes: of ``parse_lesions``, with image_id.
        images: image_id as index; path, modality, laterality, num_slices, rows, columns.
        options: ``boxes_on`` and, for a hint, ``first_slice``.

    Raises:
        DatasetError: a size is not known, or a box or slice is not in its image.
        DicomError: a volume with a lesion cannot be opened.
    """
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
    clipped, notes = clip_to_image(table, boxes[CORNERS], columns, rows)
    boxes[CORNERS] = clipped
    if options.boxes_on == "stored" and is_volume.any():
        notes = (*notes, *_turn(table, boxes, of_image[is_volume]))
    return boxes[list(LESION_COLUMNS)], notes


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


def _turn(table: Table, boxes: pd.DataFrame, of_volume: pd.DataFrame) -> tuple[str, ...]:
    """Turn, in place, the boxes of volumes that are stored turned by 180 degrees.

    Which ones are, says ``comoto.sources.lie``, as for the frames themselves.
    """
    turned: dict[str, bool] = {}
    volumes = of_volume.drop_duplicates("path")
    for row in track(volumes.itertuples(), "look how volumes with a lesion are stored", len(volumes)):
        with open_source(Path(str(row.path))) as image:
            lie = volume_lie(image.header, image.frame(0), Laterality(str(row.laterality)))
            turned[str(row.path)] = lie.is_turned
    lines = [int(line) for line in of_volume.index[of_volume["path"].map(turned).astype(bool)]]
    if not lines:
        return ()
    columns, rows = (of_volume.loc[lines, side].astype("float64") for side in ("columns", "rows"))
    old = boxes.loc[lines, CORNERS].copy()
    boxes.loc[lines, "x1"], boxes.loc[lines, "x2"] = columns - old["x2"], columns - old["x1"]
    boxes.loc[lines, "y1"], boxes.loc[lines, "y2"] = rows - old["y2"], rows - old["y1"]
    return (
        f"{table.path.name}: {len(lines)} boxes turned with their volumes, which are stored turned by 180 "
        f"degrees ({lines_text(lines)})",
    )
