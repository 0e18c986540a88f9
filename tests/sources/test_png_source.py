"""Grey PNG pictures."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comoto.errors import DicomError
from comoto.sources import Content, describe_source, open_source, read_source_header, source_files


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_come_back(tmp_path: Path, dtype: type) -> None:
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (30, 20), endpoint=True).astype(dtype)
    path = tmp_path / "demd1_2_CC.png"
    Image.fromarray(values).save(path)
    with open_source(path) as image:
        assert image.frame(0).dtype == dtype
        np.testing.assert_array_equal(image.frame(0), values)
        assert len(list(image.frames())) == image.num_frames == 1
        assert image.shape == (30, 20)
        assert image.reductions == 0
    header = read_source_header(path)
    assert header.bits_stored == header.bits_allocated == 8 * np.dtype(dtype).itemsize
    assert (header.window, header.rescale, header.photometric) == (None, (1.0, 0.0), "MONOCHROME2")
    assert describe_source(path).content is Content.MAMMOGRAM
    assert source_files(path) == [path]


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(np.full((3, 4), 9, np.uint8)).save(tmp_path / "x", format="png")
    np.testing.assert_array_equal(open_source(tmp_path / "x").frame(0), np.full((3, 4), 9))


@pytest.mark.parametrize(
    ("mode", "match"),
    [("RGB", "with colour;"), ("RGBA", "colour with transparency"), ("P", "a palette"), ("LA", "grey with")],
)
def test_colour_is_refused(tmp_path: Path, mode: str, match: str) -> None:
    path = tmp_path / "x.png"
    Image.new(mode, (5, 4)).save(path)
    with pytest.raises(DicomError, match=match):
        open_source(path)
    assert describe_source(path).content is Content.UNREADABLE


def test_one_bit_is_refused(tmp_path: Path) -> None:
    Image.new("1", (5, 4)).save(tmp_path / "x.png")
    with pytest.raises(DicomError, match="a PNG of 1 bits"):
        open_source(tmp_path / "x.png")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 255, (50, 50)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(content[: len(content) // 2])
    with (
        open_source(tmp_path / "x.png") as image,
        pytest.raises(DicomError, match=r"x\.png: cannot be decoded"),
    ):
        image.frame(0)
    (tmp_path / "x.png").write_bytes(content[:20])
    with pytest.raises(DicomError, match="not a PNG file, or cut"):
        open_source(tmp_path / "x.png")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))
    (tmp_path / "x.png").write_bytes(data + chunk(b"IEND", b""))
    with pytest.raises(DicomError, match="60000 x 60000 pixels are not a mammogram"):
        open_source(tmp_path / "x.png")


def test_no_such_frame(tmp_path: Path) -> None:
    Image.new("L", (5, 4)).save(tmp_path / "x.png")
    with pytest.raises(DicomError, match="no frame 1"):
        open_source(tmp_path / "x.png").frame(1)
