"""Average precision: values worked by hand, and a literal reading of the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.evaluation.average_precision import average_precision, map_2d

NOTHING = (np.zeros((0, 4)), np.zeros(0))
A, B = (0, 0, 10, 10), (50, 50, 60, 60)
FAR = (200, 200, 210, 210)


def image(*found):
    """One image's detections from (box, score)."""
    return np.array([box for box, _ in found], float).reshape(-1, 4), np.array([s for _, s in found], float)


def test_perfect_is_one_at_every_overlap():
    found = [image((A, 0.3), (B, 0.9)), NOTHING]
    assert map_2d(found, [[A, B], []]) == 1.0
    assert average_precision(found, [[A, B], []], 1.0) == 1.0


def test_nothing_found_is_zero():
    assert map_2d([NOTHING, NOTHING], [[A], [B]]) == 0.0
    assert map_2d([image((FAR, 0.9))], [[A]]) == 0.0


def test_one_of_two_lesions_reaches_recalls_0_to_50():
    # Precision 1 at the 51 recalls 0.00 to 0.50, 0 beyond.
    assert average_precision([image((A, 0.9))], [[A, B]], 0.5) == pytest.approx(51 / 101)


def test_a_false_positive_above_the_first_hit():
    # By falling score: miss, hit, hit. Precision 0, 1/2, 2/3; made non-increasing it is 2/3 everywhere.
    found = [image((FAR, 0.9), (A, 0.8), (B, 0.7))]
    assert average_precision(found, [[A, B]], 0.5) == pytest.approx(2 / 3)


def test_a_false_positive_between_the_hits():
    # hit, miss, hit: precision 1 at recalls 0 to 0.50, 2/3 at 0.51 to 1.
    found = [image((A, 0.9), (FAR, 0.8), (B, 0.7))]
    assert average_precision(found, [[A, B]], 0.5) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_second_hit_of_one_lesion_is_a_false_positive():
    # hit, duplicate, hit: as above, though the duplicate lies on a lesion.
    found = [image((A, 0.9), (A, 0.8), (B, 0.7))]
    assert average_precision(found, [[A, B]], 0.5) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_images_are_ranked_together():
    # The false positive of an image without lesions stands above the hit of the other one.
    found = [image((A, 0.5)), image((A, 0.9))]
    assert average_precision(found, [[A], []], 0.5) == pytest.approx(1 / 2)


def test_overlap_counts_up_to_its_threshold_inclusive():
    # 10 x 3 of a 10 x 10 lesion: IoU 0.3, so 5 of the 9 thresholds 0.10 to 0.50 are met.
    found = [image(((0, 0, 10, 3), 0.9))]
    assert map_2d(found, [[A]]) == pytest.approx(5 / 9)
    assert average_precision(found, [[A]], 0.3) == 1.0
    assert average_precision(found, [[A]], 0.301) == 0.0


def test_greedy_matching_takes_the_largest_overlap_that_is_free():
    # Two overlapping lesions. The best detection takes the right one (IoU 1); the second detection overlaps
    # the taken one by 1 too and the left one by 1/3, so it counts at 0.3 and not at 0.5.
    left, right = (0, 0, 10, 10), (5, 0, 15, 10)
    found = [image((right, 0.9), (right, 0.8))]
    assert average_precision(found, [[left, right]], 0.3) == 1.0
    assert average_precision(found, [[left, right]], 0.5) == pytest.approx(51 / 101)


def test_only_the_100_best_detections_of_an_image_count():
    false = [((200 + k, 0, 201 + k, 1), 0.9) for k in range(100)]
    assert average_precision([image(*false[:99], (A, 0.5))], [[A]], 0.5) == pytest.approx(1 / 100)
    assert average_precision([image(*false, (A, 0.5))], [[A]], 0.5) == 0.0


def test_whole_recalls_are_reached_exactly():
    # 7 of 100 lesions: recalls 0.00 to 0.07 are 8 of 101, although 7 / 100 is no exact binary number.
    truths = [[(k, 0, k + 1, 1)] for k in range(100)]
    found = [image(((k, 0, k + 1, 1), 0.5)) if k < 7 else NOTHING for k in range(100)]
    assert average_precision(found, truths, 0.5) == pytest.approx(8 / 101, abs=1e-15)


@pytest.mark.parametrize(
    ("found", "truths", "words"),
    [
        ([NOTHING], [[]], "no image has a lesion"),
        ([], [], "no image has a lesion"),
        ([NOTHING], [[A], [B]], "1 images with detections and 2 with lesions"),
        ([(np.zeros((2, 4)), np.zeros(1))], [[A]], "as many finite scores"),
        ([image((A, float("nan")))], [[A]], "as many finite scores"),
    ],
)
def test_wrong_input_is_named(found, truths, words):
    with pytest.raises(ValueError, match=words):
        map_2d(found, truths)


@pytest.mark.parametrize("iou", [0.0, 1.01, -0.5])
def test_the_overlap_lies_between_0_and_1(iou):
    with pytest.raises(ValueError, match="iou must be above 0"):
        average_precision([NOTHING], [[A]], iou)


corner = st.integers(0, 12)
boxes = st.tuples(corner, corner, st.integers(1, 8), st.integers(1, 8)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
scenes = st.lists(
    st.tuples(
        st.lists(st.tuples(boxes, st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])), max_size=5),
        st.lists(boxes, max_size=3),
    ),
    min_size=1,
    max_size=4,
).filter(lambda scene: any(truth for _, truth in scene))


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def literal(scene, iou):
    """The definition with loops over recalls and detections."""
    ranked = []
    for found, truth in scene:
        free = list(range(len(truth)))
        for box, score in sorted(found, key=lambda pair: -pair[1]):
            near = [k for k in free if overlap(box, truth[k]) >= iou]
            best = max(near, key=lambda k: (overlap(box, truth[k]), k), default=None)
            if best is not None:
                free.remove(best)
            ranked.append((score, best is not None))
    ranked.sort(key=lambda pair: -pair[0])
    num_lesions = sum(len(truth) for _, truth in scene)
    points = []
    for count in range(1, len(ranked) + 1):
        hits = sum(hit for _, hit in ranked[:count])
        points.append((hits, hits / count))
    precisions = []
    for percent in range(101):
        enough = [precision for hits, precision in points if 100 * hits >= percent * num_lesions]
        precisions.append(max(enough, default=0.0))
    return sum(precisions) / 101


@settings(max_examples=200)
@given(scene=scenes, iou=st.sampled_from([0.1, 0.25, 0.5]))
def test_equals_a_literal_reading(scene, iou):
    found, truths = [image(*f) for f, _ in scene], [t for _, t in scene]
    assert average_precision(found, truths, iou) == pytest.approx(literal(scene, iou), abs=1e-12)


@settings(max_examples=60)
@given(scene=scenes)
def test_the_mean_over_overlaps_is_the_mean_of_its_parts(scene):
    found, truths = [image(*f) for f, _ in scene], [t for _, t in scene]
    parts = [average_precision(found, truths, percent / 100) for percent in range(10, 51, 5)]
    assert map_2d(found, truths) == pytest.approx(sum(parts) / 9)
    assert 0.0 <= min(parts) <= max(parts) <= 1.0


@settings(max_examples=60)
@given(scene=scenes)
def test_only_the_order_of_the_scores_counts_and_a_late_false_positive_costs_nothing(scene):
    found, truths = [image(*f) for f, _ in scene], [t for _, t in scene]
    value = map_2d(found, truths)
    assert map_2d([(b, np.sqrt(s) * 7 - 3) for b, s in found], truths) == pytest.approx(value)
    assert map_2d([*found, image((FAR, 0.01))], [*truths, []]) == pytest.approx(value)
