"""Focus from a feature map to depths: maps, evidence and records worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from comoto.config import AggregationConfig
from comoto.depth import DepthPrior
from comoto.detections import Detections, Focus
from comoto.detectors.base import BoxTensors, Features
from comoto.detectors.focus_head import FocusHead
from comoto.detectors.focus_map import focus_map, signed_parts, with_focus
from comoto.inference.aggregate import aggregate

KINDS = ("box_fusion", "nms_3d", "tracks", "local_maximum")
FLAT = DepthPrior(0.5, 1e6)
BOX = (0, 0, 20, 20)


def on_slice(score, focus, prior=FLAT, box=BOX):
    return Detections([box], [score], space="grid", focus=Focus([focus], prior))


def test_signed_parts_are_logarithms_of_either_sign():
    level = torch.tensor([[[[np.e - 1]], [[1 - np.e**2]]]])  # (1, 2, 1, 1)
    assert signed_parts(level).flatten().tolist() == pytest.approx([1, 0, 0, 2])


def test_a_box_gets_the_mean_of_its_cells():
    """Cells of 4 pixels; the map is 1 on the left half: a box on it, one beside it, and one across."""
    level = torch.zeros(1, 1, 8, 16)
    level[..., :8] = np.e - 1
    features = Features({"p4": level}, (32, 64))
    head = FocusHead("p4", (3.0, 5.0), FLAT, 9)
    boxes = torch.tensor([[4.0, 4, 20, 20], [40, 4, 60, 20], [16, 8, 48, 24]])
    found = [BoxTensors(boxes, torch.tensor([0.9, 0.5, 0.3]))]
    [read] = with_focus(focus_map(head, features), found, features.image_shape)
    assert read.focus is not None
    assert read.focus.tolist() == pytest.approx([3, 0, 1.5], abs=1e-5)
    assert read.scores is found[0].scores


def test_images_keep_their_own_boxes():
    level = torch.stack([torch.full((1, 4, 4), np.e - 1), torch.full((1, 4, 4), 1 - np.e)]).float()
    head = FocusHead("p4", (3.0, 5.0), FLAT, 9)
    none, two = torch.zeros(0, 4), torch.tensor([[0.0, 0, 8, 8], [2, 2, 9, 9]])
    found = [BoxTensors(boxes, torch.ones(len(boxes))) for boxes in (two, none, two)]
    maps = focus_map(head, Features({"p4": level[[0, 1, 1]]}, (16, 16)))
    read = with_focus(maps, found, (16, 16))
    assert [one.focus.tolist() for one in read] == [pytest.approx([3, 3]), [], pytest.approx([5, 5])]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_score_times_focus(kind):
    """Equal scores on slices 2, 4 and 6 with weights 1 : 2 : 5: the centroid is (2 + 8 + 30) / 8 = 5."""
    slices = {s: on_slice(0.4, np.log(w)) for s, w in ((2, 1), (4, 2), (6, 5))}
    slices |= {s: on_slice(0.0001, 9, box=(50, 50, 70, 70)) for s in (0, 8)}
    found = aggregate(slices, 9, AggregationConfig(kind=kind, min_score=0.001))
    best = found[0]
    assert best.focus is None
    assert best.best_slice[0] == pytest.approx(5, abs=1e-5)
    assert best.depths is not None
    profile = best.depths.profile[0]
    assert profile.tolist() == pytest.approx([0, *np.sqrt([0.4**2 / 5, 0.4**2 * 2 / 5, 0.4**2]), 0])
    off = np.array([-3, -1, 1])
    assert best.depths.spread()[0] == pytest.approx(np.sqrt((off**2 * [1, 2, 5]).sum() / 8), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_depth_scores_leaves_the_focus_alone(kind):
    slices = {s: on_slice(0.4, np.log(w)) for s, w in ((2, 1), (4, 2), (6, 5))}
    config = AggregationConfig(kind=kind, depth="scores")
    bare = {s: replace(found, focus=None) for s, found in slices.items()}
    ours, plain = (aggregate(each, 9, config) for each in (slices, bare))
    assert ours.best_slice.tolist() == plain.best_slice.tolist() == [4.0] * len(plain)
    assert ours.focus is None
    assert ours.spans is not None
    assert np.array_equal(ours.spans, plain.spans)


def test_boxes_scores_and_the_published_slice_stay():
    generator = np.random.default_rng(0)
    slices = {s: on_slice(float(score), -s / 3.0) for s, score in enumerate(generator.uniform(0.1, 0.9, 12))}
    bare = {s: replace(found, focus=None) for s, found in slices.items()}
    for kind in KINDS:
        config = AggregationConfig(kind=kind)
        ours, plain = aggregate(slices, 12, config), aggregate(bare, 12, config)
        assert np.array_equal(ours.boxes_xyxy, plain.boxes_xyxy)
        assert np.array_equal(ours.scores, plain.scores)
        assert ours.best_slice[0] < plain.best_slice[0]
        if kind == "local_maximum":
            assert np.array_equal(ours.first_slice, plain.first_slice)
            assert not ours.num_spanned.any()


def test_the_prior_decides_where_nothing_else_does():
    """Equal scores and focus on all of 40 slices: the centroid is where lesions lie, 0.3 of the stack."""
    slices = {s: on_slice(0.5, 1.0, DepthPrior(0.3, 0.05)) for s in range(40)}
    found = aggregate(slices, 40, AggregationConfig())
    assert found.best_slice[0] == pytest.approx(0.3 * 40 - 0.5, abs=0.01)
    assert found.depths.spread()[0] == pytest.approx(0.05 * 40, abs=0.01)


def test_of_two_boxes_on_a_slice_the_higher_score_tells_the_focus():
    two = Detections([BOX, BOX], [0.5, 0.1], space="grid", focus=Focus([0.0, 7.0], FLAT))
    found = aggregate({3: two, 5: on_slice(0.5, 0.0)}, 9, AggregationConfig())
    assert found.best_slice[0] == pytest.approx(4, abs=1e-5)


def test_far_out_of_focus_is_still_a_box():
    found = aggregate({3: on_slice(0.5, -200.0), 5: on_slice(0.5, 0.0)}, 9, AggregationConfig())
    assert found.depths.profile[0].tolist() == pytest.approx([1e-9, 0.5])


def test_the_record_carries_focus_like_scores():
    found = Detections([BOX, (1, 1, 5, 5)], [0.2, 0.9], space="grid", focus=Focus([1.0, 2.0], FLAT))
    assert found.by_score().focus.values.tolist() == [2, 1]
    assert found[found.scores < 0.5].focus.values.tolist() == [1]
    stacked = Detections.stack({4: found, 2: on_slice(0.1, 3.0)})
    assert stacked.focus.values.tolist() == [3, 1, 2]
    assert stacked.focus.prior == FLAT
    source = replace(found, space="source")
    assert "focus" not in str(source.to_json())
    assert list(source.to_dataframe()) == list(replace(source, focus=None).to_dataframe())


@pytest.mark.parametrize(
    ("values", "prior", "match"),
    [
        ([1.0, np.nan], FLAT, "finite numbers"),
        ([[1.0, 2.0]], FLAT, "finite numbers"),
        ([1.0, 2.0], DepthPrior(0.5, 0.0), "no width"),
        ([1.0, 2.0], DepthPrior(np.inf, 0.1), "no width"),
    ],
)
def test_a_focus_that_is_none_is_refused(values, prior, match):
    with pytest.raises(ValueError, match=match):
        Focus(values, prior)


def test_focus_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="focus of 1 boxes does not fit 2"):
        Detections([BOX, BOX], [0.1, 0.2], space="grid", focus=Focus([1.0], FLAT))
    one = on_slice(0.4, 1.0)
    with pytest.raises(ValueError, match="one focus head"):
        Detections.merge([one, replace(one, focus=None)])
    with pytest.raises(ValueError, match="one focus head"):
        Detections.merge([one, on_slice(0.4, 1.0, DepthPrior(0.4, 0.1))])
