from dataclasses import dataclass

import pytest

from comoto.config import load_train_config
from comoto.report.breakdown import size_groups
from comoto.report.curves_figure import curves_figure, loss_terms
from comoto.report.demo_folder import Stage, stage_table
from comoto.report.findings import evenly
from comoto.report.training_runs import differences


@dataclass
class Sized:
    """Stands in for a lesion: its height is 4."""

    width: float

    @property
    def sides(self):
        return self.width, 4.0


def test_thirds_by_size_keep_equal_lesions_together():
    groups = size_groups(tuple(Sized(side) for side in (30, 10, 10, 10, 12, 20, 22, 40, 41)))
    # thirds end at 10.0 + 2/3 (12 - 10) = 11.33 and 22 + 1/3 (30 - 22) = 24.67
    sizes = {name: sorted(lesion.width for lesion in lesions) for name, lesions in groups.items()}
    assert sizes == {"10": [10, 10, 10], "12 to 22": [12, 20, 22], "30 to 41": [30, 40, 41]}
    assert list(size_groups((Sized(8), Sized(8)))) == ["8"]


def test_evenly_keeps_first_and_last():
    assert evenly(range(11), 6) == [0, 2, 4, 6, 8, 10]
    assert evenly([3, 1], 6) == [3, 1]
    assert evenly([], 6) == []


def run(*overrides):
    return load_train_config("demo", overrides)


def test_only_differing_settings_are_listed():
    first = run("distill.kind=none")
    second = run("distill.kind=none", "seed=3", "batch.size=4")
    found = list(differences([first, second]).items())
    assert found == [("seed", ["0", "3"]), ("batch.size", ["8", "4"])]
    assert differences([first, first]) == {}
    found = differences([first, run("distill.kind=lesion_points")])
    assert found["distill.kind"] == ["none", "lesion_points"]
    assert found["distill.num_points"] == ["not set", "9"]


def test_a_setting_is_listed_if_any_of_several_runs_differs():
    plain = run("distill.kind=none", "joint.size=0")
    taught = run("distill.kind=lesion_points", "joint.size=0")
    mixed = run("distill.kind=none", "joint.size=6")
    found = differences([plain, taught, mixed])
    assert found["distill.kind"] == ["none", "lesion_points", "none"]
    assert found["distill.num_points"] == ["not set", "9", "not set"]
    assert found["joint.size"] == ["0", "0", "6"]
    assert "seed" not in found
    assert differences([plain] * 4) == {}


def test_stages_are_summed_and_compared_with_the_longest():
    stages = [
        Stage(name="simulate", seconds=30, peak_mib=None),
        Stage(name="train", seconds=120, peak_mib=2048),
    ]
    table = stage_table(stages)
    assert [(row["seconds"], row["percent"], row["peak"]) for row in table["rows"]] == [
        ("30 s", 25.0, ""),
        ("2 min 00 s", 100.0, "2.0 GiB"),
    ]
    assert (table["total"], table["peak"]) == ("2 min 30 s", "2.0 GiB")
    assert stage_table([])["total"] == "0.0 s"


def test_curves_mark_the_kept_epoch_and_share_a_scale():
    rows = [
        {"epoch": 1.0, "detection/box": 2.0, "learning_rate": 1e-3},
        {"epoch": 2.0, "detection/box": 0.5, "validation/score": 0.25},
    ]
    other = [
        {"epoch": 1.0, "detection/box": 0.4, "distill/x": 0.1, "distill/ratio": 0.25, "validation/score": 0.5}
    ]
    figure = curves_figure([("One", rows, "score", 2), ("Two", other, "score", 1)])
    above_one, above_two, below_one, below_two = figure.axes
    assert above_one.get_ylim() == above_two.get_ylim()
    assert [line.get_label() for line in above_two.lines] == ["detection/box", "distill/x"]
    star = below_one.lines[1]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, 0.25)
    assert star.get_label() == "kept: epoch 2, 0.25"
    assert list(below_one.lines[0].get_xdata()) == [2.0]
    assert len(below_two.lines) == 2
    assert loss_terms(rows) == ["detection/box"]


@pytest.mark.parametrize(("runs", "width"), [(2, 10.5), (3, 10.5), (4, 10.8), (6, 16.2)])
def test_each_run_has_a_column_of_curves_that_holds_its_legend(runs, width):
    rows = [{"epoch": 1.0, "detection/box": 2.0, "validation/score": 0.25}]
    figure = curves_figure([(f"Run {number}", rows, "score", 1) for number in range(runs)])
    assert len(figure.axes) == 2 * runs
    assert figure.get_figwidth() == pytest.approx(width)
    for axes in figure.axes[runs:]:  # one epoch has one tick, and no fractions of epochs around it
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1.0]
