"""The FROC figure: sensitivity against false positives, with the band of the bootstrap.

Drawn without a display (the Agg canvas); no state of pyplot is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from comoto.errors import ConfigError
from comoto.evaluation.beside import Beside
from comoto.evaluation.bootstrap import LEVEL, Band
from comoto.evaluation.challenge import FPS_ALL, FPS_POSITIVE, ChallengeResult
from comoto.evaluation.depth_variants import depth_titles, depth_variants
from comoto.evaluation.figures import CPM_FPS
from comoto.evaluation.froc import Froc
from comoto.evaluation.mammogram import FPS_PER_IMAGE, MammogramResult
from comoto.evaluation.paired import positive_froc

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
# Okabe and Ito's colours stay apart for colour-blind readers; the dashes help on paper.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES = ("-", "--", "-.", ":")
_LOG_START = 0.1
_LINEAR_END, _LOG_END = 5.0, 8.0

Curve = tuple[str, Froc, Band | None]


def froc_figure(
    results: Sequence[tuple[str, ChallengeResult | MammogramResult]], log: bool = False
) -> Figure:
    """Draw results over each other.

    Results on volumes get two panels, one per denominator: volumes with a lesion, and all volumes, with marks
    where the challenge reads them. One result alone, with what stands beside the challenge's metric, gets a
    third, volumes with a lesion by other rules of depth, and marks at the rates of the CPM. Results on
    mammograms get one.

    Args:
        results: the name of each curve and its result; all on volumes, or all on mammograms.
        log: a logarithmic FP axis from 0.1 to 8 instead of a linear one from 0 to 5.

    Raises:
        ValueError: no result, or results on volumes and on mammograms together.
    """
    volumes = [(name, each) for name, each in results if isinstance(each, ChallengeResult)]
    mammograms = [(name, each) for name, each in results if isinstance(each, MammogramResult)]
    if bool(volumes) == bool(mammograms):
        raise ValueError("a FROC figure needs results, and of one kind: volumes or mammograms")
    beside = volumes[0][1].beside if len(volumes) == 1 else None
    count = (2 if beside is None else 3) if volumes else 1
    figure = Figure(figsize=(5.2 * count if volumes else 5.6, 4.6), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    if volumes:
        panels = list(figure.subplots(1, count, sharey=True))
        positive = [(name, each.froc_positive, _band(each, "positive")) for name, each in volumes]
        every = [(name, each.froc_all, _band(each, "all")) for name, each in volumes]
        _draw(panels[0], positive, FPS_POSITIVE, "volumes with a lesion")
        _draw(panels[1], every, FPS_ALL if beside is None else CPM_FPS, "volumes")
        _label(panels[0], "Volumes with a lesion (ranking)", "volume with a lesion")
        _label(panels[1], "All volumes (tie-break)", "volume, over all volumes")
        if beside is not None:
            rules = [("challenge", volumes[0][1].froc_positive, None), *_by_depth(beside)]
            _draw(panels[2], rules, FPS_POSITIVE, "")
            _label(panels[2], "Volumes with a lesion, by rule of depth", "volume with a lesion")
    else:
        panels = [figure.subplots()]
        curves = [(name, each.froc, _band(each, "images")) for name, each in mammograms]
        _draw(panels[0], curves, FPS_PER_IMAGE, "images")
        _label(panels[0], "Mammograms", "image")
    for panel in panels:
        _scale(panel, log)
    panels[0].set_ylabel("Sensitivity (share of lesions found)")
    return figure


def drawn(figure: Figure, path: Path) -> bytes:
    """Return the content of a file with the figure; the format follows the suffix of its path.

    Raises:
        ConfigError: the suffix is none of ``FIGURE_SUFFIXES``.
    """
    check_figure_path(path)
    page = BytesIO()  # matplotlib's PDF writer hides a full disk behind an error of its own
    figure.savefig(page, format=path.suffix[1:])
    return page.getvalue()


def check_figure_path(path: Path) -> None:
    """Raise a ConfigError if the suffix of ``path`` is none of ``FIGURE_SUFFIXES``."""
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise ConfigError(f"{path}: a figure ends in {', '.join(FIGURE_SUFFIXES)}")


def _by_depth(beside: Beside) -> list[Curve]:
    """Return a curve for each other rule of depth."""
    titles = depth_titles(beside.rules)
    variants = depth_variants(beside.found, beside.truth, beside.rules)
    return [(titles[name], positive_froc(found, beside.truth), None) for name, found in variants.items()]


def _band(result: ChallengeResult | MammogramResult, name: str) -> Band | None:
    return None if result.bootstrap is None else result.bootstrap.bands[name]


def _draw(panel: Axes, curves: Sequence[Curve], marked_fps: Sequence[float], things: str) -> None:
    """Draw lines, bands and a mark at each FP rate that the metric reads; counts only with ``things``."""
    for number, (name, curve, band) in enumerate(curves):
        color = _COLORS[number % len(_COLORS)]
        dashes = _DASHES[number % len(_DASHES)]
        plain = name.replace("$", r"\$")  # between two of them matplotlib would read a formula
        label = f"{plain} ({curve.num_lesions} lesions, {curve.num_images} {things})" if things else plain
        panel.plot(curve.fps_per_image, curve.sensitivity, dashes, color=color, linewidth=1.8, label=label)
        end = float(curve.fps_per_image[-1])
        if end < _LOG_END:
            last = float(curve.sensitivity[-1])
            panel.plot([end, _LOG_END], [last, last], ":", color=color, linewidth=1.2)
        at_marks = curve.sensitivity_at(marked_fps)
        panel.plot(marked_fps, at_marks, "o", color=color, markersize=5, markeredgecolor="white")
        if band is not None:
            panel.fill_between(band.fps_per_image, band.low, band.high, color=color, alpha=0.16, linewidth=0)


def _label(panel: Axes, title: str, per: str) -> None:
    panel.set_xlabel(f"Mean false positives per {per}")
    panel.set_title(title, loc="left", fontsize=11)
    note = f"shaded: {100 * LEVEL:.0f} % interval over patients" if panel.collections else None
    panel.legend(
        loc="lower right", title=note, fontsize=8, title_fontsize=8, framealpha=0.9, edgecolor="none"
    )


def _scale(panel: Axes, log: bool) -> None:
    if log:
        panel.set_xscale("log", base=2)
        panel.set_xlim(_LOG_START, _LOG_END)
        panel.xaxis.set_major_locator(FixedLocator([0.125, 0.25, 0.5, 1, 2, 4, 8]))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    else:
        panel.set_xlim(0.0, _LINEAR_END)
        panel.set_xticks(np.arange(0.0, _LINEAR_END + 0.5))
    panel.set_ylim(0.0, 1.02)
    panel.set_yticks(np.linspace(0.0, 1.0, 6))
    panel.grid(color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
