"""The example of docs/coordinates.md, row by row."""

import pytest

from comoto.geometry import Chain, Crop, Pad, Resize, Rotate180


def test_the_way_of_one_box():
    source = [[1100, 900, 1200, 1020]]
    orient = Chain((2457, 1890), (Rotate180(2457, 1890),))
    assert orient.undo_boxes(source)[0].tolist() == [690, 1437, 790, 1557]
    crop = Crop(2457, 1890, top=200, left=0, bottom=2248, right=1400)
    assert crop.boxes(source)[0].tolist() == [1100, 700, 1200, 820]
    resize = Resize.to_fit((2048, 1400), (512, 256), 1.0)
    assert resize.out_shape == (374, 256)
    chain = Chain((2457, 1890), (crop, resize, Pad(374, 256, 512, 256)))
    assert chain.out_shape == (512, 256)
    assert chain.boxes(source)[0] == pytest.approx([201.14, 127.83, 219.43, 149.75], abs=0.005)
    assert chain.undo_boxes(chain.boxes(source))[0] == pytest.approx(source[0], abs=1e-9)
