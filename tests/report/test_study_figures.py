"""What the figures of a study draw, and where."""

import numpy as np
import pytest

from comoto.evaluation.bootstrap import Interval
from comoto.evaluation.runs import SizeGroup
from comoto.report.study_figures import fractions_figure, sizes_figure
from comoto.study.config import StudyConfig
from comoto.study.table import METRICS, VariantRow

TWO_SIZES = [SizeGroup(low, low + 5, 2, 0.5, (0.5,), None) for low in (10, 15)]


def study_of(variants: int) -> StudyConfig:
    names = ["pretraining", *(f"variant{number}" for number in range(1, variants))]
    content = {"tomosynthesis": "/stores/volumes", "mammograms": "/stores/mammograms"}
    return StudyConfig.model_validate(
        {
            "name": "x",
            "data": content,
            "fractions": [0.5, 1.0],
            "variants": {name: {"impa": False} for name in names},
        }
    )


def rows_of(study: StudyConfig) -> list[VariantRow]:
    figures = dict.fromkeys(METRICS, 0.5)
    return [
        VariantRow("standard", fraction, variant, 2, 2, figures, figures, Interval(0.4, 0.6), None)
        for fraction in study.fractions
        for variant in study.variants
    ]


@pytest.mark.parametrize(("variants", "bands"), [(2, 2), (4, 4), (5, 0)])
def test_bands_of_more_than_four_arms_are_left_out(variants: int, bands: int) -> None:
    study = study_of(variants)
    figure = fractions_figure(study, rows_of(study))
    assert [len(panel.lines) for panel in figure.axes] == [variants]
    assert [len(panel.collections) for panel in figure.axes] == [bands]
    title = figure.legends[0].get_title().get_text()
    assert title.startswith("band: 95 %" if bands else "without bands")


@pytest.mark.parametrize("variants", [2, 3, 10])
def test_the_arms_of_a_size_stay_closer_to_each_other_than_to_the_next_size(variants: int) -> None:
    study = study_of(variants)
    figure = sizes_figure(study, {("standard", 1.0, variant): TWO_SIZES for variant in study.variants})
    panel = next(panel for panel in figure.axes if panel.lines)
    places = np.array([line.get_xdata() for line in panel.lines])  # variants x sizes
    within = np.diff(places[:, 0])
    assert within == pytest.approx(min(0.2, 0.7 / variants))
    assert places[0, 1] - places[-1, 0] > within.max()
    assert places.mean(axis=0) == pytest.approx([0.0, 1.0])  # around the label of the size
    assert panel.get_ylim()[0] < 0.0  # a mark at 0 is not cut
