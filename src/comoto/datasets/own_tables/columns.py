"""Columns of the generic tables: their names, other names that are understood, and the user's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from comoto.components import suggest
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.tables import Table
from comoto.errors import ConfigError, DatasetError

IMAGE_NAMES = {
    "path": ("file", "filename", "file_path", "image_path", "dicom_path", "image_file"),
    "image_id": ("image", "sop_instance_uid", "sop_uid"),
    "patient_id": ("patient", "subject", "subject_id", "client"),
    "study_id": ("study", "study_instance_uid", "study_uid", "exam", "exam_id", "examination"),
    "view": ("view_position", "projection"),
    "view_key": (),
    "laterality": ("side", "breast", "image_laterality", "lateralität", "seite"),
    "modality": ("image_type",),
    "split": ("set", "subset", "partition"),
    "label": ("diagnosis", "status", "outcome", "pathology"),
    "num_slices": ("slices", "num_frames", "frames", "number_of_frames", "volume_slices"),
    "rows": ("image_height",),
    "columns": ("image_width",),
}
"""Columns of the images table, each with the names that mean the same."""

BOX_NAMES = {
    "x1": ("xmin", "left"),
    "y1": ("ymin", "top"),
    "x2": ("xmax", "right"),
    "y2": ("ymax", "bottom"),
    "x": (),
    "y": (),
    "width": ("w", "box_width"),
    "height": ("h", "box_height"),
    "slice_index": ("slice", "slice_number", "z", "frame"),
    "category": ("class", "finding", "lesion_type", "type"),
}
_CENTRES = ("{}_center", "{}_centre", "center_{}", "centre_{}", "c{}")
KEY_NAMES = {name: IMAGE_NAMES[name] for name in ("image_id", "path")}
LESION_NAMES = KEY_NAMES | BOX_NAMES
"""Columns of the lesions table."""

_TABLES = ("images", "lesions")
_SIGNS = re.compile(r"[\W_]")


def box_names(boxes: str | None) -> dict[str, tuple[str, ...]]:
    """Return the columns of a box, with the names that mean the same; those of a centre for ``yolo``."""
    if boxes != "yolo":
        return dict(BOX_NAMES)
    return BOX_NAMES | {axis: centre_names(axis) for axis in ("x", "y")}


def centre_names(axis: str) -> tuple[str, ...]:
    """Return what tables call the centre of a box on an axis."""
    return tuple(name.format(axis) for name in _CENTRES)


def parse_mapping(value: Any) -> dict[str, str]:
    """Return ``our:theirs,our:theirs`` as a dictionary; ``images.`` or ``lesions.`` may stand before ours.

    Args:
        value: that text, or a dictionary.

    Raises:
        ConfigError: it is written otherwise, or one of ours is no column.
    """
    mapping: dict[str, str] = {}
    parts = str(value or "").split(",")
    if isinstance(value, Mapping):
        parts = [":".join(pair) for pair in value.items()]
    for part in filter(None, (part.strip() for part in parts)):
        ours, colon, theirs = (piece.strip() for piece in part.partition(":"))
        if not (ours and colon and theirs):
            raise ConfigError(f"--set columns: '{part}'; expected our_name:your_name")
        table, _, name = ours.rpartition(".")
        known = {"": IMAGE_NAMES | LESION_NAMES, "images": IMAGE_NAMES, "lesions": LESION_NAMES}
        if table not in known or name not in known[table]:
            raise ConfigError(
                f"--set columns: '{ours}' is no column; {suggest(name, known.get(table) or _TABLES)}"
            )
        mapping[ours] = theirs
    return mapping


def renamed(
    table: Table, names: Mapping[str, Sequence[str]], chosen: Mapping[str, str], kind: str, ledger: Ledger
) -> Table:
    """Return the known columns under our names.

    Args:
        table: as it was read.
        names: columns that the table may have, with other names for them.
        chosen: the user's ``parse_mapping``; it wins.
        kind: ``images`` or ``lesions``, for ``chosen`` with that prefix.
        ledger: gets a note of the other columns.

    Raises:
        DatasetError: the user names a column that is not there, or two columns mean the same.
    """
    header = list(table.rows.columns)
    plain = {name: _plain(name) for name in header}
    found: dict[str, str] = {}
    for ours, others in names.items():
        own = chosen.get(f"{kind}.{ours}")
        common = chosen.get(ours)
        if own is not None and own not in header:
            raise DatasetError(
                f"{table.path}: no column '{own}', which --set columns names; {suggest(own, header)}"
            )
        wanted = own or (common if common in header else None)
        if wanted is None:
            wanted = _alias(table, ours, others, plain, set(chosen.values()))
        if wanted is not None:
            found[ours] = wanted
    rows = table.rows[list(found.values())].set_axis(list(found), axis=1)
    ignored = [name for name in header if name not in found.values()]
    if ignored:
        ledger.note(f"{table.path.name}: columns not used: {', '.join(ignored)}")
    return replace(table, rows=rows)


def require_used(chosen: Mapping[str, str], tables: Sequence[Table]) -> None:
    """Check that every column the user names stands in one of the tables.

    Raises:
        ConfigError: one does not.
    """
    known = [name for table in tables for name in table.rows.columns]
    for theirs in chosen.values():
        if theirs not in known:
            raise ConfigError(
                f"--set columns: no table has a column '{theirs}'; {suggest(theirs, set(known))}"
            )


def _alias(
    table: Table, ours: str, others: Sequence[str], plain: Mapping[str, str], reserved: set[str]
) -> str | None:
    """Return the column that means ours: our own name first, then one of the others."""
    exact = [name for name, word in plain.items() if word == _plain(ours) and name not in reserved]
    accepted = {_plain(other) for other in others}
    near = [name for name, word in plain.items() if word in accepted and name not in reserved]
    for candidates in (exact, near):
        if len(candidates) > 1:
            raise DatasetError(
                f"{table.path}: the columns {' and '.join(candidates)} may both be {ours}; say which with "
                f"--set columns={ours}:{candidates[0]}"
            )
        if candidates:
            return candidates[0]
    return None


def _plain(name: str) -> str:
    return _SIGNS.sub("", name).lower()
