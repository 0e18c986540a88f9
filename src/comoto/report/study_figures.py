"""The figures of a study: sensitivity against patients, differences, FROC curves, sizes of lesions.

Regimes stand side by side; a variant keeps its colour, dashes and mark in every figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from comoto.evaluation.bootstrap import LEVEL
from comoto.evaluation.runs import RunsFroc, SizeGroup
from comoto.study.config import StudyConfig
from comoto.study.results import Place
from comoto.study.table import MEAN, VariantRow, percent

# Okabe and Ito's colours stay apart for colour-blind readers; marks and dashes tell variants apart on paper.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_DASHES = ("-", "--", "-.", ":")
_FPS_END = 5.0
_BAND = f"band: {100 * LEVEL:.0f} % interval over runs and patients"
MOST_BANDS = 4
"""Bands of more variants cover each other and hide the lines."""
_NO_BANDS = "without bands, which would cover each other; the intervals are in table.csv"


@dataclass(frozen=True)
class Style:
    """How a variant is drawn everywhere."""

    color: str
    mark: str
    dashes: str


def styles(study: StudyConfig) -> dict[str, Style]:
    """Give each variant a colour, a mark and dashes, in the order of the study."""
    return {
        name: Style(
            _COLORS[number % len(_COLORS)], _MARKS[number % len(_MARKS)], _DASHES[number % len(_DASHES)]
        )
        for number, name in enumerate(study.variants)
    }


def fractions_figure(study: StudyConfig, rows: Sequence[VariantRow]) -> Figure:
    """Draw mean sensitivity against the share of the patients, one panel a regime."""
    figure, panels = _figure(study, 4.6, 4.0)
    for panel, regime in zip(panels, study.regimes, strict=True):
        for name, style in styles(study).items():
            own = [row for row in rows if (row.regime, row.variant) == (regime, name) and row.runs]
            if own:
                _draw_variant(panel, own, style, name, _has_bands(study))
        panel.set_title(regime, loc="left", fontsize=11)
        _fraction_axis(panel, study.fractions)
        _clean(panel)
    panels[0].set_ylabel("Mean sensitivity at 1-4 FP per volume")
    _legend(figure, panels, _BAND if _has_bands(study) else _NO_BANDS)
    return figure


def differences_figure(study: StudyConfig, rows: Sequence[VariantRow]) -> Figure:
    """Draw each variant minus the reference with its interval, one panel a regime; filled if that is sure."""
    compared = {(row.fraction, row.variant) for row in rows if row.comparison is not None}
    places = [each for each in product(sorted(study.fractions), study.variants) if each in compared]
    figure, panels = _figure(study, 4.6, 1.2 + 0.24 * len(places))
    looks = styles(study)
    for panel, regime in zip(panels, study.regimes, strict=True):
        panel.axvline(0.0, color="#666666", linewidth=1)
        for row in rows:
            if row.regime == regime and row.comparison is not None:
                _draw_difference(panel, places.index((row.fraction, row.variant)), row, looks[row.variant])
        for border, (one, other) in enumerate(pairwise(places)):
            if one[0] != other[0]:
                panel.axhline(border + 0.5, color="#cccccc", linewidth=0.8)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.set_ylim(max(len(places), 1) - 0.5, -0.5)
        panel.set_yticks(range(len(places)), [f"{name}, {percent(fraction)}" for fraction, name in places])
        panel.set_title(regime, loc="left", fontsize=11)
        panel.set_xlabel(f"Mean sensitivity minus {study.reference}")
        _clean(panel)
        panel.grid(visible=False, axis="y")
    ends = [panel.get_xlim() for panel in panels]
    for panel in panels:  # what is compared has one scale
        panel.set_xlim(min(low for low, _ in ends), max(high for _, high in ends))
    return figure


def froc_curves_figure(study: StudyConfig, curves: Mapping[Place, RunsFroc]) -> Figure:
    """Draw the mean FROC curve of each variant's runs, a row of panels per regime, a column per fraction."""
    figure, panels = _grid_of_panels(study)
    looks = styles(study)
    for (regime, fraction, variant), curve in curves.items():
        panel, style = panels[regime, fraction], looks[variant]
        panel.plot(
            curve.fps_per_image, curve.mean, style.dashes, color=style.color, linewidth=1.7, label=variant
        )
        if curve.band is not None and _has_bands(study):
            panel.fill_between(
                curve.band.fps_per_image,
                curve.band.low,
                curve.band.high,
                color=style.color,
                alpha=0.10,
                linewidth=0,
            )
    for (regime, fraction), panel in panels.items():
        panel.set_xlim(0.0, _FPS_END)
        panel.set_ylim(0.0, 1.0)
        if fraction == min(study.fractions):
            panel.set_ylabel("Sensitivity")
        if regime == list(study.regimes)[-1]:
            panel.set_xlabel("FP per volume with a lesion")
    _legend(figure, list(panels.values()), _BAND if _has_bands(study) else _NO_BANDS)
    return figure


def sizes_figure(study: StudyConfig, groups: Mapping[Place, Sequence[SizeGroup]]) -> Figure:
    """Draw the share of lesions found in each group of sizes with its interval, panels as the curves'."""
    figure, panels = _grid_of_panels(study)
    looks = styles(study)
    step = min(0.2, 0.7 / len(looks))  # variants of a group stay closer together than groups
    names: list[str] = []
    for (regime, fraction, variant), own in groups.items():
        panel, style = panels[regime, fraction], looks[variant]
        names = [size_name(group) for group in own]
        place = np.arange(len(own)) + step * (list(looks).index(variant) - (len(looks) - 1) / 2)
        panel.plot(
            place,
            [group.sensitivity for group in own],
            style.mark,
            color=style.color,
            markersize=5,
            label=variant,
        )
        for x, group in zip(place, own, strict=True):
            if group.interval is not None:
                panel.plot(
                    [x, x], [group.interval.low, group.interval.high], "-", color=style.color, linewidth=1.2
                )
    for (_, fraction), panel in panels.items():
        panel.set_xlim(-0.5, len(names) - 0.5)
        panel.set_xticks(range(len(names)), names, fontsize=8)
        panel.set_ylim(-0.03, 1.03)
        panel.grid(visible=False, axis="x")
        if fraction == min(study.fractions):
            panel.set_ylabel("Lesions found at 2 FP")
    _legend(figure, list(panels.values()), _BAND.replace("band", "line"))
    return figure


def size_name(group: SizeGroup) -> str:
    """Return "12 to 20": the last edge of the groups lies just above the largest size."""
    low, high = round(group.low), round(group.high)
    return f"{low} to {high}" if high > low else f"{low}"


def _grid_of_panels(study: StudyConfig) -> tuple[Figure, dict[tuple[str, float], Axes]]:
    """Return a row of panels per regime and a column per fraction."""
    fractions, regimes = sorted(study.fractions), list(study.regimes)
    figure = Figure(
        figsize=(max(2.7 * len(fractions), 5.4), 2.6 * len(regimes) + 0.6), layout="constrained", dpi=150
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(regimes), len(fractions), sharex=True, sharey=True, squeeze=False)
    panels = {}
    for line, regime in zip(grid, regimes, strict=True):
        for panel, fraction in zip(line, fractions, strict=True):
            panel.set_title(f"{regime}, {percent(fraction)}", loc="left", fontsize=10)
            _clean(panel)
            panels[regime, fraction] = panel
    return figure, panels


def _figure(study: StudyConfig, width: float, height: float) -> tuple[Figure, list[Axes]]:
    count = len(study.regimes)
    figure = Figure(figsize=(max(width * count, 5.6), height), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, count, sharey=True, squeeze=False)[0])


def _has_bands(study: StudyConfig) -> bool:
    return len(study.variants) <= MOST_BANDS


def _draw_variant(panel: Axes, rows: Sequence[VariantRow], style: Style, name: str, band: bool) -> None:
    ordered = sorted(rows, key=lambda row: row.fraction)
    x = [100 * row.fraction for row in ordered]
    mean = [row.mean[MEAN] for row in ordered]
    low, high = ([getattr(row.interval, side) for row in ordered] for side in ("low", "high"))
    look: dict[str, Any] = {"color": style.color, "label": name}
    panel.plot(x, mean, style.dashes, marker=style.mark, markersize=5, linewidth=1.7, **look)
    if band:
        panel.fill_between(x, low, high, color=style.color, alpha=0.10, linewidth=0)


def _draw_difference(panel: Axes, place: int, row: VariantRow, style: Style) -> None:
    found = row.comparison
    if found is None or math.isnan(found.interval.low):
        return
    panel.plot(
        [found.interval.low, found.interval.high], [place, place], "-", color=style.color, linewidth=1.6
    )
    face = style.color if found.is_sure else "white"
    panel.plot([found.value], [place], style.mark, color=style.color, markerfacecolor=face, markersize=6)


def _fraction_axis(panel: Axes, fractions: Sequence[float]) -> None:
    panel.set_xscale("log")
    panel.set_xticks([100 * each for each in fractions], [f"{100 * each:g}" for each in fractions])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("Share of the training patients, %")


def _clean(panel: Axes) -> None:
    panel.grid(color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, panels: Sequence[Axes], note: str) -> None:
    """Put one legend for all panels below them."""
    handles: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        columns = int(np.clip(len(handles), 1, 5))
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=columns,
            fontsize=9,
            title=note,
            title_fontsize=8,
            frameon=False,
        )
