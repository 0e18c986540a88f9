"""What stands beside the challenge's metric, as text under its summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from comoto.evaluation.beside import ALL_VOLUMES, AREAS, CHALLENGE, DEPTH_ERROR, Beside, Kinds, PartResult
from comoto.evaluation.challenge import MEAN_NAME, METRIC_ALL
from comoto.evaluation.depth_variants import (
    CONSTANT,
    CONSTANT_MILLIMETRES,
    CONSTANT_PREFIX,
    IN_PLANE,
    MILLIMETRES,
)
from comoto.evaluation.figures import CPM_FPS, CPM_NAME, Judged
from comoto.evaluation.groups import FEW_LESIONS, FEW_PATIENTS
from comoto.evaluation.wafroc import WAFROC

_WIDTH = 56
_FRACTIONS = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2"}


def beside_lines(result: Beside) -> list[str]:
    """Return the lines of everything."""
    lines = ["beside the challenge's metric", *_depth_lines(result)]
    for title, figure, digits in _other_titles(result.whole.kinds):
        lines.append(_line(title, figure, 2 if digits == 1 else 4))
    for column, parts in result.groups.items():
        lines += ["", *_group_lines(column, parts)]
    if any(part.is_small for parts in result.groups.values() for part in parts.values()):
        lines.append(
            f"  * fewer than {FEW_LESIONS} lesions, or lesions of fewer than {FEW_PATIENTS} patients"
        )
    if result.point is not None:
        lines += ["", result.point.text()]
    return lines


def _depth_lines(result: Beside) -> Iterator[str]:
    kinds = result.whole.kinds
    yield "  what counts as a hit in depth: mean sensitivity, positive volumes, 1-4 FP/volume"
    for name, title in _depth_titles(result).items():
        if name in kinds:
            yield _line(f"  {title}", kinds[name][MEAN_NAME])
    yield (
        f"    (a depth of {result.rules.constant:g} of the stack is right by the challenge's rule for "
        f"{100 * result.free_share:.1f} % of the lesions)"
    )


def figure_titles(result: Beside) -> Iterator[tuple[str, Judged, int]]:
    """Yield the figures of the whole cohort, each with what it is called and its decimals."""
    kinds = result.whole.kinds
    for name, title in _depth_titles(result).items():
        if name in kinds:
            yield f"Mean sensitivity, {title}", kinds[name][MEAN_NAME], 2
    for title, figure, digits in _other_titles(kinds):
        yield title if title.startswith("wAFROC") else title[:1].upper() + title[1:], figure, digits


def _depth_titles(result: Beside) -> dict[str, str]:
    tolerance = f"{result.rules.tolerance_mm or 0:g} mm"
    return {
        IN_PLANE: "any depth: by x and y alone",
        CONSTANT: f"every depth put at {result.rules.constant:g} of the stack",
        MILLIMETRES: f"within {tolerance} of the annotated slice",
        CONSTANT_MILLIMETRES: f"every depth put at {result.rules.constant:g}, within {tolerance}",
    }


def _other_titles(kinds: Kinds) -> Iterator[tuple[str, Judged, int]]:
    errors = kinds[DEPTH_ERROR]
    for unit in ("slices", "mm"):
        if f"median_{unit}" in errors:
            yield f"depth error of the best box of a lesion, median, {unit}", errors[f"median_{unit}"], 1
            yield f"depth error of the best box, 90 % quantile, {unit}", errors[f"quantile_90_{unit}"], 1
            yield (
                f"the same of one depth for all, median, {unit}",
                errors[f"{CONSTANT_PREFIX}median_{unit}"],
                1,
            )
    for fps in CPM_FPS:
        rate = _FRACTIONS.get(fps, f"{fps:g}")
        figure = kinds[ALL_VOLUMES][f"sensitivity_at_{fps:g}_fps_all"]
        yield f"sensitivity, all volumes, {rate} FP/volume", figure, 2
    yield "mean of these seven (CPM)", kinds[ALL_VOLUMES][CPM_NAME], 2
    for name, figure in kinds[AREAS].items():
        unit = name.removeprefix("auc_per_")
        title = "wAFROC figure of merit" if name == WAFROC else f"AUC per {unit}, by its largest score"
        yield title, figure, 2


def _line(title: str, figure: Judged, digits: int = 4) -> str:
    return f"  {title:<{_WIDTH}} {figure.text(digits)}"


def _group_lines(column: str, parts: Mapping[str, PartResult]) -> Iterator[str]:
    """Yield a row a group; the challenge's metric has its interval here, all have theirs in the JSON.

    Patients are those with a lesion of the group, volumes those on which false positives count.
    """
    width = max(len(column) + 5, *(len(value) + 4 for value in parts))
    heads = ["2 FP, all", "x, y alone", "constant z", "in mm", "CPM", "AUC breast", "AUC exam", "wAFROC"]
    rows = {value: _cells(part) for value, part in parts.items()}
    shown = [k for k in range(len(heads)) if any(cells[k] is not None for cells in rows.values())]
    head = f"by {column}".ljust(width) + "lesions patients volumes  mean 1-4 FP, positive   "
    yield head + "".join(f"{heads[k]:>11}" for k in shown)
    for value, part in parts.items():
        counts = f"{part.num_lesions:>7} {part.num_patients:>8} {part.num_volumes:>7}"
        main = part.kinds[CHALLENGE][MEAN_NAME].text(3)
        cells = "".join(f"{rows[value][k] or '-':>11}" for k in shown)
        yield f"{value + (' *' if part.is_small else ''):<{width}}{counts}  {main:<24}{cells}"


def _cells(part: PartResult) -> list[str | None]:
    """Return the figures of a row, None for a figure that this evaluation has not."""
    kinds = part.kinds
    figures = [
        kinds[CHALLENGE][METRIC_ALL],
        *(kinds[name][MEAN_NAME] if name in kinds else None for name in (IN_PLANE, CONSTANT, MILLIMETRES)),
        kinds[ALL_VOLUMES][CPM_NAME],
        *(kinds[AREAS].get(name) for name in ("auc_per_breast", "auc_per_exam", WAFROC)),
    ]
    return [None if figure is None else Judged(figure.value, None).text(3) for figure in figures]
