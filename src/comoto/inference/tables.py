"""Finished images as the files of a prediction: the challenge's table, its sidecar, one for spreadsheets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from comoto.datasets.reading.views import view_keys
from comoto.depth import LISTS
from comoto.detections import Detections, mammogram_table, prediction_table
from comoto.inference.places import Places
from comoto.output_files import atomic_write, write_json
from comoto.progress import say
from comoto.records import Modality

FORMAT = "comoto-predictions-1"
TEXT_COLUMNS = ("PatientID", "StudyUID", "View", "image_id")
"""Columns of either table that hold names."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Entry = dict[str, Any]


def write_results(places: Places, about: dict[str, Any], entries: list[Entry]) -> None:
    """Write table and sidecar, and the copy for spreadsheets if one is wanted.

    Args:
        places: where.
        about: what stands in the sidecar besides the images; ``about["made_by"]["modality"]`` says which
            table.
        entries: finished images in the order of the table.
    """
    entries = [_in_unicode(entry) for entry in entries]
    is_volumes = about["made_by"]["modality"] == Modality.TOMOSYNTHESIS.value
    if is_volumes:
        entries = with_distinct_keys(entries)
    images = [Detections.from_json(entry) for entry in entries]
    table = prediction_table(images) if is_volumes else mammogram_table(images)
    with atomic_write(places.table) as part:
        _write_csv(part, table)
        write_json(places.sidecar, {"format": FORMAT, **about, "images": entries}, LISTS)
        if places.safe is not None:
            with atomic_write(places.safe) as safe:
                _write_csv(safe, spreadsheet_safe(table))


def with_distinct_keys(entries: Sequence[Entry]) -> list[Entry]:
    """Return volumes with keys that tell them apart, and say what was done.

    Tables are joined by study and view. Keys of a manifest (``has_keys``) stay as they are. Of the others, a
    view that repeats in a study is numbered, ``lcc``, ``lcc1``, ``lcc2``; where a file does not say its
    study, its path stands in that place.

    Args:
        entries: with ``study_id``, ``view_key``, ``path`` and ``has_keys``, which is left out of the result.
    """
    blank = [entry for entry in entries if not entry["has_keys"] and not entry["study_id"].strip()]
    if blank:
        say(
            f"{len(blank)} images do not say their study (first {blank[0]['path']}): their path stands as "
            "StudyUID; 'comoto index csv' gives images ids of your own"
        )
    known = [(entry["study_id"], entry["view_key"]) for entry in entries if entry["has_keys"]]
    free = [entry for entry in entries if not entry["has_keys"]]
    studies = [entry["study_id"] if entry["study_id"].strip() else entry["image_id"] for entry in free]
    keys = view_keys(
        [study for study, _ in known] + studies,
        [view for _, view in known] + [entry["view_key"] for entry in free],
    )[len(known) :]
    named = [
        {**entry, "study_id": study, "view_key": key}
        for entry, study, key in zip(free, studies, keys, strict=True)
    ]
    _say_repeated(free, named)
    numbered = iter(named)
    return [
        {key: value for key, value in one.items() if key != "has_keys"}
        for one in (entry if entry["has_keys"] else next(numbered) for entry in entries)
    ]


def spreadsheet_safe(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts no spreadsheet takes for a formula: a quote stands before such a text."""
    return table.map(lambda cell: f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell)


def _say_repeated(before: Sequence[Entry], after: Sequence[Entry]) -> None:
    changed = [two for one, two in zip(before, after, strict=True) if one["view_key"] != two["view_key"]]
    if not changed:
        return
    studies = Counter(entry["study_id"] for entry in changed)
    first = changed[0]
    say(
        f"{len(changed)} volumes repeat a view of their study ({len(studies)} studies) and are numbered, "
        f"such as {first['view_key']} of {first['path']}; the JSON file says which is which"
    )


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    path.write_text(table.to_csv(index=False, lineterminator="\n"), encoding="utf-8", newline="")


def _in_unicode(entry: Entry) -> Entry:
    """Return an entry whose texts any program reads: names of files that are no UTF-8 are escaped."""
    return {
        key: value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value
        for key, value in entry.items()
    }
