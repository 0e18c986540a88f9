"""Folders of single-frame DICOM files: order, checks, and equality with the multi-frame file."""

import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stack_files import CAPTURE, CT, SERIES, write_stack, write_victre_stack

from comoto.dicom import log_once
from comoto.errors import DicomError
from comoto.sources import Content, describe_source, open_source, read_source_header, source_files
from dicom_files import UID, encapsulated, encode, texture, write_dicom


def refused(folder: Path, match: str) -> str:
    with pytest.raises(DicomError, match=match) as caught:
        open_source(folder)
    assert str(folder) in str(caught.value)
    assert describe_source(folder).problem == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "codec", ["raw", "implicit", "big", "rle", "ljpeg", "ljpeg57", "jpegls", "j2k", "htj2k"]
)
def test_a_stack_reads_like_its_multi_frame_twin(tmp_path: Path, codec: str) -> None:
    frames = texture(frames=6)
    stack = open_source(write_stack(tmp_path / "stack", frames, codec, SOPClassUID=CT))
    twin = open_source(write_dicom(tmp_path / "twin.dcm", frames, codec))
    assert stack.num_frames == twin.num_frames == 6
    assert stack.shape == twin.shape == (24, 16)
    for mine, theirs, wanted in zip(stack.frames(), twin.frames(), frames, strict=True):
        np.testing.assert_array_equal(mine, wanted)
        np.testing.assert_array_equal(mine, theirs)
    for name in ("window", "rescale", "bits_stored", "photometric", "patient_id", "series_instance_uid"):
        assert getattr(stack.header, name) == getattr(twin.header, name)
    np.testing.assert_array_equal(np.stack(list(stack.frames([4, 1]))), frames[[4, 1]])


def test_the_header_is_that_of_the_volume(tmp_path: Path) -> None:
    header = read_source_header(
        write_victre_stack(tmp_path / "7", np.linspace(0, 1, 5 * 6 * 4).reshape(5, 6, 4))
    )
    assert header.path == tmp_path / "7"
    assert (header.num_frames, header.rows, header.columns) == (5, 6, 4)
    assert header.is_multiframe
    assert header.spacing_mm == (0.085, 0.085)
    assert header.laterality_tag == "R"
    assert header.sop_instance_uid == ""
    assert header.series_instance_uid == SERIES


@pytest.mark.parametrize("sop_class", [CT, CAPTURE])
def test_victre_slices_have_the_values_of_the_reconstruction(tmp_path: Path, sop_class: str) -> None:
    slices = np.random.default_rng(5).random((7, 9, 5))
    with open_source(write_victre_stack(tmp_path / "recon", slices, sop_class)) as stack:
        pixels = np.stack(list(stack.frames()))
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, np.rint(slices * 65535))


@settings(max_examples=25)
@given(st.permutations(range(7)), st.integers(-3, 40), st.integers(1, 3))
def test_the_order_is_that_of_instance_number(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], first: int, step: int
) -> None:
    """Whatever the names, where numbers begin and how they step."""
    folder = tmp_path_factory.mktemp("order")
    frames = texture(frames=7, rows=4, columns=4)
    for name, k in enumerate(order):
        place = [0.0, 0.0, 1.5 * k]
        changes = {"InstanceNumber": first + step * k, "ImagePositionPatient": place}
        write_stack(folder, frames[k : k + 1], names=f"IM{name}", **changes)
    with open_source(folder) as stack:
        np.testing.assert_array_equal(np.stack(list(stack.frames())), frames)


def test_places_may_run_either_way(tmp_path: Path) -> None:
    frames = texture(frames=5)
    down = write_stack(tmp_path / "down", frames, ImagePositionPatient=lambda k: [0, 0, -float(k)])
    np.testing.assert_array_equal(open_source(down).frame(4), frames[4])
    assert open_source(down).header.slice_mm == 1.0


def test_without_numbers_the_place_decides(tmp_path: Path) -> None:
    frames = texture(frames=5)
    order = [3, 1, 4, 0, 2]
    folder = write_stack(
        tmp_path / "s",
        frames,
        InstanceNumber=None,
        ImagePositionPatient=lambda k: [5.0, 0, 2.0 * order[k]],
    )
    np.testing.assert_array_equal(
        np.stack(list(open_source(folder).frames())), frames[[order.index(k) for k in range(5)]]
    )
    by_location = write_stack(
        tmp_path / "l",
        frames,
        InstanceNumber=None,
        ImagePositionPatient=None,
        SliceLocation=lambda k: 0.5 * order[k],
    )
    np.testing.assert_array_equal(open_source(by_location).frame(0), frames[order.index(0)])
    assert [read_source_header(each).slice_mm for each in (folder, by_location)] == [2.0, 0.5]


def test_the_same_place_in_every_file_says_nothing(tmp_path: Path) -> None:
    frames = texture(frames=4)
    folder = write_stack(tmp_path / "s", frames, ImagePositionPatient=[1, 2, 3])
    np.testing.assert_array_equal(open_source(folder).frame(3), frames[3])


def test_files_are_known_by_content(tmp_path: Path) -> None:
    frames = texture(frames=5)
    folder = write_stack(tmp_path / "s", frames, names="IM0000{number}")
    (folder / "README.txt").write_text("not an image")
    (folder / ".DS_Store").write_bytes(b"\0" * 200)
    (folder / "inside").mkdir()
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33", "Modality": "SR", "Rows": None, "Columns": None}
    write_dicom(folder / "report.dcm", frames[0], "raw", tags=report | {"SeriesInstanceUID": "1.2.3"})
    with open_source(folder) as stack:
        assert stack.num_frames == 5
        np.testing.assert_array_equal(stack.frame(2), frames[2])
    assert len(source_files(folder)) == 8


class TestRefusals:
    """What contradicts itself is refused, with the names of the files."""

    def test_a_missing_slice(self, tmp_path: Path) -> None:
        folder = write_stack(tmp_path / "s", texture(frames=8))
        (folder / "4.dcm").unlink()
        (folder / "5.dcm").unlink()
        message = refused(folder, "slices are missing")
        assert "from 1 to 8 without 4, 5;" in message

    @pytest.mark.parametrize("lost", ["1.dcm", "8.dcm"])
    def test_a_missing_slice_at_either_end_is_warned_of(self, tmp_path: Path, lost: str, caplog) -> None:
        """Only Images in Acquisition tells, and it may count more than this volume."""
        log_once.forget()
        folder = write_stack(tmp_path / "s", texture(frames=8), ImagesInAcquisition=8)
        assert describe_source(folder).num_frames == 8
        assert caplog.text == ""
        (folder / lost).unlink()
        with open_source(folder) as stack:
            assert stack.num_frames == 7
        assert (
            f"{folder}: 7 slices are there, and Images in Acquisition says 8; slices at either" in caplog.text
        )
        for name, number in (("silent", None), ("each", 1)):
            log_once.forget()
            caplog.clear()
            other = write_stack(tmp_path / name, texture(frames=8), ImagesInAcquisition=number)
            (other / lost).unlink()
            with open_source(other) as stack:
                assert stack.num_frames == 7
            assert caplog.text == ""

    def test_a_missing_slice_by_place_alone(self, tmp_path: Path) -> None:
        """Numbers were given again after the gap came to be."""
        places = [0.0, 1.0, 2.0, 4.0, 5.0, 6.0]
        folder = write_stack(
            tmp_path / "s", texture(frames=6), ImagePositionPatient=lambda k: [0, 0, places[k]]
        )
        assert "3.dcm and 4.dcm are 2 mm apart, the others 1 mm" in refused(folder, "missing or of another")

    def test_two_files_of_one_number(self, tmp_path: Path) -> None:
        folder = write_stack(tmp_path / "s", texture(frames=5))
        write_stack(folder, texture(frames=1), names="copy.dcm", InstanceNumber=3)
        assert "3.dcm and copy.dcm" in refused(folder, r"same Instance Number \(3\)")

    def test_number_against_place(self, tmp_path: Path) -> None:
        places = [0.0, 1.0, 3.0, 2.0, 4.0]
        folder = write_stack(
            tmp_path / "s", texture(frames=5), ImagePositionPatient=lambda k: [0, 0, places[k]]
        )
        assert "from 3.dcm to 4.dcm" in refused(folder, "contradict each other")

    def test_two_sizes(self, tmp_path: Path) -> None:
        folder = write_stack(tmp_path / "s", texture(frames=5))
        write_stack(folder, texture(frames=1, rows=20), names="scout.dcm", InstanceNumber=6)
        message = refused(folder, "2 image sizes")
        assert "24 x 16 in 5" in message
        assert "20 x 16 in 1 (scout.dcm)" in message

    def test_two_transfer_syntaxes(self, tmp_path: Path) -> None:
        folder = write_stack(tmp_path / "s", texture(frames=5))
        write_stack(folder, texture(frames=1), "j2k", names="six.dcm", InstanceNumber=6)
        assert UID["j2k"] in refused(folder, "2 transfer syntaxes")

    def test_two_rescales(self, tmp_path: Path) -> None:
        folder = write_stack(
            tmp_path / "s", texture(frames=5), RescaleSlope=lambda k: 1 + (k == 3), RescaleIntercept=0
        )
        refused(folder, "2 rescales")

    def test_two_series_are_listed(self, tmp_path: Path) -> None:
        folder = write_stack(
            tmp_path / "s", texture(frames=5), names="a{number}", SeriesDescription="L CC tomo"
        )
        write_stack(folder, texture(frames=6), names="b{number}", SeriesInstanceUID="1.2.3.4")
        message = refused(folder, "several images where one is expected")
        assert "a stack of 5 slices 'L CC tomo' (a1" in message
        assert "a stack of 6 slices (b1, ..., series 1.2.3.4)" in message

    def test_a_volume_beside_the_stack(self, tmp_path: Path) -> None:
        folder = write_stack(tmp_path / "s", texture(frames=5))
        write_dicom(folder / "bto.dcm", texture(), "raw", tags={"SeriesInstanceUID": "1.9"})
        assert "1 x tomosynthesis volume (bto.dcm)" in refused(folder, "several images")

    def test_some_without_number(self, tmp_path: Path) -> None:
        numbers = {"InstanceNumber": lambda k: k + 1 if k else None, "ImagePositionPatient": None}
        folder = write_stack(tmp_path / "s", texture(frames=5), **numbers)
        assert "1 of 5 files have no Instance Number (1.dcm)" in refused(folder, "order is unknown")

    def test_neither_number_nor_place(self, tmp_path: Path) -> None:
        folder = write_stack(
            tmp_path / "s", texture(frames=5), InstanceNumber=None, ImagePositionPatient=None
        )
        refused(folder, "neither Instance Number nor the place")

    def test_a_number_that_is_none(self, tmp_path: Path) -> None:
        folder = write_stack(tmp_path / "s", texture(frames=5))
        data = (folder / "2.dcm").read_bytes()
        old = b"\x20\x00\x13\x00IS\x02\x002 "
        assert data.count(old) == 1
        (folder / "2.dcm").write_bytes(data.replace(old, b"\x20\x00\x13\x00IS\x02\x00xy"))
        with pytest.raises(DicomError, match=r"2\.dcm: the header cannot be read"):
            open_source(folder)

    def test_an_empty_folder_and_one_of_folders(self, tmp_path: Path) -> None:
        refused(tmp_path, "no DICOM file directly in this folder; give the folder of the files")
        (tmp_path / "one").mkdir()
        refused(tmp_path, "but 1 folders; give one of them")

    def test_more_files_than_any_volume(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("comoto.sources.dicom_stack.MAX_FRAMES", 4)
        refused(write_stack(tmp_path / "s", texture(frames=5)), "more than any breast volume has")

    def test_a_damaged_slice_is_named_when_it_is_read(self, tmp_path: Path) -> None:
        frames = texture(frames=5)
        folder = write_stack(tmp_path / "s", frames, "j2k")
        broken = encapsulated([encode(frames[2], "j2k", 16)[:-40]])
        tags = {"SOPClassUID": CT, "InstanceNumber": 3, "SOPInstanceUID": f"{SERIES}.3"}
        place = {"ImagePositionPatient": [0, 0, 2.0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        write_dicom(folder / "3.dcm", frames[2], "j2k", tags=tags | place, pixel_data=broken)
        with open_source(folder) as stack:
            np.testing.assert_array_equal(stack.frame(1), frames[1])
            with pytest.raises(DicomError, match=r"3\.dcm"):
                stack.frame(2)

    def test_no_such_frame(self, tmp_path: Path) -> None:
        with (
            open_source(write_stack(tmp_path / "s", texture(frames=5))) as stack,
            pytest.raises(DicomError, match="no frame 5; frames are 0 to 4"),
        ):
            stack.frame(5)


def test_a_hundred_files_open_at_once(tmp_path: Path) -> None:
    """Headers are read once, pixels not at all; 0.15 to 0.4 s on a slow core."""
    folder = write_stack(tmp_path / "s", texture(frames=100), "j2k")
    start = time.process_time()
    stack = open_source(folder)
    assert time.process_time() - start < 3
    for number in range(2, 101):
        path = folder / f"{number}.dcm"
        content = path.read_bytes()
        path.write_bytes(content[:-100] + bytes(92) + content[-8:])  # a codestream that no decoder takes
    assert open_source(folder).num_frames == stack.num_frames == 100


def test_files_without_an_order_are_no_stack_of_a_file_that_is_named(tmp_path: Path) -> None:
    """Two pictures of one series in a folder, neither numbered nor placed: each stands for itself."""
    frames = texture(frames=2)
    for number, frame in enumerate(frames):
        write_dicom(tmp_path / "s" / f"{number}.dcm", frame, "raw")
    with open_source(tmp_path / "s" / "1.dcm") as image:
        assert image.num_frames == 1
        np.testing.assert_array_equal(image.frame(0), frames[1])
    with pytest.raises(DicomError, match="neither Instance Number nor the place"):
        open_source(tmp_path / "s")


def test_a_folder_with_one_multi_frame_file_is_that_file(tmp_path: Path) -> None:
    frames = texture()
    write_dicom(tmp_path / "series" / "1-1.dcm", frames)
    with open_source(tmp_path / "series") as image:
        np.testing.assert_array_equal(image.frame(2), frames[2])
    assert describe_source(tmp_path / "series").num_frames == 3


def test_a_stack_travels_to_other_processes(tmp_path: Path) -> None:
    frames = texture(frames=5)
    stack = pickle.loads(pickle.dumps(open_source(write_stack(tmp_path / "s", frames))))
    np.testing.assert_array_equal(stack.frame(3), frames[3])


def test_reduced_frames_are_those_of_the_twin(tmp_path: Path) -> None:
    frames = texture(frames=5, rows=64, columns=48)
    stack = open_source(write_stack(tmp_path / "s", frames, "j2k"))
    twin = open_source(write_dicom(tmp_path / "t.dcm", frames, "j2k"))
    assert stack.reductions == twin.reductions > 0
    np.testing.assert_array_equal(stack.frame(3, 1), twin.frame(3, 1))
    assert open_source(write_stack(tmp_path / "r", frames)).reductions == 0


def test_a_single_slice_is_no_volume(tmp_path: Path) -> None:
    folder = write_stack(tmp_path / "s", texture(frames=1))
    header = read_source_header(folder)
    assert not header.is_multiframe
    assert describe_source(folder).content is Content.SLICE
    with pytest.raises(DicomError, match="the folder that holds one file per slice"):
        header.require_volume()
