"""Damaged, mislabelled and hostile files: each gives one DicomError naming the file, or the right pixels."""

import logging
import struct
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comoto.dicom import decode, header, tags
from comoto.dicom.read import DicomImage, read_header
from comoto.errors import DicomError
from comoto.sources import dicom_content
from dicom_files import UID, encapsulated, encode, texture, write_dicom


def refused(path, match):
    """Opening the file and reading all frames ends in one DicomError that begins with the path."""
    with pytest.raises(DicomError, match=match) as caught, DicomImage(path) as image:
        list(image.frames())
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def cut(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if keep < 1 else len(data) - int(keep)])
    return path


@pytest.fixture
def x(tmp_path):
    return tmp_path / "x.dcm"


# cut files


@pytest.mark.parametrize("codec", ["raw", "implicit", "big"])
def test_raw_file_cut(x, codec):
    write_dicom(x, texture(frames=10, rows=64), codec)
    assert "only" in refused(cut(x, 0.55), r"only \d+ of 20480 bytes of pixel data.*download it again")


@pytest.mark.parametrize("codec", ["j2k", "ljpeg", "rle", "htj2k", "jpegls"])
def test_compressed_file_cut(x, codec):
    """pydicom gives an empty data set here; the header alone is fine."""
    write_dicom(x, texture(frames=10, rows=64), codec)
    cut(x, 0.55)
    assert read_header(x).num_frames == 10
    refused(x, r"ends after [3456] complete fragments.*10 frames expected.*download it again")


def test_only_the_delimiter_is_cut(x, caplog):
    """All frames are there, and each ends with its own mark."""
    frames = texture()
    write_dicom(x, frames)
    cut(x, 8)
    with DicomImage(x) as image:
        np.testing.assert_array_equal(np.stack(list(image.frames())), frames)
    assert "without the mark that ends the pixel data" in caplog.text
    refused(cut(x, 4), "the file ends")


def test_cut_within_the_header(x):
    write_dicom(x, texture())
    data = x.read_bytes()
    x.write_bytes(data[:500])
    refused(x, "damaged or cut")


def test_file_shrinks_while_it_is_open(x):
    write_dicom(x, texture(frames=10, rows=64), "raw")
    with DicomImage(x) as image:
        cut(x, 0.5)
        with pytest.raises(DicomError, match="ends inside a frame"):
            image.frame(9)


@pytest.mark.parametrize("codec", ["j2k", "ljpeg", "jpegls", "htj2k"])
def test_a_frame_that_is_cut_inside_an_intact_fragment(x, codec):
    frames = texture(rows=64, columns=64)
    data = [encode(frame, codec, 16) for frame in frames]
    data[1] = data[1][: len(data[1]) // 4 * 2]
    write_dicom(x, frames, codec, pixel_data=encapsulated(data))
    with DicomImage(x) as image:
        np.testing.assert_array_equal(image.frame(0), frames[0])
        np.testing.assert_array_equal(image.frame(2), frames[2])
        with pytest.raises(DicomError, match="frame 1 has no end marker"):
            image.frame(1)


# numbers of frames


@pytest.mark.parametrize("codec", ["raw", "j2k", "rle"])
@pytest.mark.parametrize("frames", [2, 4, None])
def test_wrong_number_of_frames(x, codec, frames):
    tags = {"NumberOfFrames": frames, "PerFrameFunctionalGroupsSequence": None}
    write_dicom(x, texture(), codec, tags=tags)
    if codec == "raw":
        refused(x, rf"2304 bytes of pixel data, but {frames or 1} frames of 24 x 16 pixels need")
    else:
        refused(x, rf"NumberOfFrames says {frames or 1}, but the pixel data hold 3 fragments")


def test_zero_frames(x):
    write_dicom(x, texture(), tags={"NumberOfFrames": 0, "PerFrameFunctionalGroupsSequence": None})
    refused(x, "0 frames; there is nothing to read")


def test_per_frame_description_of_another_number(x):
    write_dicom(x, texture(), tags={"NumberOfFrames": 2})
    refused(x, "NumberOfFrames says 2, but 3 frames are described")


def test_no_functional_groups_still_reads(x):
    tags = {"SharedFunctionalGroupsSequence": None, "PerFrameFunctionalGroupsSequence": None}
    frames = texture()
    write_dicom(x, frames, tags=tags)
    with DicomImage(x) as image:
        assert image.header.window is None
        assert image.header.laterality_tag is None
        np.testing.assert_array_equal(image.frame(2), frames[2])


# offset tables


@pytest.mark.parametrize("table", [(0, 6, 10), (8, 16, 24), (0,), (0, 0, 0), (0, 10**9, 2 * 10**9)])
@pytest.mark.parametrize("pieces", [1, 2])
def test_wrong_offset_table_is_rebuilt_and_said(x, table, pieces, caplog):
    frames = texture()
    write_dicom(x, frames, table=table, pieces=pieces)
    with caplog.at_level(logging.WARNING, logger="comoto.dicom"), DicomImage(x) as image:
        np.testing.assert_array_equal(np.stack(list(image.frames())), frames)
    wrong = table != (0,)
    assert any("offset table is wrong" in record.message for record in caplog.records) == wrong


def test_offset_table_decides_where_beginnings_are_ambiguous(x):
    """A second fragment that happens to begin like a codestream does not open a frame."""
    frames = texture(frames=2)
    first, second = (encode(frame, "j2k", 16) for frame in frames)
    tail = b"\xff\x4f\xff\x51" + b"\0" * 4
    items = encapsulated([first, tail, second], table="missing")
    offsets = [0, 8 + len(first) + len(first) % 2 + 8 + len(tail)]
    data = struct.pack("<HHI2I", 0xFFFE, 0xE000, 8, *offsets) + items
    write_dicom(x, frames, pixel_data=data)
    with DicomImage(x) as image:
        np.testing.assert_array_equal(image.frame(1), frames[1])
    write_dicom(x, frames, pixel_data=struct.pack("<HHI", 0xFFFE, 0xE000, 0) + items)
    refused(x, "NumberOfFrames says 2, but the pixel data hold 3 fragments of which 3 begin")


def test_offset_table_item_missing(x):
    """The first fragment is then taken for the table, and one frame is missing: said, not swallowed."""
    write_dicom(x, texture(), table="missing")
    refused(x, "NumberOfFrames says 3, but the pixel data hold 2 fragments")


def test_bytes_between_fragments(x):
    frames = texture()
    items = encapsulated([encode(frame, "j2k", 16) for frame in frames])
    write_dicom(x, frames, pixel_data=items + b"ABCD" * 5)
    refused(x, r"should begin a fragment but is tag 4241,4443")


# header and codestream contradict each other


@pytest.mark.parametrize("codec", ["j2k", "htj2k", "ljpeg", "jpegls"])
def test_rows_and_columns_swapped(x, codec):
    write_dicom(x, texture(), codec, tags={"Rows": 16, "Columns": 24})
    refused(x, "compressed as 24 x 16 pixels, but the header says 16 x 24")


def test_small_stream_that_unpacks_to_a_huge_image_is_not_decoded(x, monkeypatch):
    huge = np.zeros((6000, 6000), dtype=np.uint8)
    data = encapsulated([encode(huge, "j2k", 8)] * 2)
    write_dicom(x, texture(frames=2), pixel_data=data, bits_stored=8)
    monkeypatch.setitem(decode._DECODERS, decode.Codec.JPEG_2000, lambda data: pytest.fail("decoded"))
    refused(x, "compressed as 6000 x 6000 pixels")


@pytest.mark.parametrize("codec", ["j2k", "htj2k"])
@pytest.mark.parametrize(
    ("offset", "value", "match"),
    [
        (24, 0, "tiles of 0 x 24 pixels"),
        (28, 0, "tiles of 16 x 0 pixels"),
        (28, 0x7FFFFFFF, "tiles of 16 x 2147483647 pixels"),
        (32, 16, "tiles of 16 x 24 pixels do not fit"),
        (8, 0, "do not fit the image"),
    ],
)
def test_tiles_that_decoders_cannot_bear(x, codec, offset, value, match):
    """Found by fuzzing: OpenJPH divides by tile sizes of 0 and loops for ever on the largest ones."""
    frames = texture()
    data = [bytearray(encode(frame, codec, 16)) for frame in frames]
    struct.pack_into(">I", data[1], offset, value)
    write_dicom(x, frames, codec, pixel_data=encapsulated(list(map(bytes, data))))
    assert match in refused(x, "frame 1 is not (JPEG 2000|HTJ2K)")


@pytest.mark.parametrize("codec", ["j2k", "htj2k"])
def test_more_tiles_than_numbers_for_them(x, codec):
    frames = texture(frames=1, rows=300, columns=300)
    data = bytearray(encode(frames[0], codec, 16))
    struct.pack_into(">2I", data, 24, 1, 1)
    write_dicom(x, frames[0], codec, pixel_data=encapsulated([bytes(data)]))
    refused(x, "90000 tiles")


@pytest.mark.parametrize("codec", ["j2k", "htj2k"])
@pytest.mark.parametrize(("place", "value"), [(9, 33), (10, 9), (11, 8)])
def test_impossible_wavelet_levels_and_code_blocks(x, codec, place, value):
    frames = texture(frames=1)
    data = bytearray(encode(frames[0], codec, 16))
    data[data.index(b"\xff\x52") + place] = value
    write_dicom(x, frames[0], codec, pixel_data=encapsulated([bytes(data)]))
    refused(x, "resolutions with code blocks of")


@pytest.mark.parametrize("codec", ["raw", "j2k"])
@pytest.mark.parametrize(
    "tags",
    [
        {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 10000},
        {"Rows": 8192, "Columns": 8192, "NumberOfFrames": 2000},
        {"Rows": 24, "Columns": 16, "NumberOfFrames": 2001},
    ],
)
def test_monstrous_sizes(x, codec, tags):
    write_dicom(x, texture(), codec, tags={**tags, "PerFrameFunctionalGroupsSequence": None})
    refused(x, "more than any breast image has")


def test_bits_stored_16_with_a_10_bit_stream(x):
    write_dicom(x, texture(), precision=10, tags={"BitsStored": 16, "HighBit": 15})
    refused(x, "compressed with 10 bits, but the header says 16 stored of 16 allocated")


@pytest.mark.parametrize("codec", ["raw", "j2k", "rle", "ljpeg"])
def test_values_beyond_bits_stored(x, codec):
    """pydicom masks these to 8 bits without a word."""
    write_dicom(x, texture(bits=10), codec, tags={"BitsStored": 9, "HighBit": 8})
    refused(x, "holds the value 1023, beyond the 9 bits")


@pytest.mark.parametrize("codec", ["j2k", "htj2k"])
def test_signed_header_over_an_unsigned_codestream(x, codec):
    """pydicom reads these as -512 to 511 where 0 to 1023 was written."""
    write_dicom(x, texture(), codec, tags={"PixelRepresentation": 1})
    refused(x, "compressed as unsigned values, but the header says signed")


def test_unsigned_header_over_a_signed_codestream(x):
    frames = texture()
    data = [encode(frame.astype(np.int16), "j2k", 16) for frame in frames]
    write_dicom(x, frames, pixel_data=encapsulated(data))
    refused(x, "compressed as signed values, but the header says unsigned")


@pytest.mark.parametrize("codec", ["raw", "rle", "jpegls"])
@pytest.mark.parametrize("value", [-2049, 6143])
def test_signed_values_beyond_bits_stored(x, codec, value):
    frames = np.zeros((2, 24, 16), dtype=np.int16)
    frames[1, 3, 5] = value
    write_dicom(x, frames, codec, bits_stored=12, tags={"PixelRepresentation": 1})
    refused(x, f"frame 1 holds the value {value}, beyond the 12 bits")


def test_impossible_pixel_representation(x):
    write_dicom(x, texture(), tags={"PixelRepresentation": 2})
    refused(x, "PixelRepresentation 2 with JPEG 2000 cannot be")


def test_signed_baseline_jpeg(x):
    write_dicom(x, texture(bits=8), "jpeg", bits_stored=8, tags={"PixelRepresentation": 1})
    refused(x, "PixelRepresentation 1 with JPEG cannot be")


def test_rgb(x):
    write_dicom(x, texture(), tags={"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"})
    refused(x, "RGB with 3 samples per pixel; only grey images")


def test_colour_codestream_under_a_grey_header(x):
    colour = np.zeros((24, 16, 3), dtype=np.uint8)
    data = encapsulated([encode(colour, "j2k", 8)] * 3)
    write_dicom(x, texture(bits=8), pixel_data=data, bits_stored=8)
    refused(x, "compressed as colour")


@pytest.mark.parametrize(
    ("tags", "match"),
    [
        ({"BitsAllocated": 32}, "32 bits allocated"),
        ({"BitsStored": 17}, "17 of 16 bits"),
        ({"HighBit": 16}, "high bit 16"),
        ({"HighBit": 8}, "high bit 8 with 10 of 16 bits"),
        ({"Rows": 0}, "0 x 16 pixels"),
        ({"Rows": None}, "no Rows; this is not an image"),
        ({"PhotometricInterpretation": None}, r"\(missing\) with 1 samples"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
    ],
)
def test_impossible_headers(x, tags, match):
    write_dicom(x, texture(), tags=tags)
    refused(x, match)


def test_a_slope_of_zero(x):
    write_dicom(x, texture()[0], tags={"RescaleSlope": 0, "RescaleIntercept": 0})
    refused(x, "rescale slope 0")


@pytest.mark.parametrize(
    "message", ["End of file reached before delimiter", "Expected explicit VR, but found"]
)
def test_warnings_of_damage_are_errors(x, monkeypatch, message):
    """pydicom goes on with a part of the data set, or with a guess, and only warns."""
    original = tags.dcmread

    def warning(*arguments, **options):
        warnings.warn(message, stacklevel=1)
        return original(*arguments, **options)

    write_dicom(x, texture())
    monkeypatch.setattr(tags, "dcmread", warning)
    refused(x, f"x.dcm: {message}; the file is damaged")


def test_a_sequence_that_never_ends(x):
    """An undefined length whose delimiter is gone."""
    shared = b"\x00\x52\x29\x92SQ\0\0"
    write_dicom(x, texture())
    data = bytearray(x.read_bytes())
    at = data.index(b"\x00\x52\x30\x92SQ\0\0")
    struct.pack_into("<I", data, at + 8, 0xFFFFFFFF)
    assert shared in data
    x.write_bytes(data)
    refused(x, "damaged")


@pytest.mark.parametrize("length", [0xFFFFFFF0, 2**31, 2**24])
@pytest.mark.parametrize("tag", [b"\x10\x00\x20\x00", b"\x28\x00\x10\x00"])
def test_no_memory_is_set_aside_for_what_is_not_there(x, length, tag):
    """Found by fuzzing: Python makes room for all bytes that are asked for before it reads any."""
    write_dicom(x, texture(), "implicit")
    data = bytearray(x.read_bytes())
    struct.pack_into("<I", data, data.index(tag) + 4, length)
    x.write_bytes(data)
    tracemalloc.start()
    refused(x, f"an attribute claims {length} bytes; the file is damaged")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_meta_information_of_impossible_length(x):
    write_dicom(x, texture())
    data = bytearray(x.read_bytes())
    struct.pack_into("<I", data, data.index(b"\x02\x00\x01\x00OB\0\0") + 8, 0xFFFFFFF0)
    x.write_bytes(data)
    refused(x, "no transfer syntax")


def test_a_deflated_file_is_refused_before_it_is_inflated(x):
    """One megabyte of deflated data may stand for a gigabyte."""
    write_dicom(x, texture(), "raw", uid=UID["deflated"])
    with pytest.raises(DicomError, match="99 is not supported; convert"):
        tags.read_tags(x, ["Rows"])


def test_warnings_of_odd_values_do_not_reach_the_user(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dicom(x, texture(), tags={"PatientID": "x" * 70, "SOPInstanceUID": "d8125545210c08"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(x).patient_id == "x" * 70


# what is no image, or mislabelled


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 400, b"PatientID,View\n" * 30])
def test_not_dicom(x, content):
    x.write_bytes(content)
    refused(x, "not a DICOM file")


def test_no_preamble(x):
    write_dicom(x, texture())
    x.write_bytes(x.read_bytes()[132:])
    refused(x, "not a DICOM file")


def test_no_meta_information(x):
    write_dicom(x, texture())
    data = x.read_bytes()
    x.write_bytes(data[:132] + data[data.index(b"\x08\x00\x16\x00UI") :])
    refused(x, "no transfer syntax")


@pytest.mark.parametrize("missing", ["nowhere.dcm", "."])
def test_no_file(tmp_path, missing):
    with pytest.raises(DicomError, match="no such file"):
        DicomImage(tmp_path / missing)


def test_no_pixel_data(x):
    """A file whose data set ends before Pixel Data, such as a report."""
    write_dicom(x, texture(), "raw", tags={"PixelData": None})
    refused(x, "no pixel data")


def test_other_element_in_place_of_pixel_data(x):
    tags = {"PixelData": None, "DoubleFloatPixelData": b"\0" * 8 * 3 * 24 * 16}
    write_dicom(x, texture(), "raw", tags=tags)
    refused(x, "tag 7fe0,0009 stands in its place")


def test_wrong_length_of_an_earlier_element(x):
    """The parser swallows the pixels as part of the name."""
    write_dicom(x, texture(frames=10), tags={"StudyDescription": "screening"})
    data = bytearray(x.read_bytes())
    at = data.index(b"\x08\x00\x30\x10LO")
    struct.pack_into("<H", data, at + 6, 60000)
    x.write_bytes(data)
    refused(x, "damaged|no Rows|no pixel data")


@pytest.mark.parametrize("uid", ["1.2.840.113619.5.2", "1.2.840.10008.1.2.4.94", UID["deflated"]])
def test_unsupported_transfer_syntax(x, uid):
    write_dicom(x, texture(), uid=uid)
    refused(x, rf"transfer syntax {uid} is not supported; convert")


@pytest.mark.parametrize(
    ("codec", "claimed", "match"),
    [
        ("j2k", "raw", "does not fit the pixel data"),
        ("raw", "j2k", "does not fit the pixel data"),
        ("j2k", "jpegls", "begin a JPEG-LS frame"),
        ("j2k", "rle", "cannot be decoded as RLE"),
        ("ljpeg", "j2k", "begin a JPEG 2000 frame"),
        ("jpegls", "ljpeg", "cannot be decoded as JPEG Lossless"),
    ],
)
def test_mislabelled(x, codec, claimed, match):
    write_dicom(x, texture(), codec, uid=UID[claimed])
    refused(x, match)


def test_pixel_data_of_an_impossible_defined_length(x):
    write_dicom(x, texture())
    data = bytearray(x.read_bytes())
    at = data.rindex(b"\xe0\x7f\x10\x00OB\0\0")
    struct.pack_into("<I", data, at + 8, 0xFFFFFFF0)
    x.write_bytes(data)
    refused(x, "does not fit the pixel data")


@pytest.mark.parametrize(
    "error", [StopIteration(), MemoryError("78 TiB"), RuntimeError("bad"), OSError(5, "io")]
)
def test_whatever_a_decoder_raises_is_one_error(x, monkeypatch, error):
    def decoder(data):
        raise error

    write_dicom(x, texture())
    monkeypatch.setitem(decode._DECODERS, decode.Codec.JPEG_2000, decoder)
    refused(x, rf"frame 0 cannot be decoded as JPEG 2000 \({type(error).__name__}")


@pytest.mark.parametrize(
    ("module", "name", "use"),
    [
        (header, "_FOR_PROCESSING", read_header),
        (dicom_content, "_PROJECTIONS", dicom_content.dicom_content),
        (decode, "_rle", lambda path: DicomImage(path).frame(0)),
    ],
)
def test_a_defect_of_this_package_is_not_called_damage(x, monkeypatch, module, name, use):
    write_dicom(x, texture(), "rle")
    use(x)
    monkeypatch.delattr(module, name)
    with pytest.raises(NameError, match=name):
        use(x)


@pytest.mark.parametrize("error", [NameError("no 'ANNA'"), ImportError("no module"), AssertionError()])
def test_the_same_errors_from_outside_are_the_one_error(x, monkeypatch, error):
    def reader(*_, **__):
        raise error

    write_dicom(x, texture())
    monkeypatch.setattr(tags, "dcmread", reader)
    assert "ANNA" not in refused(x, rf"the header cannot be read \({type(error).__name__}")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    codec=st.sampled_from(["raw", "j2k", "ljpeg", "rle"]),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
)
def test_random_damage_gives_an_image_or_one_error(tmp_path_factory, codec, changes):
    path = tmp_path_factory.getbasetemp() / f"fuzz-{codec}.dcm"
    write_dicom(path, texture(frames=2, rows=8, columns=8), codec)
    data = bytearray(path.read_bytes())
    for where, value in changes:
        data[132 + int(where * (len(data) - 132))] = value
    path.write_bytes(data)
    message = str(path)
    shapes = set()
    try:
        with DicomImage(path) as image:
            shapes = {frame.shape == image.shape for frame in image.frames()}
    except DicomError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert shapes <= {True}
