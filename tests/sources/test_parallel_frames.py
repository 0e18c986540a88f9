"""Frames decoded on several cores come in order, and never many at a time."""

import threading
import time

import numpy as np
import pytest

from comoto.dicom.read import DicomImage
from comoto.errors import DicomError
from comoto.sources.parallel import available_cores, frames_in_parallel
from dicom_files import encapsulated, encode, texture, write_dicom


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("indices", [None, [5, 0, 5, 2], []])
def test_frames_come_in_the_order_asked_for(tmp_path, threads, indices):
    frames = texture(frames=9)
    with DicomImage(write_dicom(tmp_path / "x.dcm", frames)) as image:
        found = list(frames_in_parallel(image, indices, threads=threads))
    expected = list(frames) if indices is None else [frames[index] for index in indices]
    assert len(found) == len(expected)
    for frame, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(frame, wanted)


def test_reduced_frames(tmp_path):
    frames = texture(frames=3, rows=64, columns=48)
    with DicomImage(write_dicom(tmp_path / "x.dcm", frames)) as image:
        found = list(frames_in_parallel(image, reduce=1, threads=2))
        np.testing.assert_array_equal(found, [image.frame(k, 1) for k in range(3)])


class Slow:
    """An image whose frames take a while; counts how many were decoded and how many at a time."""

    num_frames = 30

    def __init__(self):
        self.decoded, self.now, self.most, self.lock = [], 0, 0, threading.Lock()

    def frame(self, index, reduce=0):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self.lock:
            self.now -= 1
            self.decoded.append(index)
        return np.full((2, 2), index, dtype=np.uint8)


def test_few_frames_wait_while_the_taker_is_busy():
    image = Slow()
    frames = frames_in_parallel(image, threads=3)
    for taken in range(1, 4):
        assert next(frames)[0, 0] == taken - 1
        time.sleep(0.1)
        assert len(image.decoded) <= taken + 6
    frames.close()
    time.sleep(0.05)
    assert len(image.decoded) <= 10
    assert image.most == 3


def test_a_damaged_frame_is_an_error_in_its_place(tmp_path):
    frames = texture(frames=6)
    data = [encode(frame, "j2k", 16) for frame in frames]
    data[4] = data[4][:60] + b"\0" * 40
    with DicomImage(write_dicom(tmp_path / "x.dcm", frames, pixel_data=encapsulated(data))) as image:
        found = frames_in_parallel(image, threads=2)
        for index in range(4):
            np.testing.assert_array_equal(next(found), frames[index])
        with pytest.raises(DicomError, match="frame 4"):
            next(found)


def test_there_is_a_core():
    assert available_cores() >= 1
