"""FROC on mammograms: hand-worked matching and curves, and the lesions that nobody detected."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.errors import DatasetError
from comoto.evaluation import evaluate_mammograms, froc, mammogram_froc
from comoto.evaluation.mammogram import read_mammogram_boxes
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Manifest

BOX = ["x1", "y1", "x2", "y2"]


def detections(*rows):
    return pd.DataFrame([*rows], columns=["image_id", *BOX, "score"])


def lesions(*rows):
    return pd.DataFrame([*rows], columns=["image_id", *BOX])


def test_lesions_that_nobody_detected_stay_in_the_denominator():
    # One of four lesions is found: 1/4, not 1 of the 1 that was matched.
    curve = mammogram_froc(
        detections(("a", 0, 0, 10, 10, 0.9)),
        lesions(*[(name, 0, 0, 10, 10) for name in "abcd"]),
        list("abcde"),
    )
    assert (curve.num_lesions, curve.num_images) == (4, 5)
    assert curve.sensitivity_at([0.5, 1, 2, 3, 4]).tolist() == [0.25] * 5
    assert curve.lesion_scores.tolist() == [0.9, -np.inf, -np.inf, -np.inf]


def test_a_curve_worked_by_hand():
    # Two images, two lesions; in order of score: FP, hit, FP, FP, hit.
    curve = mammogram_froc(
        detections(
            ("a", 50, 50, 60, 60, 0.9),
            ("a", 0, 0, 10, 10, 0.8),
            ("b", 50, 50, 60, 60, 0.7),
            ("b", 70, 70, 80, 80, 0.6),
            ("b", 0, 0, 10, 10, 0.5),
        ),
        lesions(("a", 0, 0, 10, 10), ("b", 0, 0, 10, 10)),
        ["a", "b"],
    )
    assert curve.thresholds.tolist() == [1.9, 0.8, 0.5, -0.5]
    assert curve.fps_per_image.tolist() == [0.0, 0.5, 1.5, 1.5]
    assert curve.sensitivity.tolist() == [0.0, 0.5, 1.0, 1.0]
    # Half way between (0.5, 0.5) and (1.5, 1.0).
    assert curve.sensitivity_at([0.25, 0.5, 1.0, 2.0]).tolist() == [0.25, 0.5, 0.75, 1.0]
    assert (curve.threshold_at(0.5), curve.threshold_at(1.0), curve.threshold_at(0.1)) == (0.8, 0.8, 1.9)


@pytest.mark.parametrize(
    ("box", "iou", "hit"),
    [
        ((5, 0, 15, 10), 0.33, True),  # shared 50 of 150
        ((5, 0, 15, 10), 0.34, False),
        ((5, 5, 15, 15), 0.1, True),  # shared 25 of 175
        ((10, 0, 20, 10), 0.000001, False),  # half-open boxes only touch
        ((0, 0, 10, 5), 0.5, True),  # exactly a half
        ((0, 0, 10, 10), 1.0, True),
        ((30, 30, 31, 31), 0.1, False),
    ],
)
def test_overlap_rule(box, iou, hit):
    curve = mammogram_froc(detections(("a", *box, 0.9)), lesions(("a", 0, 0, 10, 10)), ["a"], "iou", iou)
    assert curve.sensitivity[-1] == float(hit)
    assert curve.fps_per_image[-1] == float(not hit)


@pytest.mark.parametrize(
    ("box", "hit"),
    [
        ((-40, -40, 40, 40), True),  # centre (0, 0): the first corner belongs to the box
        ((5, 5, 15, 15), False),  # centre (10, 10): the last one does not
        ((9, 4, 10.5, 6), True),  # centre x 9.75
        ((0, 12, 10, 14), False),
    ],
)
def test_center_rule(box, hit):
    curve = mammogram_froc(detections(("a", *box, 0.9)), lesions(("a", 0, 0, 10, 10)), ["a"], "center")
    assert curve.sensitivity[-1] == float(hit)


def test_a_detection_over_two_lesions_hits_the_better_one_only():
    both = lesions(("a", 0, 0, 10, 10), ("a", 4, 0, 14, 10))
    at_second = detections(("a", 3, 0, 13, 10, 0.9))
    assert mammogram_froc(at_second, both, ["a"], "iou").lesion_scores.tolist() == [-np.inf, 0.9]
    assert mammogram_froc(at_second, both, ["a"], "center").lesion_scores.tolist() == [-np.inf, 0.9]


def test_a_lesion_hit_twice_counts_once_and_is_no_false_positive():
    twice = detections(("a", 0, 0, 10, 10, 0.5), ("a", 1, 0, 11, 10, 0.7))
    curve = mammogram_froc(twice, lesions(("a", 0, 0, 10, 10), ("b", 0, 0, 10, 10)), ["a", "b"])
    assert curve.sensitivity[-1] == 0.5
    assert curve.fps_per_image[-1] == 0.0
    assert curve.lesion_scores[0] == 0.7


def test_no_detection_is_sensitivity_zero():
    curve = mammogram_froc(detections(), lesions(("a", 0, 0, 1, 1)), ["a"])
    assert curve.sensitivity_at([0.5, 4]).tolist() == [0.0, 0.0]
    assert curve.thresholds.tolist() == [np.inf]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": "z"}, r"image_id names no image that is evaluated \(row 0\)"),
        ({"x2": -1}, r"x2 <= x1 or y2 <= y1 \(row 0\)"),
        ({"y1": np.nan}, r"a coordinate is empty or infinite \(row 0\)"),
        ({"score": np.inf}, r"score is infinite \(row 0\)"),
    ],
)
def test_bad_detections_are_named(change, message):
    table = (
        detections(("a", 0, 0, 10, 10, 0.5)).astype(dict.fromkeys([*BOX, "score"], float)).assign(**change)
    )
    with pytest.raises(DatasetError, match=message):
        mammogram_froc(table, lesions(("a", 0, 0, 1, 1)), ["a"])


def test_bad_arguments_are_refused():
    one = lesions(("a", 0, 0, 1, 1))
    with pytest.raises(DatasetError, match="no lesion"):
        mammogram_froc(detections(), lesions(), ["a"])
    with pytest.raises(ValueError, match="'iou' or 'center'"):
        mammogram_froc(detections(), one, ["a"], rule="dice")
    with pytest.raises(ValueError, match="above 0"):
        mammogram_froc(detections(), one, ["a"], iou=0.0)
    with pytest.raises(ValueError, match="twice"):
        mammogram_froc(detections(), one, ["a", "a"])
    with pytest.raises(ValueError, match="a lesion and an image"):
        froc(np.array([]), np.array([], dtype=np.int64), 0, 1)
    with pytest.raises(ValueError, match="do not fit"):
        froc(np.array([1.0]), np.array([3]), 3, 1)


box_strategy = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
located = st.tuples(st.sampled_from("abc"), box_strategy)


def slow_iou(one, other):
    """Count shared pixels."""
    pixels = [{(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])} for box in (one, other)]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(located, st.sampled_from([0.1, 0.2, 0.3, 0.4])), max_size=8),
    st.lists(located, min_size=1, max_size=4, unique=True),
    st.sampled_from([0.1, 0.3, 0.6]),
)
def test_matching_agrees_with_counting_pixels(found, truth, least):
    curve = mammogram_froc(
        detections(*[(image, *box, score) for (image, box), score in found]),
        lesions(*[(image, *box) for image, box in truth]),
        list("abc"),
        "iou",
        least,
    )
    best, false_positives = [-np.inf] * len(truth), 0
    for (image, box), score in found:
        overlaps = [slow_iou(box, other) if image == where else 0.0 for where, other in truth]
        if max(overlaps) >= least:
            hit = overlaps.index(max(overlaps))
            best[hit] = max(best[hit], score)
        else:
            false_positives += 1
    assert curve.lesion_scores.tolist() == best
    assert curve.fps_per_image[-1] == false_positives / 3


def manifest():
    images = [
        dict.fromkeys(IMAGE_COLUMNS, "x")
        | {
            "image_id": name,
            "modality": "mammogram",
            "patient_id": f"P{number // 2}",
            "laterality": "L",
            "view": "CC",
            "split": "test",
            "num_slices": 1,
        }
        for number, name in enumerate("abcdef")
    ]
    images[5]["modality"] = "tomosynthesis"
    rows = [[name, 0, 0, 10, 10, None, "Mass"] for name in "abf"]
    return Manifest("made", pd.DataFrame(images), pd.DataFrame(rows, columns=list(LESION_COLUMNS)))


def test_a_manifest_is_evaluated_on_its_mammograms():
    result = evaluate_mammograms(
        detections(("a", 0, 0, 10, 10, 0.9), ("c", 0, 0, 10, 10, 0.95)), manifest(), bootstrap=200, seed=3
    )
    assert (result.froc.num_lesions, result.froc.num_images, result.num_predictions) == (2, 5, 2)
    # 1 FP on 5 images stands above the hit, so the curve reaches 0.5 at 0.2 FP.
    assert result.metric == dict.fromkeys(
        [*[f"sensitivity_at_{fps}_fps" for fps in (0.5, 1, 2, 3, 4)], "mean_sensitivity"], 0.5
    )
    content = json.loads(result.to_json())
    assert content["lesions"] == [{"image_id": "a", "best_score": 0.9}, {"image_id": "b", "best_score": None}]
    assert content["rule"] == "iou"
    assert content["bootstrap"]["seed"] == 3
    # Both lesions belong to one patient: a draw holds both or neither, so the interval has no width.
    assert content["bootstrap"]["intervals"]["mean_sensitivity"] == [0.5, 0.5]
    assert content["bootstrap"]["replicates_without_lesion"] > 0
    assert "lesions      2 (1 hit by at least one prediction, 1 never)" in result.summary()
    only_volumes = manifest().select(manifest().images["modality"] == "tomosynthesis")
    with pytest.raises(DatasetError, match="no mammogram"):
        evaluate_mammograms(detections(), only_volumes)


def test_the_same_lesion_twice_is_one(tmp_path):
    one = ("a", 0, 0, 10, 10)
    truth = lesions(one, one, ("b", 5, 5, 9, 9))
    boxes = read_mammogram_boxes(detections((*one, 0.9), (*one, 0.9)), truth, ["a", "b"])
    assert boxes.lesion_image.tolist() == [0, 1]
    assert "1 row is the same box of the same image again (row 1)" in boxes.warnings[0]
    assert "1 row is the same prediction again, of 2 (row 1)" in boxes.warnings[-1]
