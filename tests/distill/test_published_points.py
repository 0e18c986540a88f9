"""The points of lesions as the published code reads them, quirk by quirk."""

import numpy as np
import pytest
import torch
from distill_reference import free_cells, published_matrix, published_points
from hypothesis import given
from hypothesis import strategies as st

from comoto.distill.background import cells_off_lesions, cells_outside_rectangles
from comoto.distill.points import box_cells, cell_points, read_cells

PAPER_MAP, PAPER_INPUT = (42, 21), (2048, 1024)


def cells(box: list[float], num_points: int, map_shape: tuple[int, int], shape: tuple[int, int]) -> list:
    """The package's points as (row, column)."""
    corners = box_cells(torch.tensor([box]), map_shape, shape, width_ratio=True)
    return [(y, x) for x, y in cell_points(corners, num_points)[0].tolist()]


def test_nine_cells_of_a_hand_worked_box_of_the_paper() -> None:
    # rho = 21 / 1024 = 0.0205: 100 -> 2.05, 300 -> 6.15, 410 -> 8.41, 1000 -> 20.51
    corners = [(6, 2), (6, 8), (20, 2), (20, 8)]
    cross = [(13, 5), (13, 2), (13, 8), (6, 5), (20, 5)]
    assert cells([100, 300, 410, 1000], 9, PAPER_MAP, PAPER_INPUT) == corners + cross
    assert cells([100, 300, 410, 1000], 4, PAPER_MAP, PAPER_INPUT) == corners
    assert cells([100, 300, 410, 1000], 5, PAPER_MAP, PAPER_INPUT) == cross
    assert cells([100, 300, 410, 1000], 1, PAPER_MAP, PAPER_INPUT) == cross[:1]


def test_far_edge_is_clipped_to_the_last_cell() -> None:
    # 1024 and 2048 would be column 21 and row 42, one beyond the map
    assert cells([1000, 2040, 1024, 2048], 4, PAPER_MAP, PAPER_INPUT) == [
        (41, 20),
        (41, 20),
        (41, 20),
        (41, 20),
    ]
    assert cells([0, 0, 1024, 2048], 4, PAPER_MAP, PAPER_INPUT) == [(0, 0), (0, 20), (41, 0), (41, 20)]


def test_the_width_ratio_serves_both_axes() -> None:
    # a map of 4 x 8 cells over 64 x 64 pixels: 8 pixels a column, 16 a row
    box = torch.tensor([[16.0, 16.0, 40.0, 24.0]])
    as_published = box_cells(box, (4, 8), (64, 64), width_ratio=True)
    own_ratios = box_cells(box, (4, 8), (64, 64), width_ratio=False)
    assert as_published.tolist() == [[2, 2, 5, 3]]
    assert own_ratios.tolist() == [[2, 1, 5, 1]]


def test_corners_are_truncated_and_middles_rounded_down() -> None:
    # 8 pixels a cell: 15.9 -> 1.99 -> 1, 31.9 -> 3.99 -> 3, 39.9 -> 4; (1 + 4) / 2 = 2.5 -> 2
    box = torch.tensor([[15.9, 15.9, 39.9, 31.9]])
    corners = box_cells(box, (16, 16), (128, 128), width_ratio=True)
    assert corners.tolist() == [[1, 1, 4, 3]]
    assert cell_points(corners, 1).tolist() == [[[2, 2]]]


def test_what_lies_before_the_first_cell_is_moved_into_it() -> None:
    box = torch.tensor([[-20.0, -9.0, 20.0, 12.0]])
    assert box_cells(box, (16, 16), (128, 128), width_ratio=True).tolist() == [[0, 0, 2, 1]]


@st.composite
def boxes_in(draw: st.DrawFn, width: int, height: int) -> list[float]:
    x1, y1 = draw(st.floats(0, width, width=32)), draw(st.floats(0, height, width=32))
    x2, y2 = draw(st.floats(x1, width, width=32)), draw(st.floats(y1, height, width=32))
    return [x1, y1, x2, y2]


@given(
    box=boxes_in(1024, 2048),
    num_points=st.sampled_from([1, 4, 5, 9]),
    map_shape=st.sampled_from([(42, 21), (64, 32), (40, 32), (34, 25)]),
)
def test_cells_equal_the_reference(box: list[float], num_points: int, map_shape: tuple[int, int]) -> None:
    found = cells(box, num_points, map_shape, PAPER_INPUT)
    assert found == published_points(box, num_points, map_shape, PAPER_INPUT[1])


@pytest.mark.parametrize("num_points", [1, 4, 5, 9])
def test_reading_cells_equals_the_reference(num_points: int) -> None:
    generator = np.random.default_rng(num_points)
    one_map = generator.normal(size=(5, 42, 21))
    boxes = [[100.0, 300.0, 410.0, 1000.0], [900.0, 1900.0, 1024.0, 2048.0], [0.0, 0.0, 10.0, 5.0]]
    found = read_cells(
        torch.tensor(one_map), torch.tensor(boxes), PAPER_INPUT, num_points, width_ratio=True
    ).mean(dim=0)
    expected = published_matrix(one_map, boxes, num_points, PAPER_INPUT[1])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_rectangles_are_half_open_so_that_border_cells_are_background() -> None:
    # 8 pixels a cell: the box touches columns 1 to 3 and rows 2 to 4, but only 1 to 2 and 2 to 3 are taken
    free = cells_outside_rectangles(torch.tensor([[8.0, 16.0, 30.0, 38.0]]), (8, 4), (64, 32), margin=0.0)
    expected = torch.ones(8, 4, dtype=torch.bool)
    expected[2:4, 1:3] = False
    assert torch.equal(free, expected)


def test_a_lesion_within_one_cell_takes_none() -> None:
    box = torch.tensor([[9.0, 17.0, 15.0, 23.0]])
    assert cells_outside_rectangles(box, (8, 4), (64, 32), margin=0.0).all()


def test_a_margin_widens_the_box_before_its_cells_are_computed() -> None:
    # 9 - 2 = 7 -> column 0, 15 + 2 = 17 -> 2; 17 - 2 = 15 -> row 1, 23 + 2 = 25 -> 3
    box = torch.tensor([[9.0, 17.0, 15.0, 23.0]])
    free = cells_outside_rectangles(box, (8, 4), (64, 32), margin=2.0)
    expected = torch.ones(8, 4, dtype=torch.bool)
    expected[1:3, 0:2] = False
    assert torch.equal(free, expected)


@given(boxes=st.lists(boxes_in(1024, 2048), min_size=1, max_size=3))
def test_free_cells_equal_the_reference(boxes: list[list[float]]) -> None:
    free = cells_outside_rectangles(torch.tensor(boxes), PAPER_MAP, PAPER_INPUT, margin=0.0)
    found = [tuple(cell) for cell in free.nonzero().tolist()]
    assert found == free_cells(boxes, PAPER_MAP, PAPER_INPUT[1])


def test_cell_centres_decide_without_the_published_quirks() -> None:
    # 48.76 pixels a cell: centres at 24.4, 73.1, 121.9; the box reaches from 60 to 110
    box = torch.tensor([[60.0, 60.0, 110.0, 110.0]])
    free = cells_off_lesions(box, PAPER_MAP, PAPER_INPUT, margin=0.0)
    assert (~free).nonzero().tolist() == [[1, 1]]
    assert (~cells_off_lesions(box, PAPER_MAP, PAPER_INPUT, margin=12.0)).sum() == 4
