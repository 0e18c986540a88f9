"""The figure: what is drawn stands where the numbers say, and files are whole or absent."""

import numpy as np
import pytest
from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume
from matplotlib.colors import to_hex

import comoto
from comoto.errors import ConfigError
from comoto.evaluation import evaluate, evaluate_mammograms
from comoto.output_files import output_files
from comoto.report.froc_figure import drawn, froc_figure

A = volume(1)


def result(bootstrap=0):
    table = predictions(
        prediction(A, 0.9), *[false_positive(A, 0.5)] * 3, prediction(A, 0.1, x=1800), false_positive(A, 0.05)
    )
    return evaluate(
        table, labels(A, volume(2), volume(3)), boxes(box(A), box(A, x=1800)), bootstrap=bootstrap
    )


def test_a_name_is_no_formula():
    left, _ = froc_figure([("cost$x_{$", result())]).axes
    left.figure.canvas.draw()
    assert left.get_legend().get_texts()[0].get_text().startswith(r"cost\$x_{\$ (2 lesions")


def test_panels_show_both_denominators_and_the_metric():
    figure = froc_figure([("mine", result()), ("other", result())])
    left, right = figure.axes
    assert left.get_xlabel() == "Mean false positives per volume with a lesion"
    assert right.get_xlabel() == "Mean false positives per volume, over all volumes"
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "mine (2 lesions, 1 volumes with a lesion)",
        "other (2 lesions, 1 volumes with a lesion)",
    ]
    assert right.get_legend().get_texts()[0].get_text() == "mine (2 lesions, 3 volumes)"
    line, held, marks = left.lines[:3]
    assert line.get_xydata().tolist() == [[0, 0], [0, 0.5], [3, 1], [4, 1]]
    assert held.get_xydata().tolist() == [[4, 1], [8, 1]]
    assert marks.get_ydata().tolist() == pytest.approx([4 / 6, 5 / 6, 1, 1])
    assert right.lines[0].get_xdata().tolist() == pytest.approx([0, 0, 1, 4 / 3])
    assert to_hex(left.lines[0].get_color()) != to_hex(left.lines[3].get_color())


def test_one_result_with_what_stands_beside_it_shows_every_rule_of_depth():
    rows = [prediction(A, 0.9, z=31), *[false_positive(A, 0.5)] * 2, prediction(A, 0.1, x=1800, z=40)]
    alone = comoto.evaluate(
        predictions(*rows),
        labels(A, volume(2)),
        boxes(box(A), box(A, x=1800)),
        slice_mm=1,
        constant_depth=0.9,
    )
    _, every, depth = froc_figure([("mine", alone)]).axes
    # the lesions are on slice 20 of 49: 11 and 20 slices off, and slice 44 for every box
    assert {line.get_label(): line.get_ydata()[-1] for line in depth.lines if line.get_label()[0] != "_"} == {
        "challenge": 0.5,
        "x and y alone": 1,
        "every depth at 0.9 of the stack": 0,
        "within 10 mm in depth": 0,
        "every depth at 0.9, within 10 mm in depth": 0,
    }
    assert every.lines[2].get_xdata().tolist() == [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
    assert len(froc_figure([("mine", alone), ("other", alone)]).axes) == 2


def test_band_is_drawn_where_the_bootstrap_says():
    with_band = result(bootstrap=30)
    left, _ = froc_figure([("mine", with_band)]).axes
    assert left.get_legend().get_title().get_text() == "shaded: 95 % interval over patients"
    (area,) = left.collections
    outline = area.get_paths()[0].vertices
    band = with_band.bootstrap.bands["positive"]
    assert outline[:, 0].max() == 8.0
    assert outline[:, 1].min() == band.low.min()
    assert outline[:, 1].max() == band.high.max()
    assert not froc_figure([("mine", result())]).axes[0].collections


def test_axes_are_linear_or_logarithmic():
    assert froc_figure([("mine", result())]).axes[0].get_xlim() == (0.0, 5.0)
    panel = froc_figure([("mine", result())], log=True).axes[1]
    assert panel.get_xscale() == "log"
    assert panel.get_xlim() == (0.1, 8.0)


def test_results_of_two_kinds_are_refused():
    with pytest.raises(ValueError, match="one kind"):
        froc_figure([])


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_files_are_written_by_suffix(tmp_path, suffix, start):
    path = tmp_path / "deep" / f"froc{suffix}"
    output_files({path: drawn(froc_figure([("mine", result())]), path)}, overwrite=False)
    assert path.read_bytes().startswith(start)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_full_disk_names_the_file(tmp_path, suffix):
    """Matplotlib's PDF writer answers a full disk with an AttributeError of its own."""
    resource = pytest.importorskip("resource")
    path = tmp_path / f"froc{suffix}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    figure = froc_figure([("mine", result())])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            output_files({path: drawn(figure, path)}, overwrite=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"froc\.jpeg: a figure ends in \.png, \.svg, \.pdf"):
        drawn(froc_figure([("mine", result())]), tmp_path / "froc.jpeg")


def test_mammograms_get_one_panel():
    from test_mammogram_froc import detections, manifest

    made = evaluate_mammograms(detections(("a", 0, 0, 10, 10, 0.9)), manifest())
    (panel,) = froc_figure([("teacher", made)]).axes
    assert panel.get_xlabel() == "Mean false positives per image"
    assert panel.get_legend().get_texts()[0].get_text() == "teacher (2 lesions, 5 images)"
    assert np.allclose(panel.lines[2].get_xdata(), [0.5, 1, 2, 3, 4])
