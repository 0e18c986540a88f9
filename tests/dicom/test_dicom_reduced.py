"""Frames decoded at a fraction of their resolution: size, position, values, and who can do it."""

import imagecodecs
import numpy as np
import pytest

from comoto.dicom import decode
from comoto.dicom.decode import reduced_shape
from comoto.dicom.read import DicomImage
from comoto.dicom.syntaxes import Codec
from comoto.errors import DicomError
from dicom_files import UID, encapsulated, encode, texture, write_dicom

WAVELETS = ["j2k", "htj2k"]


def low_band(frame, levels=1):
    """Low band of the reversible 5/3 wavelet (ISO/IEC 15444-1, F.4.8.1), from its two lifting steps."""
    for axis in (0, 1) * levels:
        lines = np.moveaxis(np.asarray(frame, dtype=np.int64), axis, 0)
        kept = -(-len(lines) // 2)
        x = np.pad(lines, [(4, 4), (0, 0)], mode="reflect")
        high = x[3:-1:2][: kept + 1] - (x[2:-2:2][: kept + 1] + x[4::2][: kept + 1]) // 2
        low = x[4::2][:kept] + (high[:-1] + high[1:] + 2) // 4
        frame = np.moveaxis(low, 0, axis)
    return frame


def smooth(rows, columns, top=1000):
    """A slope with a soft blob, far from the ends of the range."""
    y, x = np.mgrid[:rows, :columns]
    blob = np.exp(-((y - rows / 3) ** 2 + (x - columns / 2) ** 2) / (rows * columns / 16))
    return np.rint(top * (0.3 + 0.4 * blob + 0.1 * y / rows)).astype(np.uint16)


@pytest.mark.parametrize("codec", WAVELETS)
@pytest.mark.parametrize("shape", [(64, 48), (65, 47), (33, 64)])
@pytest.mark.parametrize("levels", [1, 2])
def test_a_reduced_frame_is_the_low_band_of_the_wavelet(tmp_path, codec, shape, levels):
    """The rounding of its integer steps depends on the order of the axes: one grey value a level."""
    frame = smooth(*shape)
    with DicomImage(write_dicom(tmp_path / "x.dcm", frame, codec)) as image:
        assert image.reductions >= 2
        reduced = image.frame(0, reduce=levels)
        (streamed,) = image.frames(reduce=levels)
    assert reduced.shape == reduced_shape(shape, levels) == low_band(frame, levels).shape
    assert reduced.dtype == np.uint16
    np.testing.assert_allclose(reduced, low_band(frame, levels), atol=levels)
    np.testing.assert_array_equal(streamed, reduced)


@pytest.mark.parametrize(
    ("side", "reduce", "expected"), [(2457, 1, 1229), (2457, 2, 615), (1, 5, 1), (8, 0, 8)]
)
def test_sides_are_rounded_up(side, reduce, expected):
    """ceil(2457 / 2) = 1229, ceil(2457 / 4) = 615."""
    assert reduced_shape((side, 4), reduce)[0] == expected


@pytest.mark.parametrize("codec", WAVELETS)
@pytest.mark.parametrize("precision", [10, 16])
def test_a_ramp_shows_where_reduced_values_are_centred(tmp_path, codec, precision):
    """On a ramp of 4 a column the value k stands for column 2**n * k, not for the middle of two columns."""
    ramp = np.tile(np.arange(48, dtype=np.uint16) * 4 + 100, (40, 1))
    with DicomImage(write_dicom(tmp_path / "x.dcm", ramp, codec, precision=precision)) as image:
        inside = slice(1, -1)
        np.testing.assert_allclose(image.frame(0, reduce=1)[5, inside], ramp[0, ::2][inside], atol=1)
        np.testing.assert_allclose(image.frame(0, reduce=2)[5, inside], ramp[0, ::4][inside], atol=2)


@pytest.mark.parametrize("codec", WAVELETS)
@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize(
    "tags", [{}, {"PhotometricInterpretation": "MONOCHROME1"}, {"PixelRepresentation": 1}]
)
def test_depths_inversion_and_signs_hold_for_reduced_frames(tmp_path, codec, bits, tags):
    """A flat image has the same value at every resolution."""
    value = 2**bits // 5
    shift = 2 ** (bits - 1) if "PixelRepresentation" in tags else 0
    dtype = np.dtype(f"{'i' if shift else 'u'}{1 if bits == 8 else 2}")
    flat = np.full((32, 40), value - shift, dtype=dtype)
    with DicomImage(write_dicom(tmp_path / "x.dcm", flat, codec, bits_stored=bits, tags=tags)) as image:
        full, reduced = image.frame(0), image.frame(0, reduce=2)
    assert np.unique(full).tolist() == [2**bits - 1 - value if "PhotometricInterpretation" in tags else value]
    np.testing.assert_array_equal(reduced, full[:8, :10])
    assert reduced.dtype == full.dtype


@pytest.mark.parametrize("codec", WAVELETS)
@pytest.mark.parametrize("precision", [10, 16])
def test_overshoot_at_hard_edges_is_clipped(tmp_path, codec, precision):
    """A wavelet rings at an edge from 0 to 1023; the 10 stored bits are kept."""
    frame = np.where(np.isin(np.arange(64) % 8, (1, 2, 3)), 1023, 0).astype(np.uint16) * np.ones(
        (64, 1), dtype=np.uint16
    )
    assert low_band(frame).max() > 1023
    with DicomImage(write_dicom(tmp_path / "x.dcm", frame, codec, precision=precision)) as image:
        reduced = image.frame(0, reduce=1)
    np.testing.assert_allclose(reduced, np.clip(low_band(frame), 0, 1023), atol=1)
    assert reduced.max() == 1023
    assert reduced.min() == 0


@pytest.mark.parametrize(("bits", "reductions"), [(7, 0), (8, 0), (14, 5), (15, 0), (16, 0)])
def test_htj2k_without_room_for_overshoot_is_decoded_fully(tmp_path, bits, reductions):
    """Its decoder would turn values just below black into white."""
    frame = np.where(np.arange(64) % 8 < 3, 2**bits - 1, 0) * np.ones((64, 1), dtype=int)
    frame = frame.astype(np.uint8 if bits <= 8 else np.uint16)
    with DicomImage(write_dicom(tmp_path / "x.dcm", frame, "htj2k", bits_stored=bits)) as image:
        assert image.reductions == reductions
        reduced = image.frame(0, reduce=1)
    assert reduced[:, 2].max() < reduced[:, 1].min() / 2  # columns 4 and 2: dark and bright
    assert reduced.max() < 2**bits


@pytest.mark.parametrize("codec", sorted(set(UID) - {*WAVELETS, "deflated"}))
def test_other_formats_have_one_resolution(tmp_path, codec):
    """They are halved after decoding, so that a caller who insists gets the same geometry."""
    frame = (smooth(40, 33) // 4).astype(np.uint8)
    with DicomImage(write_dicom(tmp_path / "x.dcm", frame, codec, bits_stored=8)) as image:
        assert image.reductions == 0
        np.testing.assert_allclose(image.frame(0, reduce=1), frame[::2, ::2], atol=4)


def test_only_as_many_halvings_as_the_stream_has(tmp_path, monkeypatch):
    """An encoder may store one resolution; then the reader says so and halves the decoded frame itself."""
    frame = np.add.outer(np.arange(64) * 3, np.arange(64) * 5).astype(np.uint16)
    data = encapsulated([bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", resolutions=1))])
    path = write_dicom(tmp_path / "x.dcm", frame, pixel_data=data)
    monkeypatch.setitem(decode.REDUCED_DECODERS, Codec.JPEG_2000, lambda *_: pytest.fail("decoded"))
    with DicomImage(path) as image:
        assert image.reductions == 0
        inside = np.s_[1:-1, 1:-1]
        np.testing.assert_array_equal(image.frame(0, reduce=1)[inside], frame[::2, ::2][inside])


def test_a_jp2_file_in_the_fragment_can_be_reduced_too(tmp_path):
    frame = smooth(64, 48)
    data = encapsulated([bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="jp2"))])
    with DicomImage(write_dicom(tmp_path / "x.dcm", frame, pixel_data=data)) as image:
        np.testing.assert_allclose(image.frame(0, reduce=1), low_band(frame), atol=1)


def test_a_damaged_first_frame_is_said_when_resolutions_are_asked_for(tmp_path):
    frames = texture(rows=64, columns=64)
    data = [encode(frame, "j2k", 16) for frame in frames]
    data[0] = data[0][: len(data[0]) // 4 * 2]
    with (
        DicomImage(write_dicom(tmp_path / "x.dcm", frames, pixel_data=encapsulated(data))) as image,
        pytest.raises(DicomError, match="frame 0 has no end marker"),
    ):
        _ = image.reductions
