"""JPEG pictures of 8 bits."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from comoto.errors import DicomError
from comoto.sources import Content, describe_source, open_source, read_source_header, source_files, survey

VALUES = np.clip(np.random.default_rng(0).normal(120, 30, (30, 20)), 0, 255).astype(np.uint8)


def jpeg(values: np.ndarray, **options) -> bytes:
    content = io.BytesIO()
    Image.fromarray(values).save(content, "jpeg", quality=100, **options)
    return content.getvalue()


def write(folder: Path, content: bytes) -> Path:
    path = folder / "P1_L_DM_CC.jpg"
    path.write_bytes(content)
    return path


def edited(old: bytes, new: bytes) -> bytes:
    content = jpeg(VALUES)
    assert content.count(old) == 1
    return content.replace(old, new)


SIZE = b"\xff\xc0\x00\x0b\x08\x00\x1e\x00\x14\x01"
"""Frame header of ``VALUES``: baseline, 8 bits, 30 rows, 20 columns, one component (T.81, B.2.2)."""


@pytest.mark.parametrize("progressive", [False, True])
def test_values_come_back(tmp_path, progressive):
    path = write(tmp_path, jpeg(VALUES, progressive=progressive))
    with open_source(path) as image:
        assert image.frame(0).dtype == np.uint8
        assert np.abs(image.frame(0).astype(int) - VALUES).max() <= 2
        assert image.num_frames == 1
        assert image.shape == (30, 20)
        assert image.reductions == 0
    header = read_source_header(path)
    assert header.bits_stored == header.bits_allocated == 8
    assert (header.window, header.spacing_mm, header.photometric) == (None, None, "MONOCHROME2")
    assert describe_source(path).content is Content.MAMMOGRAM
    assert source_files(path) == [path]


def test_the_name_does_not_matter_and_folders_keep_their_previews(tmp_path):
    (tmp_path / "x").write_bytes(jpeg(VALUES))
    assert open_source(tmp_path / "x").shape == (30, 20)
    write(tmp_path, jpeg(VALUES))
    assert list(survey(tmp_path)) == []


def test_a_thumbnail_inside_is_not_the_picture(tmp_path):
    thumbnail = jpeg(VALUES[:8, :8])
    content = jpeg(VALUES)
    inside = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    path = write(tmp_path, content[:2] + inside + content[2:])
    np.testing.assert_array_equal(open_source(path).frame(0), imagecodecs.jpeg8_decode(content))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DicomError, match="ends before its last line"):
        open_source(path).frame(0)


def test_grey_in_three_colours_is_grey(tmp_path):
    grey = np.repeat(VALUES[..., None], 3, axis=2)
    image = open_source(write(tmp_path, jpeg(grey)))
    assert image.frame(0).shape == (30, 20)
    assert np.abs(image.frame(0).astype(int) - VALUES).max() <= 2


def test_a_coloured_marking_is_refused(tmp_path):
    marked = np.repeat(VALUES[..., None], 3, axis=2)
    marked[8:16, 8:16] = (255, 0, 0)
    image = open_source(write(tmp_path, jpeg(marked, subsampling=0)))
    with pytest.raises(DicomError, match="64 pixels of this JPEG are coloured"):
        image.frame(0)


def test_four_colours_are_refused(tmp_path):
    path = write(tmp_path, jpeg(VALUES))
    Image.new("CMYK", (5, 4)).save(path)
    with pytest.raises(DicomError, match="a JPEG of 4 colours; only grey"):
        open_source(path)
    assert describe_source(path).content is Content.UNREADABLE


def test_other_kinds_are_refused(tmp_path):
    with pytest.raises(DicomError, match="a JPEG of 12 bits; only JPEG of 8 bits"):
        open_source(write(tmp_path, edited(SIZE, SIZE.replace(b"\x0b\x08", b"\x0b\x0c"))))
    with pytest.raises(DicomError, match="a JPEG of kind SOF9"):
        open_source(write(tmp_path, edited(SIZE, b"\xff\xc9" + SIZE[2:])))
    deep = imagecodecs.ljpeg_encode(VALUES.astype(np.uint16) * 256)
    with pytest.raises(DicomError, match="a lossless JPEG; baseline and progressive"):
        open_source(write(tmp_path, deep))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_file_is_refused(tmp_path, progressive):
    content = jpeg(VALUES, progressive=progressive)
    scan = content.index(b"\xff\xda")
    for end in (len(content) - 2, (scan + len(content)) // 2):
        image = open_source(write(tmp_path, content[:end]))
        with pytest.raises(DicomError, match=r"CC\.jpg: the JPEG ends before its last line"):
            image.frame(0)
    for end in (3, 20, scan, scan + 3):
        with pytest.raises(DicomError, match="not a JPEG file, or cut"):
            open_source(write(tmp_path, content[:end]))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    large = SIZE.replace(b"\x00\x1e\x00\x14", b"\xea\x60\xea\x60")
    with pytest.raises(DicomError, match="60000 x 60000 pixels are not a mammogram"):
        open_source(write(tmp_path, edited(SIZE, large)))


def test_no_such_frame(tmp_path):
    with pytest.raises(DicomError, match="no frame 1"):
        open_source(write(tmp_path, jpeg(VALUES))).frame(1)
