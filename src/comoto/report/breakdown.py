"""Lesions found at the operating threshold, by size, finding and view."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from comoto.report.held_out import HeldOut, HeldOutLesion
from comoto.report.wording import of_total

SIZE_GROUPS = 3


def breakdowns(held_out: HeldOut) -> dict[str, dict[str, list[str]]]:
    """Split the test lesions by what is known of them; a property with one value only is left out.

    Returns:
        For each property and group how many of its lesions each model finds.
    """
    lesions = held_out.lesions
    unit = "pixels" if lesions[0].spacing is None else "mm"  # a truth without a lesion is refused
    groups = {
        f"Longer side of the box, {unit}": size_groups(lesions),
        "Finding": _grouped(lesions, lambda lesion: lesion.category),
        "View": _grouped(lesions, lambda lesion: lesion.record.view.value),
    }
    return {
        title: {name: _found(held_out, each) for name, each in by_name.items()}
        for title, by_name in groups.items()
        if len(by_name) > 1
    }


def size_groups(lesions: tuple[HeldOutLesion, ...]) -> dict[str, list[HeldOutLesion]]:
    """Split into thirds by size; lesions of equal size stay together, so groups may differ in number."""
    sizes = np.array([round(max(lesion.sides), 1) for lesion in lesions])
    edges = np.quantile(sizes, np.arange(1, SIZE_GROUPS) / SIZE_GROUPS)
    number = np.searchsorted(edges, sizes, side="left")
    groups: dict[str, list[HeldOutLesion]] = {}
    for each in np.unique(number):
        inside = sizes[number == each]
        name = f"{inside.min():g} to {inside.max():g}" if inside.min() < inside.max() else f"{inside.min():g}"
        groups[name] = [lesion for lesion, own in zip(lesions, number, strict=True) if own == each]
    return groups


def _grouped(
    lesions: tuple[HeldOutLesion, ...], name: Callable[[HeldOutLesion], str]
) -> dict[str, list[HeldOutLesion]]:
    names = sorted({name(lesion) for lesion in lesions} - {""})
    return {each: [lesion for lesion in lesions if name(lesion) == each] for each in names}


def _found(held_out: HeldOut, lesions: list[HeldOutLesion]) -> list[str]:
    numbers = {lesion.number for lesion in lesions}
    return [of_total(len(numbers & model.reported_lesions), len(lesions)) for model in held_out.models]
