"""Anybody's images as a manifest: one table of images, one of lesions, or both in one file.

The contract with the user is ``docs/datasets/csv.md``. What the tables do not say is read from the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comoto.csv_rows import CsvForm
from comoto.datasets.own_tables.columns import IMAGE_NAMES, KEY_NAMES, box_names, renamed, require_used
from comoto.datasets.own_tables.files import locate_files, named, table_files
from comoto.datasets.own_tables.images import (
    fill_from_headers,
    merged_rows,
    parse_images,
    with_view_keys,
    written_paths,
)
from comoto.datasets.own_tables.lesions import has_boxes, parse_lesions, place_lesions
from comoto.datasets.own_tables.options import CsvOptions
from comoto.datasets.reading.file_names import as_spelt
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.options import require_known
from comoto.datasets.reading.tables import Table, read_table
from comoto.errors import DatasetError
from comoto.records import LESION_COLUMNS, Manifest, Modality

IMAGES = ("images", "image")
LESIONS = ("lesions", "lesion", "boxes", "annotations", "findings")
"""Names of the tables, without ending, that are found without being asked for."""

_NONE = "none"


@dataclass(frozen=True)
class _Tables:
    """The tables under our column names; ``lesions`` is ``images`` where one file holds both."""

    images: Table
    lesions: Table | None

    @property
    def is_one(self) -> bool:
        return self.lesions is self.images


def read_table_csv(root: Path, options: CsvOptions) -> Manifest:
    """Read the user's own tables and find the images on disk.

    Args:
        root: the folder that relative paths start from.
        options: how the tables are to be understood.

    Returns:
        The images in the order of the table. Lesions are half-open boxes in the corrected orientation,
        clipped to the image. Files that cannot be read are listed in ``dropped``.

    Raises:
        ConfigError: an option names what is not in the tables.
        DatasetError: a table is missing or wrong; the message names file, lines and remedy.
    """
    ledger = Ledger()
    found = _read_tables((options.tables or root).absolute(), options, ledger)
    found = _without_excluded(found, options.exclude, ledger)
    table, images, marked = _parse(found, options, ledger)
    located = locate_files(root, table, images["path"], options.allow_missing, ledger)
    present = images.loc[located.index].assign(path=located)
    boxed = present["image_id"].isin(marked["image_id"])
    complete = fill_from_headers(table, present, boxed, options, ledger)
    placed = place_lesions(found.lesions or table, marked, complete.set_index("image_id"), options, ledger)
    _note_unused(found, complete, options, ledger)
    return Manifest("csv", _manifest_images(complete, placed), placed, ledger.notes, ledger.dropped)


def _note_unused(found: _Tables, images: pd.DataFrame, options: CsvOptions, ledger: Ledger) -> None:
    """Say which options the user gave that these tables have no use for."""
    given = [name for name in ("boxes", "boxes_on", "corners", "first_slice") if options.given(name)]
    volumes = bool((images["modality"] == Modality.TOMOSYNTHESIS.value).any())
    if found.lesions is not None:
        needless = {"first_slice"} if "slice_index" not in found.lesions.rows else set()
        if options.boxes_on == "corrected" and not volumes:
            needless.add("boxes_on")
        given = [name for name in given if name in needless]
    if given:
        words = ", ".join(f"{name.replace('_', '-')}={getattr(options, name)}" for name in given)
        ledger.note(f"not used, because the tables say nothing that it is about: --set {words}")


def _without_excluded(found: _Tables, excluded: tuple[str, ...], ledger: Ledger) -> _Tables:
    """Return the tables without the rows of images that the user leaves out wholly."""
    if not excluded:
        return found
    key = "image_id" if "image_id" in found.images.rows else "path"
    names = found.images.rows[key]
    ledger.note(*require_known("csv", excluded, [*names, *written_paths(names)]))
    left_out = {*excluded, *written_paths(pd.Series(excluded, dtype="string"))}
    images = found.images.without(written_paths(names), left_out).without(names, left_out)
    if found.lesions is None or found.is_one:
        return _Tables(images, images if found.is_one else None)
    rows = found.lesions.rows
    gone = set(written_paths(found.images.rows["path"])) - set(written_paths(images.rows["path"]))
    own = rows["image_id"] if "image_id" in rows else written_paths(rows.get("path", names[:0]))
    spelt = as_spelt(own.dropna(), {*names, *written_paths(names), *gone})
    return _Tables(images, found.lesions.without(own.replace(spelt), left_out | gone))


def _parse(found: _Tables, options: CsvOptions, ledger: Ledger) -> tuple[Table, pd.DataFrame, pd.DataFrame]:
    """Return the images as a table and parsed, and boxes with their image_id."""
    table = found.images
    if found.is_one:
        table = merged_rows(table, "image_id" if "image_id" in table.rows else "path")
    images = parse_images(table, options, ledger)
    if found.lesions is None:
        return table, images, pd.DataFrame(columns=[*LESION_COLUMNS])
    boxes = parse_lesions(found.lesions, options, ledger)
    boxes["image_id"] = _image_ids(found.lesions, boxes, images, table.path.name)
    return table, images, boxes


def _image_ids(
    lesions: Table, boxes: pd.DataFrame, images: pd.DataFrame, images_table: str
) -> pd.Series[str]:
    """Return the image of each box, found by image_id or by path."""
    rows = lesions.rows.loc[boxes.index]
    key = next((name for name in ("image_id", "path") if name in rows), None)
    if key is None:
        raise DatasetError(
            f"{lesions.path}: no column image_id or path, so no lesion finds its image; add one, or name "
            "yours with --set columns=lesions.image_id:YOUR_NAME"
        )
    keys = written_paths(rows[key]) if key == "path" else rows[key]
    known = pd.Series(images["image_id"].to_numpy(), index=images[key].to_numpy(), dtype="string")
    spelt = keys.map(as_spelt(keys.dropna(), known.index))
    Table(lesions.path, rows).refuse(
        spelt.isna(), f"{key} is not in {images_table}", f"use the {key} of the images table"
    )
    return spelt.map(known).astype("string")


def _manifest_images(images: pd.DataFrame, lesions: pd.DataFrame) -> pd.DataFrame:
    with_lesion = images["image_id"].isin(lesions["image_id"])
    words = with_lesion.map({True: "lesion", False: "no lesion"})
    is_mammogram = images["modality"] == "mammogram"
    return images.assign(
        view_key=with_view_keys(images),
        label=images["label"].fillna(words),
        num_slices=images["num_slices"].mask(is_mammogram, 1),
    )


def _read_tables(place: Path, options: CsvOptions, ledger: Ledger) -> _Tables:
    images_path, lesions_path = _table_paths(place, options.images, options.lesions)
    form = CsvForm(options.encoding, options.delimiter, settable=True)
    whole = read_table(images_path, form=form)
    read = [whole]
    of_boxes = box_names(options.boxes)
    names = IMAGE_NAMES if lesions_path else IMAGE_NAMES | of_boxes
    table = renamed(whole, names, options.columns, "images", ledger)
    _require_path(table, whole)
    lesion_table = table if lesions_path is None and has_boxes(table) and options.lesions != _NONE else None
    if lesions_path is not None:
        other = read_table(lesions_path, form=form)
        read.append(other)
        lesion_table = renamed(other, KEY_NAMES | of_boxes, options.columns, "lesions", ledger)
    require_used(options.columns, read)
    if lesion_table is None:
        ledger.note("no table of lesions: every image counts as without lesion")
    elif lesion_table.rows.empty:
        ledger.note(f"{lesion_table.path.name}: has no rows: every image counts as without lesion")
    return _Tables(table, lesion_table)


def _require_path(table: Table, whole: Table) -> None:
    if "path" not in table.rows:
        raise DatasetError(
            f"{table.path}: no column path, the only one that every images table needs (the first line has: "
            f"{', '.join(whole.rows.columns)}); add it, or name yours with --set columns=path:YOUR_NAME"
        )
    if table.rows.empty:
        raise DatasetError(f"{table.path}: has no rows below its header; write one for each image")


def _table_paths(place: Path, images: str | None, lesions: str | None) -> tuple[Path, Path | None]:
    """Return the file of the images, and that of the lesions if it is another."""
    folder = place if place.is_dir() else place.parent
    own_lesions = None if lesions in (None, _NONE) else _existing(folder / str(lesions), "lesions")
    if place.is_file():
        return place, own_lesions
    if not place.is_dir():
        raise DatasetError(f"{place}: no such file or folder; name the tables with --tables")
    files = table_files(folder)
    of_images = _existing(folder / images, "images") if images else named(files, IMAGES)
    if of_images is None and len(files) == 1 and own_lesions is None:
        of_images = files[0]
    if of_images is None:
        there = ", ".join(path.name for path in files) or "no .csv, .tsv or .txt"
        raise DatasetError(
            f"{folder}: no images.csv (there is: {there}); name the table with --tables FILE or "
            "--set images=NAME"
        )
    if own_lesions is None and lesions != _NONE:
        own_lesions = named([path for path in files if path != of_images], LESIONS)
        others = [path.name for path in files if path != of_images]
        if own_lesions is None and others:
            raise DatasetError(
                f"{folder}: no lesions.csv beside {of_images.name}, but {', '.join(others)}; name the table "
                f"of lesions with --set lesions={others[0]}; if no image has any, say --set lesions=none"
            )
    return of_images, own_lesions


def _existing(path: Path, option: str) -> Path:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; --set {option}= names a table in the folder of the tables")
    return path
