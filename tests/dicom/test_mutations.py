"""The catalogue of malformed volumes, row by row: each is refused with one error, or read for what it is.

The rows and their numbers are those of an experiment with pydicom 3.0.2, in which many of them were read
silently wrong, or killed the process. Rows that carry no contradiction inside the file (1c, 15) cannot be
refused; the test says what the reader gives instead.
"""

import contextlib
import struct

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from comoto.dicom.read import DicomImage, read_header
from comoto.errors import DicomError
from dicom_files import UID, encapsulated, encode, texture, write_dicom

FRAMES = texture(frames=10, rows=64, columns=32)
ONE_GROUP_TOO_FEW = {"PerFrameFunctionalGroupsSequence": [Dataset()] * 9}
NOT_DESCRIBED = {"PerFrameFunctionalGroupsSequence": None}


def cut(path, share=0.55):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def long_name(path):
    """Row 10e: PatientName claims 60,000 bytes and swallows what follows."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, data.index(b"\x10\x00\x10\x00PN") + 6, 60000)
    path.write_bytes(data)


def long_pixels(path):
    """Row 10d: the length of the pixel data is 0xFFFFFFF0."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"\xe0\x7f\x10\x00O") + 8, 0xFFFFFFF0)
    path.write_bytes(data)


def without_meta(path):
    data = path.read_bytes()
    path.write_bytes(data[:132] + data[data.index(b"\x08\x00\x16\x00UI") :])


def bomb():
    """Row 10c: a few hundred bytes that unpack to 16000 x 16000 grey values.

    Only the header of the stream is true: its decoder must never see it.
    """
    small = encode(np.zeros((16, 16), dtype=np.uint16), "j2k", 16)
    start = small.index(b"\xff\x51") + 6
    huge = small[:start] + struct.pack(">2I", 16000, 16000) + small[start + 8 :]
    at = start + 16
    return huge[:at] + struct.pack(">2I", 16000, 16000) + huge[at + 8 :]


# row, codec, options of the writer, change to the file, what the one error says
REFUSED = [
    ("1a", "raw", {}, cut, r"only \d+ of 40960 bytes"),
    ("1b", "j2k", {}, cut, r"ends after \d complete fragments.*\(10 frames expected\)"),
    (
        "3a",
        "raw",
        {"tags": NOT_DESCRIBED | {"NumberOfFrames": 12}},
        None,
        "40960 bytes .* 12 frames .* 49152",
    ),
    ("3b", "raw", {"tags": NOT_DESCRIBED | {"NumberOfFrames": 5}}, None, "40960 bytes .* 5 frames .* 20480"),
    ("3c", "j2k", {"tags": NOT_DESCRIBED | {"NumberOfFrames": 12}}, None, "says 12, .* hold 10 fragments"),
    ("3d", "j2k", {"tags": NOT_DESCRIBED | {"NumberOfFrames": 5}}, None, "says 5, .* hold 10 fragments"),
    ("3e", "raw", {"tags": NOT_DESCRIBED | {"NumberOfFrames": None}}, None, "40960 bytes .* 1 frames"),
    ("3f", "j2k", {"tags": NOT_DESCRIBED | {"NumberOfFrames": None}}, None, "says 1, .* hold 10 fragments"),
    ("7", "raw", {"tags": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}}, None, "RGB with 3"),
    ("8d", "j2k", {"table": "missing"}, None, "says 10, .* hold 9 fragments"),
    ("9", "raw", {"tags": {"PixelData": None}}, None, "no pixel data"),
    (
        "10a",
        "raw",
        {"tags": {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 10000}},
        None,
        "more than any",
    ),
    (
        "10b",
        "j2k",
        {"tags": {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 10000}},
        None,
        "more than any",
    ),
    ("10c", "j2k", {"pixel_data": encapsulated([bomb()] * 10)}, None, "16000 x 16000 pixels, .* 64 x 32"),
    ("10d", "j2k", {}, long_pixels, "does not fit the pixel data, which claim 4294967280 bytes"),
    ("10d raw", "raw", {}, long_pixels, "4294967280 bytes of pixel data, but .* need 40960"),
    ("10e", "j2k", {}, long_name, "damaged"),
    ("10e raw", "raw", {}, long_name, "damaged"),
    ("11a", "raw", {}, lambda path: path.write_bytes(imagecodecs.png_encode(FRAMES[0])), "not a DICOM file"),
    ("11b", "raw", {}, lambda path: path.write_bytes(b""), "not a DICOM file"),
    ("11c", "raw", {}, lambda path: path.write_text("PatientID,View\n" * 40), "not a DICOM file"),
    ("11d", "raw", {}, lambda path: path.write_bytes(path.read_bytes()[132:]), "not a DICOM file"),
    ("11e", "raw", {}, without_meta, "no transfer syntax"),
    ("12a", "j2k", {"uid": "1.2.840.113619.5.2"}, None, r"syntax 1\.2\.840\.113619\.5\.2 is not supported"),
    ("12b", "j2k", {"uid": "1.2.840.10008.1.2.4.94"}, None, "is not supported; convert"),
    ("12c", "j2k", {"uid": UID["raw"]}, None, "does not fit the pixel data, which are in fragments"),
    ("12d", "j2k", {"uid": UID["jpegls"]}, None, "0 begin a JPEG-LS frame"),
    ("13", "j2k", {"bits_stored": 8}, None, "holds the value 1023, beyond the 8 bits"),
    ("13 raw", "raw", {"bits_stored": 8}, None, "holds the value 1023, beyond the 8 bits"),
    (
        "13b sign",
        "j2k",
        {"tags": {"PixelRepresentation": 1}},
        None,
        "unsigned values, but the header says signed",
    ),
    ("13b bits", "j2k", {"bits_stored": 16, "precision": 10}, None, "with 10 bits, .* 16 stored"),
    ("14", "j2k", {"tags": {"Rows": 32, "Columns": 64}}, None, "compressed as 64 x 32 pixels, .* 32 x 64"),
    ("16", "j2k", {"tags": ONE_GROUP_TOO_FEW}, None, "says 10, but 9 frames are described"),
]


@pytest.mark.parametrize(
    ("row", "codec", "options", "change", "says"), REFUSED, ids=[row[0] for row in REFUSED]
)
def test_malformed_volumes_are_refused_with_one_error(tmp_path, row, codec, options, change, says):
    path = write_dicom(tmp_path / "x.dcm", FRAMES, codec, **options)
    if change is not None:
        change(path)
    with pytest.raises(DicomError, match=says) as caught, DicomImage(path) as image:
        list(image.frames())
    assert str(caught.value).startswith(f"{path}: ")


READ = [
    ("2", "j2k", {"tags": {"SharedFunctionalGroupsSequence": None, **NOT_DESCRIBED}}),
    ("8a", "j2k", {"table": "empty"}),
    ("8b", "j2k", {"pieces": 2}),
    ("8b empty table", "j2k", {"pieces": 2, "table": "empty"}),
    ("8c", "j2k", {"table": tuple(range(0, 400, 40))}),
    ("8c far", "j2k", {"table": (0, *(10**9 + k for k in range(9)))}),
    ("16 bits in the stream", "j2k", {"precision": 16}),
]


@pytest.mark.parametrize(("row", "codec", "options"), READ, ids=[row[0] for row in READ])
def test_volumes_that_only_look_odd_are_read_in_full(tmp_path, row, codec, options):
    with DicomImage(write_dicom(tmp_path / "x.dcm", FRAMES, codec, **options)) as image:
        assert image.num_frames == 10
        np.testing.assert_array_equal(np.stack(list(image.frames())), FRAMES)
        np.testing.assert_array_equal(image.frame(9), FRAMES[9])


def test_row_1c_bytes_changed_inside_a_frame(tmp_path):
    """Nothing in the format guards a code block: pixels of that frame may change, those of no other do."""
    frames = texture(frames=10, rows=128, columns=128)
    path = write_dicom(tmp_path / "x.dcm", frames)
    with DicomImage(path) as image:
        start, length = image._locations[4].pieces[0]
    data = bytearray(path.read_bytes())
    data[start + 2000 : start + 6000] = np.random.default_rng(1).bytes(4000)
    assert length > 6100
    path.write_bytes(data)
    with DicomImage(path) as image:
        for index in set(range(10)) - {4}:
            np.testing.assert_array_equal(image.frame(index), frames[index])
        with contextlib.suppress(DicomError):
            assert image.frame(4).shape == (128, 128)


def test_row_2_what_is_missing_is_said_to_be_missing(tmp_path):
    tags = {"SharedFunctionalGroupsSequence": None, **NOT_DESCRIBED}
    header = read_header(write_dicom(tmp_path / "x.dcm", FRAMES, tags=tags))
    assert (header.window, header.laterality_tag, header.spacing_mm) == (None, None, None)


def test_row_4_laterality_missing(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", FRAMES)
    dataset = dcmread(path)
    del dataset.SharedFunctionalGroupsSequence[0].FrameAnatomySequence
    dataset.save_as(path)
    with DicomImage(path) as image:
        assert image.header.laterality_tag is None
        np.testing.assert_array_equal(image.frame(3), FRAMES[3])


@pytest.mark.parametrize("codec", ["raw", "j2k", "jpegls", "rle"])
def test_row_5_monochrome1_is_inverted(tmp_path, codec):
    tags = {"PhotometricInterpretation": "MONOCHROME1"}
    with DicomImage(write_dicom(tmp_path / "x.dcm", FRAMES, codec, tags=tags)) as image:
        np.testing.assert_array_equal(image.frame(3), 1023 - FRAMES[3])


@pytest.mark.parametrize("codec", ["raw", "j2k", "ljpeg"])
def test_row_6_eight_bits(tmp_path, codec):
    frames = texture(frames=10, bits=8)
    with DicomImage(write_dicom(tmp_path / "x.dcm", frames, codec, bits_stored=8)) as image:
        assert (image.header.bits_allocated, image.frame(9).dtype) == (8, np.uint8)
        np.testing.assert_array_equal(image.frame(9), frames[9])


def test_row_15_no_geometry(tmp_path):
    header = read_header(write_dicom(tmp_path / "x.dcm", FRAMES))
    assert header.spacing_mm is None
    assert header.is_multiframe


def test_every_row_of_the_catalogue_is_here():
    """1a to 16, as numbered there."""
    rows = {name.split()[0] for name, *_ in (*REFUSED, *READ)} | {"1c", "2", "4", "5", "6", "15"}
    expected = {"1a", "1b", "1c", "2", "4", "5", "6", "7", "9", "13", "13b", "14", "15", "16"}
    expected |= {f"3{letter}" for letter in "abcdef"} | {f"8{letter}" for letter in "abcd"}
    expected |= {f"{number}{letter}" for number in (10, 11) for letter in "abcde"}
    expected |= {f"12{letter}" for letter in "abcd"}
    assert expected <= rows
