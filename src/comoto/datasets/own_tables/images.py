"""The images of the generic tables: what each row says, and what its file's header adds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.own_tables.columns import IMAGE_NAMES
from comoto.datasets.own_tables.options import CsvOptions
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.tables import Table, blank_cells, shown
from comoto.datasets.reading.views import parse_side, parse_view, view_keys
from comoto.errors import ConfigError, DatasetError, DicomError
from comoto.image_header import ImageHeader
from comoto.progress import track
from comoto.records import Modality, Split, View
from comoto.sources import read_source_header

_MAMMOGRAM = (
    "mammogram",
    "mammography",
    "ffdm",
    "dm",
    "2d",
    "digitalmammography",
    "fullfielddigitalmammogram",
)
_SYNTHETIC = ("cview", "sview", "synthetic", "synthetic2d", "synthesized2d", "insight2d")
_TOMOSYNTHESIS = ("tomosynthesis", "breasttomosynthesis", "digitalbreasttomosynthesis", "dbt", "tomo", "3d")
_MODALITIES = dict.fromkeys((*_MAMMOGRAM, *_SYNTHETIC), Modality.MAMMOGRAM.value) | dict.fromkeys(
    (*_TOMOSYNTHESIS, "bto"), Modality.TOMOSYNTHESIS.value
)
_UNDECIDED = ("mg",)
"""DICOM's Modality of mammograms and tomosynthesis alike: the file decides."""

_SPLITS = (
    dict.fromkeys(("train", "training"), Split.TRAIN.value)
    | dict.fromkeys(("validation", "valid", "val", "dev"), Split.VALIDATION.value)
    | dict.fromkeys(("test", "testing", "holdout"), Split.TEST.value)
)
_LONGEST_ID = 160
_FROM_HEADER = ("patient_id", "study_id", "laterality", "view", "modality")
_TEXTS = ("patient_id", "study_id", "view_key", "label")
_WHOLE = ("num_slices", "rows", "columns")


def parse_images(table: Table, options: CsvOptions, ledger: Ledger) -> pd.DataFrame:
    """Parse a table with our column names, one row an image.

    Returns:
        A row an image, the line as index: path (as written), image_id, patient_id, study_id, view, view_word,
        view_key, laterality, modality, split, label, num_slices, rows, columns; missing values where the
        table is silent.

    Raises:
        DatasetError: a cell is wrong; names file, lines and remedy.
    """
    rows = table.rows
    _require_said(table, options)
    table.refuse(rows["path"] == "", "path is empty", "name the file, or the folder of its slices")
    path = written_paths(rows["path"])
    images = pd.DataFrame({"path": path}, index=rows.index)
    images["image_id"] = rows.get("image_id", path.map(_shortened).astype("string"))
    bad = (images["image_id"] == "") | (images["image_id"].str.len() > _LONGEST_ID)
    table.refuse(bad, f"image_id is empty or longer than {_LONGEST_ID}", "give every image a short one")
    for column in ("image_id", "path"):
        repeated = images[column].duplicated(keep=False)
        table.refuse(repeated, f"the same {column} stands more than once", "keep one row of each image")
    for column in _TEXTS:
        images[column] = rows[column].mask(rows[column] == "", pd.NA) if column in rows else pd.NA
    for column in _WHOLE:
        images[column] = _counts(table, column, options) if column in rows else pd.NA
        images[column] = images[column].astype("Int64")
    images["modality"] = _words(table, "modality", _modality, options)
    images["split"] = _words(table, "split", _split, options).fillna(Split.TRAIN.value)
    if "split" not in rows:
        ledger.note("no column split: every image is train; 'comoto split' makes splits")
    _views(table, images, options)
    return images


def fill_from_headers(
    table: Table, images: pd.DataFrame, with_lesion: pd.Series[bool], options: CsvOptions, ledger: Ledger
) -> pd.DataFrame:
    """Open the headers that are needed and complete the images.

    Args:
        table: where they were read; complaints name its lines.
        images: of ``parse_images``, but their ``path`` is absolute.
        with_lesion: which have one: their size must be known. Aligned with ``images``.
        options: ``headers`` says which are opened.
        ledger: gets a line for each file that cannot be read, or is not of the kind that the table names.

    Returns:
        The images with nothing missing but sizes and numbers of slices.

    Raises:
        DatasetError: neither table nor file says whose image it is, or which view; or none can be read.
    """
    images = images.copy()
    silent = images[list(_FROM_HEADER)].isna().any(axis=1)
    unsized = images[["rows", "columns"]].isna().any(axis=1) | (
        images["num_slices"].isna() & (images["modality"] != Modality.MAMMOGRAM.value)
    )
    needed = silent | (with_lesion & unsized) | _folders_of_mammograms(images)
    if options.headers == "never":
        needed[:] = False
    elif options.headers == "all":
        needed[:] = True
    headers, unread = _headers(table, images[needed])
    ledger.drop(*unread)
    kept = images.drop(index=[line for line in images.index[needed] if line not in headers])
    _fill(table, kept, headers, ledger)
    _require(table, kept, options)
    if kept.empty and not images.empty:
        raise DatasetError(f"{table.path}: no image of it can be read; the first: {unread[0]}")
    return kept


def with_view_keys(images: pd.DataFrame) -> pd.Series[str]:
    """Return ``view_key``: the table's own, else side and projection, numbered within study and modality."""
    made = images["laterality"].str.lower() + images["view_word"].str.lower()
    keys = images["view_key"].astype("string").fillna(made)
    within = images["study_id"].astype(str) + "\n" + images["modality"].astype(str)
    return pd.Series(view_keys(list(within), list(keys)), index=images.index, dtype="string")


def written_paths(cells: pd.Series[str]) -> pd.Series[str]:
    """Return paths as both tables may write them, in one form: ``/`` between parts, no ``./`` in front."""
    return cells.str.replace("\\", "/", regex=False).str.removeprefix("./")


def _shortened(path: str) -> str:
    """Return a path as an image's name; stores make file names of them, so very long ones are cut."""
    if len(path) <= _LONGEST_ID:
        return path
    return f"{hashlib.sha256(path.encode()).hexdigest()[:12]}_{path[13 - _LONGEST_ID :]}"


def _counts(table: Table, column: str, options: CsvOptions) -> pd.Series[float]:
    values = table.optional_numbers(column, options.decimal)
    bad = values.notna() & ((values != values.round()) | (values < 1))
    table.refuse(bad, f"{column} is no count", "write a whole number of at least 1, or leave it empty")
    return values


def _words(table: Table, column: str, parse: Callable[[str], Any], options: CsvOptions) -> pd.Series[Any]:
    """Return the parsed words of a column, missing where a cell is blank; each word is parsed once."""
    if column not in table.rows:
        return pd.Series(pd.NA, index=table.rows.index, dtype="object")
    cells = table.rows[column]
    blank = blank_cells(cells) & ~cells.str.lower().isin(list(options.words))
    meanings: Mapping[str, Any] = {
        word: parse(options.words.get(word.lower(), word)) for word in cells[~blank].unique()
    }
    bad = ~blank & cells.isin([word for word, meaning in meanings.items() if meaning is None])
    if bad.any():
        word = shown(cells[bad].iloc[0])
        table.refuse(
            bad,
            f"{column} '{word}' is not understood",
            f"write {_EXPECTED[column]}, or say what it means with --set words={word}:OUR_WORD",
        )
    return cells.map(lambda word: meanings.get(word, pd.NA)).astype("object")


_EXPECTED = {
    "laterality": "L or R",
    "view": "CC, MLO or another of DICOM's view positions",
    "modality": "mammogram or tomosynthesis",
    "split": "train, validation or test",
}


def _modality(word: str) -> Any:
    plain = "".join(sign for sign in word.lower() if sign.isalnum())
    return pd.NA if plain in _UNDECIDED else _MODALITIES.get(plain)


def _side(word: str) -> str | None:
    side = parse_side(word)
    return None if side is None else side.value


def _split(word: str) -> str | None:
    return _SPLITS.get(word.lower())


def _require_said(table: Table, options: CsvOptions) -> None:
    """Check that the user's words stand in the table.

    Raises:
        ConfigError: one does not: it is misspelt, or of another table.
    """
    columns = [name for name in _EXPECTED if name in table.rows]
    said = {word for column in columns for word in table.rows[column].str.lower().unique()}
    for word in options.words:
        if word not in said:
            raise ConfigError(
                f"--set words={word}:...: no cell of {', '.join(columns) or ', '.join(_EXPECTED)} in "
                f"{table.path.name} is '{word}'; correct the word, or leave it out"
            )


def _views(table: Table, images: pd.DataFrame, options: CsvOptions) -> None:
    """Set laterality, view and view_word from the columns laterality and view, which may name the side."""
    views = _words(table, "view", parse_view, options)
    sides = _words(table, "laterality", _side, options)
    known = views.notna()
    images["view"] = views[known].map(lambda found: found.view.value)
    images["view_word"] = views[known].map(lambda found: found.word + found.repeat)
    of_view = (
        views[known]
        .map(lambda found: found.laterality.value if found.laterality else pd.NA)
        .reindex(images.index)
    )
    both = of_view.notna() & sides.notna()
    table.refuse(both & (of_view != sides), "laterality is not the side that view names", "correct the table")
    images["laterality"] = sides.where(sides.notna(), of_view)


def _folders_of_mammograms(images: pd.DataFrame) -> pd.Series[bool]:
    """Say which mammograms are folders: one that holds several files is most likely a volume."""
    kinds = images["modality"] == Modality.MAMMOGRAM.value
    folders = [is_one and os.path.isdir(path) for path, is_one in zip(images["path"], kinds, strict=True)]  # noqa: PTH112
    return pd.Series(folders, index=images.index, dtype=bool)


def _headers(table: Table, images: pd.DataFrame) -> tuple[dict[int, ImageHeader], list[str]]:
    headers: dict[int, ImageHeader] = {}
    dropped: list[str] = []
    rows = zip(images.index, images["path"], images["modality"], strict=True)
    for line, path, modality in track(rows, "read headers", len(images)):
        try:
            header = read_source_header(Path(path))
            _require_modality(header, modality)
            headers[int(line)] = header
        except DicomError as error:
            dropped.append(f"{table.path.name}: line {line}: {error}")
    return headers, dropped


def _require_modality(header: ImageHeader, modality: Any) -> None:
    if pd.isna(modality) or (modality == Modality.TOMOSYNTHESIS.value) == header.is_multiframe:
        return
    raise DicomError(
        f"{header.path}: modality is {modality}, but there "
        f"{f'are {header.num_frames} slices' if header.is_multiframe else 'is one frame only'}; correct the "
        "cell, or leave it empty for the file to decide"
    )


def _fill(table: Table, images: pd.DataFrame, headers: Mapping[int, ImageHeader], ledger: Ledger) -> None:
    """Complete the images in place; note where table and file differ."""
    if not headers:
        return
    said = pd.DataFrame({line: _said(header) for line, header in headers.items()}, dtype="object").T
    for column in ("laterality", "view", "modality", *_WHOLE):
        ours, theirs = images.loc[said.index, column], said[column]
        differ = ours.notna() & theirs.notna() & (ours.astype(object) != theirs)
        if differ.any():
            where = lines_text(list(said.index[differ]))
            winner = "file" if column in _WHOLE else "table"
            ledger.note(f"{table.path.name}: {column} is not that of the file in {where}; the {winner} wins")
        keep_theirs = theirs.notna() if column in _WHOLE else ours.isna()
        images.loc[said.index[keep_theirs], column] = theirs[keep_theirs]
    for column in ("patient_id", "study_id", "view_word"):
        ours = images.loc[said.index, column]
        images.loc[said.index[ours.isna()], column] = said[column][ours.isna()]


def _said(header: ImageHeader) -> dict[str, Any]:
    side = parse_side(header.laterality_tag or "")
    view = parse_view(header.view_position or "")
    other = (header.view_position or "").strip().upper()
    kind = Modality.TOMOSYNTHESIS if header.is_multiframe else Modality.MAMMOGRAM
    return {
        "patient_id": header.patient_id or pd.NA,
        "study_id": header.study_instance_uid or pd.NA,
        "laterality": pd.NA if side is None else side.value,
        "view": (View.OTHER.value if other else pd.NA) if view is None else view.view.value,
        "view_word": (other or pd.NA) if view is None else view.word,
        "modality": kind.value,
        "num_slices": header.num_frames,
        "rows": header.rows,
        "columns": header.columns,
    }


def _require(table: Table, images: pd.DataFrame, options: CsvOptions) -> None:
    """Refuse images that nobody knows; a study that nobody names is the patient's only one."""
    source = (
        "is not in the table" if options.headers == "never" else "is neither in the table nor in the file"
    )
    present = Table(table.path, images)
    for column in ("patient_id", "view", "laterality", "modality"):
        names = ", ".join((column, *IMAGE_NAMES[column]))
        present.refuse(
            images[column].isna(),
            f"{column} {source}",
            f"add it in a column of the name {column} (understood too: {names}), or name yours with "
            f"--set columns={column}:YOUR_NAME",
        )
    images["study_id"] = images["study_id"].fillna(images["patient_id"])


def merged_rows(table: Table, key: str) -> Table:
    """Return the first row of each image of a table that has a row a lesion.

    Raises:
        DatasetError: rows of one image do not agree on it.
    """
    columns = [name for name in IMAGE_NAMES if name in table.rows]
    grouped = table.rows.groupby(key, sort=False)
    for column in columns:
        differs = table.rows[column] != grouped[column].transform("first")
        table.refuse(
            differs,
            f"{column} is not that of an earlier row of the same {key}",
            "let all rows of an image say the same of it",
        )
    first = table.rows[columns].drop_duplicates(key)
    if first.empty and not table.rows.empty:
        raise DatasetError(f"{table.path}: no image in it")
    return Table(table.path, first)
