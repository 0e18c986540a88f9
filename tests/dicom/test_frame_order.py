"""Frames that are stored in another order than they lie in, and objects that hold more than one stack."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from comoto.dicom import log_once
from comoto.dicom.read import DicomImage, read_header
from comoto.errors import DicomError
from dicom_files import texture, write_dicom

SHUFFLED = [3, 0, 4, 1, 2]
"""Which slice each frame of the file is."""


@pytest.fixture(autouse=True)
def _say_everything_once_more():
    log_once.forget()


def item(**values):
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def groups(count, *, place=None, number=None, stack=None, index=None, side=None, cosines=None):
    made = []
    for k in range(count):
        group, content = Dataset(), Dataset()
        if place is not None:
            group.PlanePositionSequence = [item(ImagePositionPatient=[5, 7, place(k)])]
        if cosines is not None:
            group.PlaneOrientationSequence = [item(ImageOrientationPatient=cosines(k))]
        if side is not None:
            group.FrameAnatomySequence = [item(FrameLaterality=side(k))]
        if number is not None:
            content.InStackPositionNumber = number(k)
        if stack is not None:
            content.StackID = stack(k)
        if index is not None:
            content.DimensionIndexValues = index(k)
        group.FrameContentSequence = [content]
        made.append(group)
    return made


def volume(path, frames, per_frame, cosines=(1, 0, 0, 0, 1, 0), codec="raw"):
    orientation = [item(ImageOrientationPatient=list(cosines))] if cosines else []
    shared = item(PlaneOrientationSequence=orientation)
    tags = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": per_frame}
    return write_dicom(path, frames, codec, window=None, tags=tags)


@pytest.mark.parametrize("codec", ["raw", "j2k"])
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"place": lambda k: 2.0 * SHUFFLED[k]}, [0, 1, 2, 3, 4]),
        ({"number": lambda k: 1 + SHUFFLED[k]}, [0, 1, 2, 3, 4]),
        ({"index": lambda k: [1, 1 + SHUFFLED[k]]}, [0, 1, 2, 3, 4]),
        ({"place": lambda k: 0.0, "number": lambda k: 1 + SHUFFLED[k]}, [0, 1, 2, 3, 4]),
        ({"place": lambda k: -2.0 * SHUFFLED[k], "number": lambda k: 1 + SHUFFLED[k]}, [0, 1, 2, 3, 4]),
    ],
)
def test_frames_are_sorted_by_their_place(tmp_path, caplog, told, expected, codec):
    slices = texture(5)
    path = volume(tmp_path / "x.dcm", slices[SHUFFLED], groups(5, **told), codec=codec)
    with DicomImage(path) as image:
        np.testing.assert_array_equal(np.stack(list(image.frames())), slices[expected])
    assert "not stored in the order in which they lie" in caplog.text


def test_each_sorted_frame_keeps_its_own_rescale(tmp_path):
    """The rescale stands with the frame of the file: slice s was stored with slope s + 1."""
    slices = np.full((5, 4, 4), 100, np.uint16)
    per_frame = groups(5, place=lambda k: SHUFFLED[k])
    for k, group in enumerate(per_frame):
        group.PixelValueTransformationSequence = [item(RescaleSlope=SHUFFLED[k] + 1, RescaleIntercept=0)]
    with DicomImage(volume(tmp_path / "x.dcm", slices, per_frame)) as image:
        assert [int(frame[0, 0]) for frame in image.frames()] == [100, 200, 300, 400, 500]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"place": lambda k: 2.0 * k},
        {"place": lambda k: -2.0 * k},
        {"place": lambda k: 0.0},
        {"place": lambda k: round(0.4 * k)},
        {"place": lambda k: 2.0 * k, "number": lambda k: 5 - k},
        {"place": lambda k: 2.0 * k, "number": lambda k: 1 + SHUFFLED[k]},
        {"number": lambda k: 1},
        {"index": lambda k: [1, 1 + k, 1 + SHUFFLED[k]]},
    ],
)
def test_an_order_that_goes_one_way_is_left(tmp_path, told):
    path = volume(tmp_path / "x.dcm", texture(5), groups(5, **told))
    assert read_header(path).frame_order is None


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"stack": lambda k: "12"[k > 2], "place": lambda k: k % 3}, r"2 stacks \(Stack ID\), 1, 2"),
        ({"side": lambda k: "LR"[k > 2]}, r"2 sides \(Frame Laterality\), L, R"),
        ({"place": lambda k: k % 3}, "6 frames lie in 3 places"),
        ({"cosines": lambda k: [1, 0, 0, 0, 1, 0] if k < 3 else [0, 1, 0, 0, 0, -1]}, "different directions"),
    ],
)
def test_two_stacks_in_one_object_are_refused(tmp_path, told, match):
    cosines = None if "cosines" in told else (1, 0, 0, 0, 1, 0)
    path = volume(tmp_path / "x.dcm", texture(6), groups(6, **told), cosines)
    with pytest.raises(DicomError, match=match):
        read_header(path)
