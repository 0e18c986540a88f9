"""Training curves: what each run minimised, and the metric that chose its epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

LOSS_PREFIXES = ("detection/", "impa/", "distill/", "mammograms/")
_RATIO = "distill/ratio"  # in the log beside the losses, but none
# Okabe and Ito's colours; marks and dashes tell the lines apart without them.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_MARKS = ("o", "s", "^", "D", "v")
_DASHES = ("-", "--", "-.", ":", "-")
_VALIDATION = "validation/"
_WIDTH, _NARROWEST = 10.5, 2.7
"""Inches of the figure, and of a column that still holds its legend."""

LogRows = Sequence[Mapping[str, float]]


def curves_figure(runs: Sequence[tuple[str, LogRows, str, int]]) -> Figure:
    """Draw one column per run: loss terms above, the validation metric below.

    Args:
        runs: title, rows of ``log.csv``, name of the metric that chose the epoch, and that epoch.
    """
    figure = Figure(figsize=(max(_WIDTH, _NARROWEST * len(runs)), 5.6), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(runs), sharex="col", squeeze=False)
    for column, (title, rows, metric, best_epoch) in enumerate(runs):
        above, below = panels[0, column], panels[1, column]
        _draw_losses(above, rows)
        plain = title.replace("$", r"\$")  # between two of them matplotlib would read a formula
        above.set_title(plain, loc="left", fontsize=11)
        _draw_metric(below, rows, metric, best_epoch)
        for panel in (above, below):
            panel.grid(color="#dddddd", linewidth=0.6)
            panel.set_axisbelow(True)
            panel.spines[["top", "right"]].set_visible(False)
    for metric in {metric for _, _, metric, _ in runs}:  # what is compared has one scale
        same = [panels[0, column] for column, run in enumerate(runs) if run[2] == metric]
        highest = max(panel.get_ylim()[1] for panel in same)
        for panel in same:
            panel.set_ylim(0.0, highest)
    panels[0, 0].set_ylabel("Loss terms (mean of the epoch)")
    panels[1, 0].set_ylabel("Validation metric")
    return figure


def loss_terms(rows: LogRows) -> list[str]:
    """Return the names of the loss terms in a log, in its order."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name.startswith(LOSS_PREFIXES) and name != _RATIO]


def _draw_losses(panel: Axes, rows: LogRows) -> None:
    for number, name in enumerate(loss_terms(rows)):
        kept = [row for row in rows if name in row]
        panel.plot(
            [row["epoch"] for row in kept],
            [row[name] for row in kept],
            _DASHES[number % len(_DASHES)],
            marker=_MARKS[number % len(_MARKS)],
            markersize=4,
            color=_COLORS[number % len(_COLORS)],
            label=name,
        )
    panel.set_ylim(bottom=0.0)
    panel.legend(fontsize=8, frameon=False)


def _draw_metric(panel: Axes, rows: LogRows, metric: str, best_epoch: int) -> None:
    name = _VALIDATION + metric
    kept = [row for row in rows if name in row]
    panel.plot(
        [row["epoch"] for row in kept], [row[name] for row in kept], "-o", markersize=4, color=_COLORS[0]
    )
    for row in kept:
        if row["epoch"] == best_epoch:
            label = f"kept: epoch {best_epoch}, {row[name]:.2f}"
            panel.plot(
                [best_epoch],
                [row[name]],
                "*",
                markersize=15,
                color=_COLORS[1],
                markeredgecolor="white",
                label=label,
            )
            panel.legend(fontsize=8, frameon=False, loc="lower right")
    panel.set_ylim(0.0, 1.03)
    panel.set_xlabel("Epoch")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.text(0.02, 0.97, metric.replace("_", " "), transform=panel.transAxes, fontsize=8, va="top")
