"""Where a detection is shown: the middle of the slices that it spans."""

import pytest

from comoto.report.held_out import _middle, _place


@pytest.mark.parametrize(
    ("first", "spanned", "middle", "place"),
    [
        (7, 0, 7, "slice 7"),  # a plane without depth
        (7, 1, 7, "slice 7"),
        (7, 2, 7, "slice 7 (7 to 8)"),
        (0, 29, 14, "slice 14 (0 to 28)"),
    ],
)
def test_middle_and_words(first: int, spanned: int, middle: int, place: str) -> None:
    assert (_middle(first, spanned), _place(first, spanned)) == (middle, place)
