"""Pixels that hold more than their value, files that hold more than their pixels (PS3.5 section 8.1.1)."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pydicom
import pytest

from comoto.dicom import log_once
from comoto.dicom.read import DicomImage
from comoto.errors import DicomError
from dicom_files import encapsulated, encode, texture, write_dicom

ENCODED = ["raw", "big", "implicit", "rle", "ljpeg", "jpegls", "j2k", "htj2k"]


@pytest.fixture(autouse=True)
def _say_everything_once_more():
    log_once.forget()


@pytest.fixture
def x(tmp_path):
    return tmp_path / "x.dcm"


@pytest.fixture
def picture():
    """A slope from 0 to 4000 with some noise: smooth, as pictures are; 12 bits."""
    rows, columns = np.mgrid[:48, :40]
    noise = np.random.default_rng(0).integers(0, 60, (48, 40))
    return (rows * 50 + columns * 35 + noise).astype(np.uint16)


def frame_of(path):
    with DicomImage(path) as image:
        return image.frame(0)


@pytest.mark.parametrize("codec", ENCODED)
def test_an_overlay_above_the_stored_bits(x, picture, codec, caplog):
    lettering = np.zeros(picture.shape, np.uint16)
    lettering[5:12, 20:35] = 1 << 12
    write_dicom(x, picture | lettering, codec, bits_stored=12)
    np.testing.assert_array_equal(frame_of(x), picture)
    assert caplog.text.count("uses bits above the 12 stored ones") == 1


@pytest.mark.parametrize("codec", ENCODED)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_garbage_above_the_stored_bits(x, picture, codec, photometric):
    garbage = np.random.default_rng(1).integers(0, 16, picture.shape).astype(np.uint16) << 12
    tags = {"PhotometricInterpretation": photometric}
    write_dicom(x, picture | garbage, codec, bits_stored=12, tags=tags)
    expected = picture if photometric == "MONOCHROME2" else 4095 - picture
    np.testing.assert_array_equal(frame_of(x), expected)


@pytest.mark.parametrize("codec", ENCODED)
def test_too_few_bits_stated_are_still_an_error(x, picture, codec):
    """Dropped bits would fold values above 1023 to 0: bright tissue would be dark."""
    write_dicom(x, picture, codec, bits_stored=10)
    with pytest.raises(DicomError, match=r"holds the value \d{4}, beyond the 10 bits"):
        frame_of(x)


@pytest.mark.parametrize("codec", ["raw", "rle", "jpegls"])
def test_signed_values_with_garbage_above(x, picture, codec):
    garbage = np.random.default_rng(1).integers(0, 16, picture.shape) << 12
    stored = ((picture.astype(np.int32) - 2048 & 0x0FFF) | garbage).astype(np.uint16)
    tags = {"PixelRepresentation": 1}
    write_dicom(x, stored, codec, bits_stored=12, tags=tags)
    np.testing.assert_array_equal(frame_of(x), picture)


@pytest.mark.parametrize("reduce", [1, 2])
@pytest.mark.parametrize("codec", ["j2k", "htj2k"])
def test_bits_above_are_not_mixed_into_a_coarser_picture(x, picture, codec, reduce):
    """A wavelet averages whole pixels, overlay included; what it makes of the plain picture is expected."""
    lettering = np.zeros(picture.shape, np.uint16)
    lettering[8:24, 8:32] = 1 << 12
    write_dicom(x, picture | lettering, codec, bits_stored=12)
    with DicomImage(x) as image:
        coarse = image.frame(0, reduce).astype(int)
    expected = picture[:: 2**reduce, :: 2**reduce].astype(int)
    assert np.abs(coarse - expected).max() < 250  # the step of the overlay is 4096


@pytest.mark.parametrize("codec", ["raw", "big", "rle", "ljpeg", "j2k"])
@pytest.mark.parametrize("is_signed", [False, True])
def test_left_justified_values(x, picture, codec, is_signed):
    stored = picture << 4 if not is_signed else ((picture.astype(np.int32) - 2048) << 4).astype(np.int16)
    write_dicom(x, stored, codec, bits_stored=12, tags={"HighBit": 15, "PixelRepresentation": int(is_signed)})
    np.testing.assert_array_equal(frame_of(x), picture)


def test_a_high_bit_that_the_pixels_contradict(x, picture):
    write_dicom(x, picture, "raw", bits_stored=12, tags={"HighBit": 15})
    with pytest.raises(DicomError, match="high bit 15 with 12 bits stored, but the values lie in the lowest"):
        frame_of(x)


def test_eight_bits_in_sixteen(x):
    frame = texture(bits=8)[0].astype(np.uint16)
    write_dicom(x, frame, "raw", bits_stored=8)
    np.testing.assert_array_equal(frame_of(x), frame)


# excess bytes


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b" "])
@pytest.mark.parametrize("excess", [2, 10, 96, 512, 3000])
def test_filling_after_the_pixels(x, picture, excess, filler, caplog):
    """96 bytes are one more column of 48 rows, which the picture does not have."""
    write_dicom(x, picture, "raw", bits_stored=12, pixel_data=picture.tobytes() + filler * excess)
    np.testing.assert_array_equal(frame_of(x), picture)
    assert f"{excess} bytes of filling" in caplog.text


def test_more_bytes_that_are_no_filling(x, picture):
    write_dicom(x, picture, "raw", bits_stored=12, pixel_data=picture.tobytes() + bytes(range(100)))
    with pytest.raises(
        DicomError, match="3940 bytes of pixel data, but 1 frames of 48 x 40 pixels need 3840"
    ):
        frame_of(x)


def test_a_column_too_few_in_the_header(x, picture):
    """The last rows are air, so what is left over looks like filling; where rows end tells."""
    picture[40:] = 0
    write_dicom(x, picture, "raw", bits_stored=12, tags={"Columns": 39})
    with pytest.raises(DicomError, match="make 40 columns, and the picture ends there"):
        frame_of(x)


def test_frames_too_few_in_the_header(x, picture):
    frames = np.stack([picture, picture * 0])
    tags = {"NumberOfFrames": 1, "PerFrameFunctionalGroupsSequence": None}
    write_dicom(x, frames, "raw", bits_stored=12, tags=tags)
    with pytest.raises(DicomError, match="7680 bytes of pixel data, but 1 frames"):
        frame_of(x)


def test_an_odd_number_of_bytes_without_filling(x):
    frame = texture(rows=5, columns=7, bits=8)[0]
    write_dicom(x, frame, "raw", bits_stored=8)
    data = x.read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\x00OB") + 8
    x.write_bytes(data[:at] + (35).to_bytes(4, "little") + frame.tobytes())
    np.testing.assert_array_equal(frame_of(x), frame)


def test_bytes_missing_at_the_end(x, picture):
    write_dicom(x, picture, "raw", bits_stored=12)
    x.write_bytes(x.read_bytes()[:-4])
    with pytest.raises(DicomError, match="only 3836 of 3840 bytes"):
        frame_of(x)


def test_data_set_trailing_padding(x, picture):
    write_dicom(x, picture, "raw", bits_stored=12, tags={"DataSetTrailingPadding": b"\0" * 128})
    np.testing.assert_array_equal(frame_of(x), picture)


@pytest.mark.parametrize("codec", ["ljpeg", "jpegls", "j2k", "htj2k"])
@pytest.mark.parametrize("filler", [b"\0" * 300, b"\xff" * 300, b"\xff\0\0"])
def test_filling_after_a_codestream(x, picture, codec, filler):
    data = encapsulated([encode(picture, codec, 16) + filler])
    write_dicom(x, picture, codec, bits_stored=12, pixel_data=data)
    np.testing.assert_array_equal(frame_of(x), picture)


# 12-bit JPEG


def test_extended_jpeg_of_twelve_bits(x, picture):
    """Lossy: close to the values, and the same as the codec makes of the stream."""
    stream = bytes(imagecodecs.jpeg8_encode(picture, level=98, bitspersample=12))
    assert b"\xff\xc1" in stream  # extended sequential
    uid = "1.2.840.10008.1.2.4.51"
    write_dicom(x, picture, "jpeg", bits_stored=12, pixel_data=encapsulated([stream]), uid=uid)
    frame = frame_of(x)
    assert frame.dtype == np.uint16
    assert np.abs(frame.astype(int) - picture).max() < 60


def test_extended_jpeg_of_eight_bits(x):
    picture = np.add.outer(np.arange(48), np.arange(40)).astype(np.uint8)
    uid = "1.2.840.10008.1.2.4.51"
    data = encapsulated([encode(picture, "jpeg", 8)])
    write_dicom(x, picture, "jpeg", bits_stored=8, pixel_data=data, uid=uid)
    assert np.abs(frame_of(x).astype(int) - picture).max() < 6


def test_overlay_planes_of_their_own_change_nothing(x, picture):
    write_dicom(x, picture, "raw", bits_stored=12)
    dataset = pydicom.dcmread(x)
    dataset.add_new(0x60000010, "US", 48)
    dataset.add_new(0x60000011, "US", 40)
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60000102, "US", 0)
    dataset.add_new(0x60003000, "OW", b"\xff" * 240)
    dataset.save_as(x)
    np.testing.assert_array_equal(frame_of(x), picture)
