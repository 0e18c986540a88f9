"""MetaImage headers with raw files: ordinary ones, and those of the VICTRE pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from comoto.errors import DicomError
from comoto.sources import Content, describe_source, open_source, read_source_header, source_files


def write_mhd(folder: Path, name: str, values: NDArray[Any], dims: str, **entries: str) -> Path:
    """Write the values as they are given, and a header with the lines given."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.raw").write_bytes(values.tobytes())
    lines = {"ObjectType": "Image", "NDims": str(len(dims.split())), "DimSize": dims}
    lines |= {"ElementDataFile": f"{name}.raw"} | entries
    path = folder / f"{name}.mhd"
    path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if value))
    return path


def phantom(slices: int = 4, rows: int = 7, columns: int = 5, seed: int = 0) -> NDArray[np.float64]:
    """A picture (S, rows, columns) as it is looked at: row 0 at the top."""
    return np.random.default_rng(seed).normal(0.5, 0.1, (slices, rows, columns))


def sixteen_bits(picture: NDArray[Any]) -> NDArray[np.uint16]:
    """The documented rule, written out."""
    low, high = picture.min(), picture.max()
    return np.rint((picture - low) / (high - low) * 65535).astype(np.uint16)


def turned(picture: NDArray[Any]) -> NDArray[Any]:
    """As the pipeline stores planes: x along the rows, counted from the bottom, is the fastest index."""
    slices, rows, columns = picture.shape
    stored = np.empty((slices, columns, rows), picture.dtype)
    for row in range(rows):
        for column in range(columns):
            stored[:, column, rows - 1 - row] = picture[:, row, column]
    return stored


def test_a_volume_of_t_synth(tmp_path: Path) -> None:
    """float64, (slices, DimSize[1], DimSize[0]); the picture has DimSize[0] rows."""
    picture = phantom()
    path = write_mhd(tmp_path, "reconstruction17", turned(picture), "7 5 4", ElementSpacing="0.085 0.1 1.0")
    with open_source(path) as image:
        header = image.header
        pixels = np.stack(list(image.frames()))
    np.testing.assert_array_equal(pixels, sixteen_bits(picture))
    assert (header.num_frames, header.rows, header.columns) == (4, 7, 5)
    assert (header.bits_stored, header.photometric, header.window) == (16, "MONOCHROME2", None)
    assert (header.spacing_mm, header.slice_mm) == ((0.085, 0.1), 1.0)
    slope, intercept = header.rescale
    assert intercept == picture.min()
    np.testing.assert_allclose(pixels * slope + intercept, picture, atol=slope / 2 * 1.0001)
    assert read_source_header(path) == header


def test_the_display_of_the_authors_is_the_picture(tmp_path: Path) -> None:
    """Their loader transposes (slices, y, x) to (x, y, slices) and reverses the first axis."""
    picture = phantom().astype(np.float64)
    stored = turned(picture)
    np.testing.assert_array_equal(stored.transpose(2, 1, 0)[::-1].transpose(2, 0, 1), picture)
    np.testing.assert_array_equal(np.rot90(stored[0], k=-1, axes=(-1, -2)), picture[0])


def test_a_c_view_has_the_header_of_its_volume(tmp_path: Path) -> None:
    """float32 and one plane, rows from the top, though the header speaks of all slices in float64."""
    picture = phantom(slices=1).astype(np.float32)
    path = write_mhd(tmp_path, "reconstruction3", picture, "7 5 38", ElementType="MET_DOUBLE")
    with open_source(path) as image:
        assert image.num_frames == 1
        assert image.shape == (7, 5)
        np.testing.assert_array_equal(image.frame(0), sixteen_bits(picture.astype(np.float64)[0]))
    assert describe_source(path).content is Content.MAMMOGRAM


@pytest.mark.parametrize(("planes", "dims"), [(1, "9 6 1"), (2, "9 6"), (3, "9 6 1"), (2, "9 6 2")])
def test_a_projection_is_its_first_plane_and_comes_inverted(tmp_path: Path, planes: int, dims: str) -> None:
    """M-SYNTH: NDims planes of float32, bright where there is no tissue."""
    picture = phantom(planes, 9, 6).astype(np.float32)
    path = write_mhd(tmp_path, "projection_DM8", turned(picture), dims, ElementType="MET_FLOAT")
    with open_source(path) as image:
        assert image.num_frames == 1
        assert image.header.photometric == "MONOCHROME1"
        wanted = 65535 - sixteen_bits(picture[:1].astype(np.float64))[0]
        np.testing.assert_array_equal(image.frame(0), wanted)


def test_without_a_data_file_the_raw_of_the_same_name_is_meant(tmp_path: Path) -> None:
    path = write_mhd(tmp_path, "reconstruction1", turned(phantom()), "7 5 4", ElementDataFile="")
    assert open_source(path).num_frames == 4
    assert source_files(path) == [path, path.with_suffix(".raw")]


@pytest.mark.parametrize("code", ["u1", "<u2", ">u2"])
def test_ordinary_files_keep_their_values(tmp_path: Path, code: str) -> None:
    values = (np.arange(2 * 3 * 4).reshape(2, 3, 4) * 5).astype(code)
    word = "MET_UCHAR" if code == "u1" else "MET_USHORT"
    order = "True" if code.startswith(">") else "False"
    path = write_mhd(tmp_path, "breast", values, "4 3 2", ElementType=word, BinaryDataByteOrderMSB=order)
    with open_source(path) as image:
        assert image.shape == (3, 4)
        pixels = np.stack(list(image.frames()))
        assert image.header.rescale == (1.0, 0.0)
        assert image.header.bits_allocated == 8 * values.dtype.itemsize
    np.testing.assert_array_equal(pixels, np.arange(24).reshape(2, 3, 4) * 5)


def test_signed_values_are_shifted(tmp_path: Path) -> None:
    values = np.array([[[-32768, -1, 0], [1, 5, 32767]]], dtype="<i2")
    with open_source(write_mhd(tmp_path, "x", values, "3 2 1", ElementType="MET_SHORT")) as image:
        np.testing.assert_array_equal(image.frame(0), [[0, 32767, 32768], [32769, 32773, 65535]])
        assert image.header.rescale == (1.0, -32768.0)


def test_a_header_of_bytes_is_skipped(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<u2").reshape(1, 2, 3)
    path = write_mhd(tmp_path, "x", values, "3 2", ElementType="MET_USHORT", HeaderSize="-1")
    raw = path.with_suffix(".raw")
    raw.write_bytes(b"HEADER" + raw.read_bytes())
    np.testing.assert_array_equal(open_source(path).frame(0), values[0])


def test_the_type_may_follow_from_the_size(tmp_path: Path) -> None:
    """4 bytes a value are float32, and one constant value is 0."""
    values = np.full((2, 3, 4), 7.25, dtype="<f4")
    with open_source(write_mhd(tmp_path, "x", values, "4 3 2")) as image:
        np.testing.assert_array_equal(image.frame(1), np.zeros((3, 4)))
        assert image.header.rescale == (1.0, 7.25)


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [("0.1 0.1 2.5", 2.5), ("0.1 0.1", None), ("0.1 0.1 x", None), ("0.1 0.1 0", None)],
)
def test_the_distance_of_slices(tmp_path: Path, spacing: str, expected: float | None) -> None:
    path = write_mhd(tmp_path, "v", phantom().astype("f4"), "5 7 4", ElementSpacing=spacing)
    assert read_source_header(path).slice_mm == expected


def test_lists_may_be_written_with_brackets(tmp_path: Path) -> None:
    path = write_mhd(tmp_path, "reconstruction5", turned(phantom()), "[7, 5, 4]", NDims="3")
    assert open_source(path).shape == (7, 5)


class TestRefusals:
    """One error that names the file and the way out."""

    def refuse(self, path: Path, match: str) -> None:
        with pytest.raises(DicomError, match=match) as caught:
            open_source(path)
        assert str(path.parent) in str(caught.value)
        assert describe_source(path).content is Content.UNREADABLE

    def test_another_size(self, tmp_path: Path) -> None:
        path = write_mhd(tmp_path, "reconstruction1", turned(phantom())[:3], "7 5 4")
        self.refuse(path, r"reconstruction1\.raw: 840 bytes are neither a plane of 7 x 5 float values nor 4")
        path = write_mhd(tmp_path, "x", np.zeros((2, 3, 4), "<u2"), "4 3 3", ElementType="MET_USHORT")
        self.refuse(path, r"x\.raw: 48 bytes, but x\.mhd says 4 x 3 x 3 values of 2 bytes")

    def test_no_raw_file(self, tmp_path: Path) -> None:
        path = write_mhd(tmp_path, "x", np.zeros((2, 3, 4), "<u2"), "4 3 2")
        path.with_suffix(".raw").unlink()
        self.refuse(path, r"its raw file x\.raw is not beside it")

    @pytest.mark.parametrize("name", ["../x.raw", "/etc/passwd", "LIST", "LOCAL", "a/b.raw"])
    def test_a_data_file_elsewhere(self, tmp_path: Path, name: str) -> None:
        path = write_mhd(tmp_path, "x", np.zeros((2, 3, 4), "<u2"), "4 3 2", ElementDataFile=name)
        self.refuse(path, "only one raw file beside the header is read")

    @pytest.mark.parametrize(
        ("entries", "match"),
        [
            ({"CompressedData": "True"}, "compressed values are not read"),
            ({"BinaryData": "False"}, "written as text"),
            ({"ElementNumberOfChannels": "3"}, "colour values are not read"),
            ({"ElementType": "MET_LONG_DOUBLE"}, "ElementType MET_LONG_DOUBLE is not read; known: MET_UCHAR"),
            ({"DimSize": "4 three 2"}, "DimSize is '4 three 2'"),
            ({"DimSize": "4"}, "two or three whole numbers"),
            ({"DimSize": "4 3 0"}, "two or three whole numbers"),
            ({"ElementSpacing": "one two"}, "ElementSpacing is 'one two'"),
            ({"HeaderSize": "many"}, "headersize is 'many'"),
        ],
    )
    def test_headers(self, tmp_path: Path, entries: dict[str, str], match: str) -> None:
        self.refuse(write_mhd(tmp_path, "x", np.zeros((2, 3, 4), "<u2"), "4 3 2", **entries), match)

    def test_values_that_are_no_numbers(self, tmp_path: Path) -> None:
        picture = phantom()
        picture[1, 2, 3] = np.nan
        self.refuse(write_mhd(tmp_path, "reconstruction1", turned(picture), "7 5 4"), "not finite numbers")

    def test_more_than_any_image(self, tmp_path: Path) -> None:
        path = write_mhd(tmp_path, "x", np.zeros(9000, "u1"), "9000 1 1", ElementType="MET_UCHAR")
        self.refuse(path, "more than any breast image has")

    def test_a_raw_file_is_not_its_header(self, tmp_path: Path) -> None:
        path = write_mhd(tmp_path, "x", np.zeros((2, 3, 4), "<u2"), "4 3 2")
        self.refuse(path.with_suffix(".raw"), r"values without a header; give x\.mhd")

    def test_a_text_is_no_header(self, tmp_path: Path) -> None:
        (tmp_path / "x.mhd").write_text("Size = 3\n")
        self.refuse(tmp_path / "x.mhd", "not a DICOM file")

    def test_no_such_frame(self, tmp_path: Path) -> None:
        with (
            open_source(write_mhd(tmp_path, "reconstruction1", turned(phantom()), "7 5 4")) as image,
            pytest.raises(DicomError, match="no frame 4; frames are 0 to 3"),
        ):
            image.frame(4)


def test_memory_holds_one_frame(tmp_path: Path) -> None:
    """The raw file is mapped: what Python allocates does not grow with the number of slices."""
    import tracemalloc

    peaks = []
    for slices in (4, 40):
        path = write_mhd(
            tmp_path / str(slices), "reconstruction1", phantom(slices, 200, 150), f"200 150 {slices}"
        )
        tracemalloc.start()
        with open_source(path) as image:
            for frame in image.frames():
                assert frame.nbytes == 60000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
