"""What a healthy file gives: pixels bit by bit, header values, one frame at a time."""

import logging
import tracemalloc

import imagecodecs
import numpy as np
import pytest

from comoto.dicom import decode
from comoto.dicom.read import DicomImage, read_header, touching_side
from comoto.errors import DicomError
from comoto.records import Laterality
from dicom_files import UID, encapsulated, texture, write_dicom

LOSSLESS = [codec for codec in UID if codec not in ("deflated", "jpeg")]


@pytest.mark.parametrize("codec", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 10])
def test_every_lossless_syntax_gives_the_written_pixels(tmp_path, codec, bits):
    frames = texture(bits=bits)
    path = write_dicom(tmp_path / "x.dcm", frames, codec, bits_stored=bits)
    with DicomImage(path) as image:
        assert image.num_frames == 3
        assert image.shape == (24, 16)
        for index in (2, 0, 1):
            frame = image.frame(index)
            assert frame.dtype == frames.dtype
            assert frame.flags.writeable
            np.testing.assert_array_equal(frame, frames[index])


def test_jpeg_2000_inside_a_jp2_file(tmp_path):
    """Some writers put a whole JP2 file into the fragment."""
    frames = texture()
    data = [bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="jp2")) for frame in frames]
    path = write_dicom(tmp_path / "x.dcm", frames, pixel_data=encapsulated(data))
    np.testing.assert_array_equal(np.stack(list(DicomImage(path).frames())), frames)


def test_an_odd_number_of_raw_bytes_is_padded(tmp_path):
    frames = texture(frames=1, rows=3, columns=5, bits=8)
    path = write_dicom(tmp_path / "x.dcm", frames[0], "raw", bits_stored=8)
    np.testing.assert_array_equal(DicomImage(path).frame(0), frames[0])


def test_baseline_jpeg_is_close(tmp_path):
    smooth = np.add.outer(np.arange(24), np.arange(16)).astype(np.uint8) * 4
    path = write_dicom(tmp_path / "x.dcm", smooth, "jpeg", bits_stored=8)
    difference = DicomImage(path).frame(0).astype(int) - smooth
    assert np.abs(difference).max() <= 4


@pytest.mark.parametrize("codec", ["raw", "j2k", "ljpeg"])
def test_monochrome1_is_inverted_within_the_stored_bits(tmp_path, codec):
    frames = texture()
    tags = {"PhotometricInterpretation": "MONOCHROME1"}
    path = write_dicom(tmp_path / "x.dcm", frames, codec, tags=tags)
    np.testing.assert_array_equal(DicomImage(path).frame(1), 1023 - frames[1])


@pytest.mark.parametrize("codec", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_signed_values_are_shifted_and_the_rescale_follows(tmp_path, codec, bits, photometric):
    """As CT-like stacks hold them; the rescaled value of a stored -5 stays 2 * -5 + 100."""
    frames = texture(bits=bits).astype(np.int32) - 2 ** (bits - 1)
    tags = {
        "PixelRepresentation": 1,
        "PhotometricInterpretation": photometric,
        "RescaleSlope": 2,
        "RescaleIntercept": 100,
    }
    stored = frames.astype(np.int8 if bits == 8 else np.int16)
    path = write_dicom(tmp_path / "x.dcm", stored, codec, bits_stored=bits, tags=tags)
    with DicomImage(path) as image:
        frame, (slope, intercept) = image.frame(1), image.header.rescale
    assert frame.dtype == (np.uint8 if bits == 8 else np.uint16)
    if photometric == "MONOCHROME1":
        frame = 2**bits - 1 - frame
    np.testing.assert_array_equal(slope * frame + intercept, 2 * frames[1] + 100)


def test_signed_values_without_their_sign_bits(tmp_path):
    """Bits above the stored ones may be left 0: 0x0FFF of 12 bits is -1."""
    stored = np.array([[0x0FFF, 0xFFFF, 0x0800, 0x07FF, 0, 1]], dtype=np.uint16)
    tags = {"PixelRepresentation": 1}
    path = write_dicom(tmp_path / "x.dcm", stored, "raw", bits_stored=12, tags=tags)
    np.testing.assert_array_equal(DicomImage(path).frame(0)[0] - 2048.0, [-1, -1, -2048, 2047, 0, 1])


def test_header_of_a_volume(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", texture(), window=(448.5, 580.0))
    header = read_header(path)
    assert (header.rows, header.columns, header.num_frames) == (24, 16, 3)
    assert header.is_multiframe
    assert header.window == (448.5, 580.0)
    assert header.rescale == (1.0, 0.0)
    assert header.spacing_mm is None
    assert header.laterality_tag == "L"
    assert header.view_position == "CC"
    assert header.transfer_syntax_uid == "1.2.840.10008.1.2.4.90"
    assert (header.bits_allocated, header.bits_stored) == (16, 10)
    assert header.series_instance_uid == "1.2.826.0.1.3680043.8.498.3"


def test_header_of_a_mammogram_without_sop_class_and_with_hash_uids(tmp_path):
    """VinDr-Mammo keeps 46 tags, none of them the SOP class; its UIDs are hashes."""
    tags = {
        "SOPClassUID": None,
        "SOPInstanceUID": "d8125545210c08e1b1793a5af6458ee2",
        "WindowCenter": [2047, 1800],
        "WindowWidth": [4096, 900],
        "RescaleSlope": 2,
        "RescaleIntercept": -10,
        "ImagerPixelSpacing": [0.085, 0.07],
        "ImageLaterality": "R",
    }
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        path = write_dicom(tmp_path / "x.dicom", texture(bits=12)[0], "raw", bits_stored=12, tags=tags)
    header = read_header(path)
    assert header.sop_class_uid == ""
    assert header.sop_instance_uid == "d8125545210c08e1b1793a5af6458ee2"
    assert header.window == (2047.0, 4096.0)
    assert header.rescale == (2.0, -10.0)
    assert header.spacing_mm == (0.085, 0.07)
    assert header.laterality_tag == "R"
    assert not header.is_multiframe


def test_view_comes_from_the_view_code_where_there_is_no_view_position(tmp_path):
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "399368009", "SCT"
    path = write_dicom(tmp_path / "x.dcm", texture(), tags={"ViewPosition": None, "ViewCodeSequence": [code]})
    assert read_header(path).view_position == "MLO"


def test_the_volume_is_not_read_for_its_header(tmp_path):
    """A file whose pixel bytes are garbage still has a good header."""
    path = write_dicom(tmp_path / "x.dcm", texture(), pixel_data=b"\xfe\xff\x00\xe0" + b"\0" * 4)
    assert read_header(path).num_frames == 3


def test_single_frame_where_a_volume_is_wanted(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", texture()[0])
    with pytest.raises(DicomError, match=r"x\.dcm: one frame only.*multi-frame file"):
        read_header(path).require_volume()


@pytest.mark.parametrize("index", [-1, 3])
def test_frames_outside_the_volume(tmp_path, index):
    with (
        DicomImage(write_dicom(tmp_path / "x.dcm", texture())) as image,
        pytest.raises(DicomError, match="frames are 0 to 2"),
    ):
        image.frame(index)


def test_frames_yields_the_asked_ones_in_order(tmp_path):
    frames = texture(frames=5)
    with DicomImage(write_dicom(tmp_path / "x.dcm", frames)) as image:
        np.testing.assert_array_equal(np.stack(list(image.frames([4, 0, 4]))), frames[[4, 0, 4]])
        np.testing.assert_array_equal(np.stack(list(image.frames())), frames)


def test_only_the_asked_frame_is_decoded(tmp_path, monkeypatch):
    decoded = []
    original = decode._DECODERS[decode.Codec.JPEG_2000]

    def counted(data):
        decoded.append(len(data))
        return original(data)

    monkeypatch.setitem(decode._DECODERS, decode.Codec.JPEG_2000, counted)
    with DicomImage(write_dicom(tmp_path / "x.dcm", texture(frames=40))) as image:
        assert decoded == []
        image.frame(17)
    assert len(decoded) == 1


@pytest.mark.parametrize("codec", ["raw", "j2k"])
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, codec):
    """40 frames of 256 KiB: the peak stays below four frames."""
    frames = np.repeat(texture(frames=1, rows=512, columns=256), 40, axis=0)
    path = write_dicom(tmp_path / "x.dcm", frames, codec)
    del frames
    with DicomImage(path) as image:
        image.frame(0)  # imports and tables of the decoder
        tracemalloc.start()
        for frame in image.frames():
            assert frame.shape == (512, 256)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 * 512 * 256 * 2


def test_precision_larger_than_bits_stored_is_told_once(tmp_path, caplog):
    """Every BCS-DBT file declares 10 bits stored and 16 bits in the codestream."""
    path = write_dicom(tmp_path / "x.dcm", texture(), precision=16)
    with caplog.at_level(logging.INFO, logger="comoto.dicom"), DicomImage(path) as image:
        list(image.frames())
        DicomImage(path).frame(0)
    assert [record.message for record in caplog.records if "compressed with 16 bits" in record.message][
        1:
    ] == []
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("function", "named"), [("SIGMOID", "SIGMOID"), ("PETRONELLA", "of another name")])
def test_a_window_function_is_said_but_no_free_text(tmp_path, caplog, function, named):
    path = write_dicom(tmp_path / "x.dcm", texture()[0], tags={"VOILUTFunction": function})
    for _ in range(2):
        assert read_header(path).window == (400, 600)
    line = "is taken as a line of the same centre and width (said once; 'comoto -v"
    said = f"{path}: VOI LUT function {named} {line}"
    assert [(record.levelname, record.message.startswith(said)) for record in caplog.records] == [
        ("WARNING", True)
    ]


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("table", ["right", "empty"])
@pytest.mark.parametrize("codec", ["j2k", "ljpeg", "jpegls"])
def test_fragments_and_empty_offset_tables(tmp_path, pieces, table, codec):
    frames = texture()
    path = write_dicom(tmp_path / "x.dcm", frames, codec, pieces=pieces, table=table)
    np.testing.assert_array_equal(np.stack(list(DicomImage(path).frames())), frames)


@pytest.mark.parametrize(
    ("first", "last", "side"),
    [(0, 5, Laterality.RIGHT), (5, 0, Laterality.LEFT), (3, 3, Laterality.LEFT), (0, 0, Laterality.LEFT)],
)
def test_touching_side(first, last, side):
    frame = np.zeros((4, 6), dtype=np.uint16)
    frame[:, 0], frame[:, -1] = first, last
    frame[:, 2:4] = 1000
    assert touching_side(frame) is side


def test_touching_side_does_not_overflow():
    frame = np.zeros((300, 2), dtype=np.uint16)
    frame[:, 0] = 65535
    assert touching_side(frame) is Laterality.LEFT
    assert touching_side(frame[:, ::-1]) is Laterality.RIGHT


def test_threads_share_an_image(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    frames = texture(frames=30)
    with DicomImage(write_dicom(tmp_path / "x.dcm", frames)) as image, ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(np.stack(list(pool.map(image.frame, list(range(30)) * 3)))[60:], frames)
