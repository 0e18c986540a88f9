"""A format says what its header is and how a frame is read; the rest follows."""

from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from comoto.sources import Source
from comoto.sources.parallel import frames_in_parallel
from comoto.sources.png import read_png_header


class Ramp(Source):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = replace(read_png_header(path), num_frames=3)
        self.closed = 0

    def frame(self, index: int, reduce: int = 0) -> np.ndarray:
        return np.full(self.shape, 10 * index + reduce, np.uint8)

    def close(self) -> None:
        self.closed += 1


def test_what_follows_from_header_and_frame(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(np.zeros((4, 6), np.uint8)))
    with Ramp(tmp_path / "x.png") as image:
        assert (image.num_frames, image.shape, image.reductions) == (3, (4, 6), 0)
        assert [frame[0, 0] for frame in image.frames()] == [0, 10, 20]
        assert [frame[0, 0] for frame in image.frames([2, 0], 1)] == [21, 1]
        assert [frame[3, 5] for frame in frames_in_parallel(image, threads=2)] == [0, 10, 20]
        assert not image.closed
    assert image.closed == 1


def test_a_format_without_frames_cannot_be_opened() -> None:
    class Nothing(Source):
        pass

    with pytest.raises(TypeError, match=r"abstract method '?frame"):
        Nothing()
