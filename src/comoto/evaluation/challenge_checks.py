"""What cannot be in the challenge's tables, and what is odd in them: said by line, before any metric."""

from __future__ import annotations

import re

import numpy as np

from comoto.errors import DatasetError
from comoto.records import IntArray
from comoto.tables import BoolArray, Float64Array, Table

VolumeKey = tuple[str, str]

_SAME_SPLIT = "pass the label file and the box file of the same split"
_NO_DEPTH = -1
_UID = re.compile(r"[0-9]+(\.[0-9]+){3,}")
_ROUNDED = re.compile(r"[0-9](\.[0-9]+)?[eE]\+[0-9]+")


def check_boxes(table: Table, lesion_volume: IntArray, labels_name: str) -> None:
    """Refuse boxes that cannot be: without a place or size, on a slice beyond the volume, on no volume.

    Args:
        table: the boxes (L,).
        lesion_volume: (L,) number of each box's volume, -1 where the labels have none.
        labels_name: what a message calls the labels.

    Raises:
        DatasetError: naming the lines.
    """
    if not len(table):
        raise DatasetError(
            f"{table.name}: holds no box, and a sensitivity needs at least one lesion; pass the boxes of a "
            "split that has some"
        )
    number = table.numbers
    for column in ("X", "Y", "Slice"):
        table.require(np.isfinite(number[column]), f"{column} is empty or infinite", "complete the rows")
    for column in ("Width", "Height", "VolumeSlices"):
        good = np.isfinite(number[column]) & (number[column] > 0)
        table.require(good, f"{column} is empty, infinite or not above 0", "correct the rows")
    table.require(
        (number["Slice"] >= 0) & (number["Slice"] < number["VolumeSlices"]),
        "Slice lies outside of the volume",
        "slices are counted from 0, up to VolumeSlices - 1",
    )
    table.require(lesion_volume >= 0, f"boxes on volumes that {labels_name} does not name", _SAME_SPLIT)


def first_of_each_row(table: Table, thing: str, effect: str) -> tuple[BoolArray, tuple[str, ...]]:
    """Return which rows (N,) of the read columns have not stood before, and what to say of the others.

    Args:
        table: all its columns but ``VolumeSlices`` are compared.
        thing: what a row is, such as ``box of the same volume``.
        effect: what is done with the others.
    """
    columns = [*table.texts.values()]
    columns += [values.tolist() for name, values in table.numbers.items() if name != "VolumeSlices"]
    first = _first_of_each(list(zip(*columns, strict=True)))
    if first.all():
        return first, ()
    return first, (f"{table.name}: {_rows(~first)} the same {thing} again ({table.where(~first)}); {effect}",)


def check_predictions(table: Table) -> None:
    """Refuse predictions that cannot be; a Depth of -1 can, some programs write it for a single slice.

    Raises:
        DatasetError: naming the lines.
    """
    number = table.numbers
    for column in ("X", "Width", "Y", "Height", "Z", "Depth"):
        table.require(np.isfinite(number[column]), f"{column} is empty or infinite", "give every box a place")
    for column, least in (("Width", 0), ("Height", 0), ("Depth", _NO_DEPTH)):
        table.require(
            number[column] >= least,
            f"{column} is negative",
            "X, Y and Z are the least corner of a box, and its size is not below 0",
        )
    table.require(~np.isinf(number["Score"]), "Score is infinite", "write finite scores")
    if len(table) and np.isnan(number["Score"]).all():
        raise DatasetError(f"{table.name}: no prediction has a score; write one into each row")


def check_some_volume_is_known(table: Table, volume: IntArray, volumes: dict[VolumeKey, int]) -> None:
    """Refuse predictions none of which names a volume of the labels.

    Raises:
        DatasetError: naming a volume of each side, and the way out.
    """
    if not len(table) or (volume >= 0).any():
        return
    studies, views = table.texts["StudyUID"], table.texts["View"]
    strangers = list(dict.fromkeys(zip(studies, views, strict=True)))
    (study, view), (known_study, known_view) = strangers[0], next(iter(volumes))
    raise DatasetError(
        f"{table.name}: no prediction can hit anything: it names {len(strangers)} volumes (StudyUID, View), "
        f"such as {study} {view}, and none of the {len(volumes)} of the labels, such as {known_study} "
        f"{known_view}; {_way_out(strangers, volumes)}"
    )


def prediction_warnings(
    table: Table, volume: IntArray, volumes: dict[VolumeKey, int], volume_slices: Float64Array
) -> tuple[str, ...]:
    """Say what is odd about predictions that can be scored.

    Args:
        table: the predictions (N,).
        volume: (N,) number of the volume, -1 if the labels do not name it.
        volumes: number of each volume by its key.
        volume_slices: (V,) slices of each volume, NaN where it has no box.
    """
    if not len(table):
        return (f"{table.name}: holds no prediction; every metric is 0",)
    return (
        *score_warnings(table),
        *_place_warnings(table, np.where(volume >= 0, volume_slices[volume], np.nan)),
        *repeated_warning(table),
        *_unknown_warning(table, volume, volumes),
        *_coverage_warning(table, volume, ~np.isnan(volume_slices)),
    )


def score_warnings(table: Table, column: str = "Score") -> list[str]:
    """Say which predictions have no score, and that all have the same."""
    scores: Float64Array = table.numbers[column]
    warnings = []
    unscored = np.isnan(scores)
    if unscored.any():
        warnings.append(
            f"{table.name}: {unscored.sum()} of {len(table)} predictions have no score "
            f"({table.where(unscored)}); they never count"
        )
    if len(table) > 1 and len(np.unique(scores[~unscored])) == 1:
        warnings.append(
            f"{table.name}: every prediction has the same score, so there is one threshold and no curve: the "
            "metrics below the rate of all predictions lie on a straight line from 0"
        )
    return warnings


def _place_warnings(table: Table, slices: Float64Array) -> list[str]:
    number = table.numbers
    flat = (number["Width"] == 0) | (number["Height"] == 0)
    # Of a volume that is not known nothing can be said: NaN is not exceeded.
    beyond = (number["Z"] + np.maximum(number["Depth"], 0) < 0) | (number["Z"] >= slices)
    outside = (number["X"] + number["Width"] < 0) | (number["Y"] + number["Height"] < 0)
    return [
        f"{table.name}: {bad.sum()} of {len(table)} predictions {what} ({table.where(bad)}); {effect}"
        for bad, what, effect in (
            (flat, "have no area", "their centre decides, as in the challenge"),
            (beyond, "lie on slices that their volume does not have", "Z is the first slice, from 0"),
            (outside, "lie wholly left of or above the image", "X and Y are the upper left corner of a box"),
        )
        if bad.any()
    ]


def repeated_warning(table: Table) -> list[str]:
    """Say which predictions repeat an earlier row, or its box with another score."""
    columns = {**table.texts, **{name: values.tolist() for name, values in table.numbers.items()}}
    again = ~_first_of_each(list(zip(*columns.values(), strict=True)))
    places = [values for name, values in columns.items() if name.lower() != "score"]
    rescored = ~_first_of_each(list(zip(*places, strict=True))) & ~again
    return [
        f"{table.name}: {_rows(which)} the same {thing}, of {len(table)} ({table.where(which)}); each one "
        f"that hits nothing is a false positive of its own, as in the challenge: {remedy}"
        for which, thing, remedy in (
            (again, "prediction again", "remove them"),
            (rescored, "box as another with another score", "keep the highest of each box"),
        )
        if which.any()
    ]


def _unknown_warning(table: Table, volume: IntArray, volumes: dict[VolumeKey, int]) -> list[str]:
    unknown = np.flatnonzero(volume < 0)
    if not len(unknown):
        return []
    studies, views = table.texts["StudyUID"], table.texts["View"]
    strangers = list(dict.fromkeys((studies[row], views[row]) for row in unknown))
    hint = _spelling(strangers, volumes)
    return [
        f"{table.name}: {len(unknown)} of {len(table)} predictions name {len(strangers)} volumes that the "
        f"labels do not have, such as {strangers[0][0]} {strangers[0][1]}; they are false positives in the "
        f"metric over all volumes and left out of the other ones{f'; {hint}' if hint else ''}"
    ]


def _coverage_warning(table: Table, volume: IntArray, is_positive: BoolArray) -> list[str]:
    covered = int(is_positive[np.unique(volume[volume >= 0])].sum())
    if 2 * covered >= is_positive.sum():
        return []
    return [
        f"{table.name}: only {covered} of the {is_positive.sum()} volumes with a lesion have a prediction; "
        "the lesions on the others count as missed: was every volume predicted on?"
    ]


def _way_out(strangers: list[VolumeKey], volumes: dict[VolumeKey, int]) -> str:
    hint = _spelling(strangers, volumes) or _spoilt(strangers, volumes)
    if hint:
        return hint
    studies = {study for study, _ in volumes}
    if any(study in studies for study, _ in strangers):
        return "the studies are known and the views are not: write View as the labels do"
    if _UID.fullmatch(strangers[0][0]) and not any(_UID.fullmatch(study) for study in studies):
        return (
            "the predictions carry the Study Instance UID of the files, and the labels the data set's own "
            "names: predict on the manifest of the data set, or on files with 'comoto predict --manifest', "
            "which know both"
        )
    return "pass predictions on the split of these labels, with StudyUID and View copied as they stand there"


def _spelling(strangers: list[VolumeKey], volumes: dict[VolumeKey, int]) -> str:
    """Say how a stranger is written in the labels, if blanks and case are all that differs."""
    known = {(study.strip().lower(), view.strip().lower()): (study, view) for study, view in volumes}
    for study, view in strangers:
        meant = known.get((study.strip().lower(), view.strip().lower()))
        if meant is not None:
            pairs = [(a, b) for a, b in zip(meant, (study, view), strict=True) if a != b]
            return "names are compared exactly: write " + " and ".join(
                f"{right!r}, not {wrong!r}" for right, wrong in pairs
            )
    return ""


def _spoilt(strangers: list[VolumeKey], volumes: dict[VolumeKey, int]) -> str:
    """Say that a spreadsheet has changed names that look like numbers."""
    if any(_ROUNDED.fullmatch(study) for study, _ in strangers):
        return "a spreadsheet has rounded StudyUID: export the table again and import the column as text"
    bare = {study.lstrip("0"): study for study, _ in volumes if study.startswith("0")}
    for study, _ in strangers:
        meant = bare.get(study.removesuffix(".0").lstrip("0"))
        if meant is not None:
            return (
                f"a spreadsheet has taken the zeros from StudyUID ({meant} became {study}): export the table "
                "again and import the column as text"
            )
    return ""


def _first_of_each(keys: list[tuple[object, ...]]) -> BoolArray:
    """Return which keys (N,) have not stood before."""
    seen: set[tuple[object, ...]] = set()
    first = np.zeros(len(keys), dtype=bool)
    for place, key in enumerate(keys):
        first[place] = key not in seen
        seen.add(key)
    return first


def _rows(marked: BoolArray) -> str:
    count = int(marked.sum())
    return f"{count} row{'s are' if count > 1 else ' is'}"


def number_volumes(table: Table) -> dict[VolumeKey, int]:
    """Number the volumes of the labels.

    Raises:
        DatasetError: there is none, or one stands twice.
    """
    keys = list(zip(table.texts["StudyUID"], table.texts["View"], strict=True))
    if not keys:
        raise DatasetError(f"{table.name}: names no volume; the rate of false positives needs at least one")
    table.require(
        _first_of_each(list(keys)),
        "a volume (StudyUID, View) stands twice",
        "it would be counted twice; leave one row of each",
    )
    return {key: number for number, key in enumerate(keys)}
