"""What a file is, told by its tags: vendors' volumes, slices, mammograms, projections, and no images."""

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from stack_files import CAPTURE, CT, write_stack, write_victre_stack

from comoto.errors import DicomError
from comoto.sources import Content, describe_source, open_source, read_source_header, survey
from dicom_files import BREAST_TOMOSYNTHESIS, texture, write_dicom
from rights import without_rights

STORAGE = "1.2.840.10008.5.1.4.1.1."
PRESENTATION, PROCESSING = f"{STORAGE}1.2", f"{STORAGE}1.2.1"
PROJECTION, PROJECTION_RAW = f"{STORAGE}13.1.4", f"{STORAGE}13.1.5"


@pytest.mark.parametrize(
    ("tags", "frames", "content"),
    [
        ({"SOPClassUID": BREAST_TOMOSYNTHESIS}, 4, Content.VOLUME),
        ({"SOPClassUID": BREAST_TOMOSYNTHESIS, "Manufacturer": "GE MEDICAL SYSTEMS"}, 4, Content.VOLUME),
        (
            {
                "SOPClassUID": BREAST_TOMOSYNTHESIS,
                "ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"],
            },
            4,
            Content.VOLUME,
        ),
        ({"SOPClassUID": BREAST_TOMOSYNTHESIS}, 1, Content.SLICE),
        (
            {
                "SOPClassUID": BREAST_TOMOSYNTHESIS,
                "ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"],
            },
            1,
            Content.SYNTHETIC,
        ),
        (
            {
                "SOPClassUID": PRESENTATION,
                "ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"],
            },
            1,
            Content.SYNTHETIC,
        ),
        ({"SOPClassUID": PRESENTATION}, 1, Content.MAMMOGRAM),
        ({"SOPClassUID": PROCESSING}, 1, Content.MAMMOGRAM),
        ({"SOPClassUID": None}, 1, Content.MAMMOGRAM),
        ({"SOPClassUID": None}, 4, Content.VOLUME),
        ({"SOPClassUID": PROJECTION}, 15, Content.PROJECTIONS),
        ({"SOPClassUID": PROJECTION_RAW}, 1, Content.PROJECTIONS),
        (
            {"SOPClassUID": PRESENTATION, "ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ", "LEFT"]},
            1,
            Content.PROJECTIONS,
        ),
        ({"SOPClassUID": CT, "Modality": "MG"}, 1, Content.SLICE),
        ({"SOPClassUID": CT, "Modality": "CT", "ViewPosition": None}, 1, Content.OTHER),
        (
            {"SOPClassUID": CT, "Modality": "CT", "ViewPosition": None, "BodyPartExamined": "BREAST"},
            1,
            Content.SLICE,
        ),
        ({"SOPClassUID": CAPTURE}, 1, Content.MAMMOGRAM),
        ({"SOPClassUID": f"{STORAGE}7.3"}, 4, Content.VOLUME),
        ({"SOPClassUID": f"{STORAGE}4", "Modality": "MR"}, 1, Content.OTHER),
        ({"SOPClassUID": PRESENTATION}, 4, Content.OTHER),
        ({"SOPClassUID": f"{STORAGE}88.33", "Rows": None, "Columns": None}, 1, Content.NO_IMAGE),
    ],
)
def test_what_a_file_is(tmp_path: Path, tags: dict[str, Any], frames: int, content: Content) -> None:
    stack = texture(frames=frames)
    path = write_dicom(tmp_path / "x", stack if frames > 1 else stack[0], "raw", tags=tags)
    assert describe_source(path).content is content


@pytest.mark.parametrize("uid", [PROJECTION, PROJECTION_RAW])
def test_projections_are_no_reconstruction(tmp_path: Path, uid: str) -> None:
    path = write_dicom(tmp_path / "p.dcm", texture(frames=9), "raw", tags={"SOPClassUID": uid})
    for read in (open_source, read_source_header):
        with pytest.raises(DicomError, match=r"p\.dcm: holds projections .* not reconstructed slices"):
            read(path)


def write_private_frames(path: Path) -> Path:
    """A Hologic Secondary Capture Object: no pixel data, frames in private elements of group 7E01."""
    write_dicom(path, texture()[0], "raw", tags={"SOPClassUID": CAPTURE, "Manufacturer": "HOLOGIC, Inc."})
    dataset = dcmread(path)
    del dataset.PixelData
    block = dataset.private_block(0x7E01, "HOLOGIC, Inc.", create=True)
    block.add_new(0x10, "OB", b"\x01\x02" * 1000)
    dataset.save_as(path)
    return path


def test_hologic_private_frames_are_recognised(tmp_path: Path) -> None:
    path = write_private_frames(tmp_path / "sco.dcm")
    with pytest.raises(DicomError, match=r"sco\.dcm: is a Hologic Secondary Capture Object: .*BTO"):
        open_source(path)
    assert describe_source(path).content is Content.PRIVATE
    with pytest.raises(DicomError, match="Hologic Secondary Capture Object"):
        open_source(tmp_path)


def test_a_report_is_no_image(tmp_path: Path) -> None:
    tags = {"SOPClassUID": f"{STORAGE}88.33", "Rows": None, "Columns": None}
    path = write_dicom(tmp_path / "sr.dcm", texture()[0], "raw", tags=tags)
    with pytest.raises(DicomError, match=r"sr\.dcm: is a DICOM object without pixels"):
        open_source(path)


def test_damage_is_described_and_never_raises(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "x.dcm", texture(), "raw")
    data = path.read_bytes()
    for cut in range(132, len(data), 97):
        path.write_bytes(data[:cut])
        kind = describe_source(path)
        assert (kind.path, kind.content is Content.NO_IMAGE) == (path, False)
    (tmp_path / "y.dcm").write_text("text")
    assert describe_source(tmp_path / "y.dcm").content is Content.UNREADABLE
    assert describe_source(tmp_path / "none").problem.endswith("no such file or folder")


def test_what_cannot_be_opened_is_named_and_the_rest_found(tmp_path: Path) -> None:
    """A locked folder, a link to nowhere, an empty folder called like a file, links in a ring."""
    write_dicom(tmp_path / "good.dcm", texture(), "raw")
    (tmp_path / "gone.dcm").symlink_to("nowhere")
    (tmp_path / "notes.txt").symlink_to("nowhere")
    (tmp_path / "ring").symlink_to(".")
    (tmp_path / "self.dcm").symlink_to("self.dcm")
    (tmp_path / "empty.dcm").mkdir()
    (tmp_path / "locked").mkdir()
    write_dicom(tmp_path / "sub" / "closed", texture(), "raw")
    with without_rights(tmp_path / "locked", tmp_path / "sub" / "closed"):
        kinds = {str(kind.path.relative_to(tmp_path)): kind for kind in survey(tmp_path)}
    (tmp_path / "names-only").mkdir()
    write_dicom(tmp_path / "names-only" / "x.dcm", texture(), "raw")
    (tmp_path / "names-only").chmod(0o644)
    with without_rights(tmp_path / "sub"):
        (kind,) = survey(tmp_path / "names-only")
    assert kind.problem.endswith("x.dcm: cannot be opened (Permission denied)")
    assert kinds.pop("good.dcm").content is Content.VOLUME
    assert {kind.content for kind in kinds.values()} == {Content.UNREADABLE}
    assert {name: kind.problem.removeprefix(f"{tmp_path / name}: ") for name, kind in kinds.items()} == {
        "gone.dcm": "a link to nowhere (nowhere)",
        "self.dcm": "a link to nowhere (self.dcm)",
        "empty.dcm": "an empty folder that is called like a file",
        "locked": "cannot be opened (Permission denied)",
        "sub/closed": "cannot be opened (Permission denied)",
    }


def test_a_deflated_bomb_is_not_inflated(tmp_path: Path) -> None:
    """300 MB of zeros behind a small file: nothing of it is ever in memory."""
    path = write_dicom(tmp_path / "x.dcm", texture(), "deflated")
    content = path.read_bytes()
    start = content.index(b"1.2.3.4\0") + 8  # the end of the file's meta information
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(300)) + squeeze.flush()
    path.write_bytes(content[:start] + bomb)
    tracemalloc.start()
    assert describe_source(path).content is Content.UNREADABLE
    with pytest.raises(DicomError, match=r"1\.2\.1\.99 is not supported"):
        open_source(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_lone_slice_is_no_volume(tmp_path: Path) -> None:
    write_stack(tmp_path / "s", texture(frames=1))
    assert [kind.content for kind in survey(tmp_path)] == [Content.SLICE]


def test_films_of_one_series_are_no_stack(tmp_path: Path) -> None:
    """CBIS-DDSM: two secondary captures a series, of different sizes; CMMD: four mammograms a series."""
    write_dicom(tmp_path / "cbis" / "1-1.dcm", texture()[0], "raw", tags={"SOPClassUID": CAPTURE})
    write_dicom(tmp_path / "cbis" / "1-2.dcm", texture(rows=20)[0], "raw", tags={"SOPClassUID": CAPTURE})
    for k, frame in enumerate(texture(frames=6)):
        tags = {"SOPClassUID": PRESENTATION, "InstanceNumber": k + 1}
        write_dicom(tmp_path / "cmmd" / f"1-{k}.dcm", frame, "raw", tags=tags)
    kinds = list(survey(tmp_path))
    assert [kind.content for kind in kinds] == [Content.MAMMOGRAM] * 8
    with pytest.raises(DicomError, match=r"holds several images .*: 2 x mammogram \(1-1\.dcm, \.\.\.\)"):
        open_source(tmp_path / "cbis")


def test_a_hospital_folder_is_surveyed(tmp_path: Path) -> None:
    """Every image once, a stack as one, in a fixed order; what is no volume says what it is."""
    write_dicom(tmp_path / "1" / "bto", texture(), "j2k")
    write_stack(tmp_path / "2", texture(frames=5), names="IM{number}")
    write_victre_stack(tmp_path / "3", np.random.default_rng(0).random((6, 8, 5)), CAPTURE)
    write_dicom(tmp_path / "4" / "ffdm.dcm", texture()[0], "raw", tags={"SOPClassUID": PRESENTATION})
    write_dicom(tmp_path / "4" / "p.dcm", texture(), "raw", tags={"SOPClassUID": PROJECTION})
    write_private_frames(tmp_path / "5" / "sco.dcm")
    write_stack(tmp_path / "6", texture(frames=5), names="a{number}")
    write_stack(tmp_path / "6", texture(frames=5), names="b{number}", SeriesInstanceUID="1.2.3")
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "x.dcm").write_text("text")
    (tmp_path / "7" / "LICENSE").write_text("text")
    Image.new("RGB", (5, 4)).save(tmp_path / "7" / "thumb.png")
    (tmp_path / "8").symlink_to(tmp_path / "2")
    found = [
        (str(kind.path.relative_to(tmp_path)), kind.content, kind.num_frames) for kind in survey(tmp_path)
    ]
    assert found == [
        ("1/bto", Content.VOLUME, 3),
        ("2", Content.VOLUME, 5),
        ("3", Content.VOLUME, 6),
        ("4/ffdm.dcm", Content.MAMMOGRAM, 1),
        ("4/p.dcm", Content.PROJECTIONS, 3),
        ("5/sco.dcm", Content.PRIVATE, 1),
        ("6/a1", Content.VOLUME, 5),
        ("6/b1", Content.VOLUME, 5),
        ("7/thumb.png", Content.UNREADABLE, 0),
        ("7/x.dcm", Content.UNREADABLE, 0),
    ]
    problems = {str(kind.path.relative_to(tmp_path)) for kind in survey(tmp_path) if kind.problem}
    assert problems == {"4/p.dcm", "5/sco.dcm", "7/thumb.png", "7/x.dcm"}
