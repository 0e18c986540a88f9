"""Lesion points against a plain NumPy reading of the map."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comoto.distill.points import box_points, read_bilinear, sample_bilinear


def test_nine_points_of_a_hand_worked_box() -> None:
    points = box_points(torch.tensor([[10.0, 20.0, 30.0, 60.0]]), 9)[0].tolist()
    corners = [[10, 20], [30, 20], [10, 60], [30, 60]]
    assert points == [*corners, [20, 40], [10, 40], [30, 40], [20, 20], [20, 60]]


def test_fewer_points_are_the_named_subsets() -> None:
    box = torch.tensor([[0.0, 0.0, 8.0, 4.0]])
    nine = box_points(box, 9)[0]
    assert torch.equal(box_points(box, 4)[0], nine[:4])
    assert torch.equal(box_points(box, 5)[0], nine[4:])
    assert torch.equal(box_points(box, 1)[0], nine[4:5])


def bilinear_by_hand(feature_map: np.ndarray, x: float, y: float, stride: float) -> np.ndarray:
    """Cell k is centred at (k + 0.5) * stride; outside the outermost centres the border is repeated."""
    height, width = feature_map.shape[1:]
    column = np.clip(x / stride - 0.5, 0, width - 1)
    row = np.clip(y / stride - 0.5, 0, height - 1)
    c0, r0 = int(column), int(row)
    c1, r1 = min(c0 + 1, width - 1), min(r0 + 1, height - 1)
    fc, fr = column - c0, row - r0
    top = feature_map[:, r0, c0] * (1 - fc) + feature_map[:, r0, c1] * fc
    bottom = feature_map[:, r1, c0] * (1 - fc) + feature_map[:, r1, c1] * fc
    return np.asarray(top * (1 - fr) + bottom * fr)


@given(
    x=st.floats(-20, 84),
    y=st.floats(-20, 148),
    stride=st.sampled_from([8, 16, 32]),
    seed=st.integers(0, 1000),
)
def test_sampling_equals_bilinear_by_hand(x: float, y: float, stride: int, seed: int) -> None:
    shape = (128, 64)
    values = np.random.default_rng(seed).normal(size=(3, shape[0] // stride, shape[1] // stride))
    found = sample_bilinear(torch.from_numpy(values), torch.tensor([[x, y]]), shape)[:, 0].numpy()
    np.testing.assert_allclose(found, bilinear_by_hand(values, x, y, stride), atol=1e-4)


def test_boxes_are_read_one_by_one() -> None:
    feature_map = torch.randn(5, 16, 8)
    boxes = torch.tensor([[4.0, 4.0, 30.0, 40.0], [20.0, 60.0, 50.0, 90.0]])
    each = [read_bilinear(feature_map, boxes[k : k + 1], (128, 64), 9)[0] for k in range(2)]
    both = read_bilinear(feature_map, boxes, (128, 64), 9)
    torch.testing.assert_close(both, torch.stack(each))
    assert both.shape == (2, 5, 9)


def test_unknown_number_of_points_is_refused() -> None:
    with pytest.raises(KeyError):
        box_points(torch.zeros(1, 4), 7)
