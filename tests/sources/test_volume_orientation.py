"""How a volume lies: the reading rule of BCS-DBT, headers that agree with their pixels, and other formats."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from stack_files import write_stack

from comoto.config import PreprocessConfig
from comoto.dicom.orientation import anatomical_directions
from comoto.dicom.read import read_header
from comoto.preprocessing.plan import Plan, plan_image
from comoto.records import Laterality, Modality
from comoto.sources import open_source
from comoto.sources.volume_orientation import volume_orientation
from dicom_files import breast, write_dicom

LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT
ROWS, COLUMNS = 60, 40


def plan_of(path: Path, laterality: Laterality | None, **changes: Any) -> Plan:
    config = PreprocessConfig(rows=64, columns=64, crop_air=False, max_scale=1.0, **changes)
    with open_source(path) as image:
        return plan_image(image, laterality, Modality.TOMOSYNTHESIS, config)


def frames_of(side: str) -> np.ndarray[Any, Any]:
    """A breast that leans on one side, with a bright mark in the upper half of the stored picture."""
    frames = breast(5, ROWS, COLUMNS, side)
    column = 6 if side == "L" else COLUMNS - 8
    frames[:, 20:22, column : column + 2] = 900
    return frames


@pytest.mark.parametrize(
    ("cosines", "expected"),
    [
        ([0, -1, 0, -1, 0, 0], ("A", "R")),  # left CC: rows to the front, columns to the patient's right
        ([0, 1, 0, 1, 0, 0], ("P", "L")),  # right CC
        ([0, -1, 0, -0.7071, 0, -0.7072], ("A", "FR")),  # left MLO at 45 degrees
        ([0, 0.999, 0.04, 0.3, 0.04, -0.953], ("P", "FL")),
        ([1, 0, 0, 0, 1, 0], ("L", "P")),
    ],
)
def test_cosines_become_letters(cosines: list[float], expected: tuple[str, str]) -> None:
    group = Dataset()
    group.ImageOrientationPatient = cosines
    assert anatomical_directions([Dataset(), group]) == expected
    group.PatientOrientation = ["P", "FL"]
    assert anatomical_directions([Dataset(), group]) == ("P", "FL")


def test_words_that_are_no_directions_are_not_taken() -> None:
    group = Dataset()
    assert anatomical_directions([group]) is None
    group.PatientOrientation = ["X", "Y"]
    assert anatomical_directions([group]) is None
    group.PatientOrientation = ""
    group.ImageOrientationPatient = [0, 0, 0, 0, 0, 0]
    assert anatomical_directions([group]) is None


@pytest.mark.parametrize(
    ("stored", "words", "laterality", "turned", "upside_down"),
    [
        ("L", ["A", "R"], LEFT, False, False),  # CC, upright
        ("R", ["P", "L"], RIGHT, False, False),
        ("L", ["A", "FR"], LEFT, False, False),  # MLO, upright
        ("R", ["P", "F"], LEFT, False, False),  # stored mirrored: a turn would put it upside down
        ("L", ["A", "F"], RIGHT, False, False),
        ("R", ["P", "H"], LEFT, False, True),  # stored turned
        ("R", ["P", "L"], LEFT, False, True),  # the same, CC
        ("L", ["A", "L"], LEFT, False, True),  # stored with the lateral side below
        ("R", ["A", "R"], LEFT, True, False),  # contradicts the pixels: the reading rule
        ("L", ["A", "R"], RIGHT, False, True),
        ("R", ["R", "F"], LEFT, True, False),  # no side at all
        ("R", None, LEFT, True, False),
        ("L", None, LEFT, False, False),
    ],
)
def test_a_volume_of_any_vendor(
    tmp_path: Path,
    stored: str,
    words: list[str] | None,
    laterality: Laterality,
    turned: bool,
    upside_down: bool,
) -> None:
    tags = {"PatientID": "HOSPITAL-1", "ImageLaterality": laterality.value}
    tags |= {"PatientOrientation": words} if words else {}
    path = write_dicom(tmp_path / "x.dcm", frames_of(stored), "raw", tags=tags)
    lie = volume_orientation(read_header(path), frames_of(stored)[0], laterality)
    assert (lie.is_turned, lie.is_upside_down) == (turned, upside_down)
    assert lie.laterality is laterality
    assert lie.chest_wall is (laterality if turned else Laterality(stored))
    assert bool(lie.notes) == (turned or upside_down or stored != laterality.value)


def test_bcs_dbt_keeps_its_own_rule(tmp_path: Path) -> None:
    """Its headers are known to be wrong, so a tag that is there does not change where its boxes are."""
    tags = {"PatientID": "DBT-P01461", "PatientOrientation": ["P", "F"]}
    path = write_dicom(tmp_path / "x.dcm", frames_of("R"), "raw", tags=tags)
    assert volume_orientation(read_header(path), frames_of("R")[0], LEFT).is_turned
    assert not volume_orientation(read_header(path), frames_of("R")[0], None).is_turned


def test_without_a_table_a_believed_header_names_the_side(tmp_path: Path) -> None:
    """The writer's header says L; it is believed where its directions agree with the pixels."""
    for words, side in ((["P", "F"], LEFT), (["A", "F"], RIGHT), (None, RIGHT)):
        tags = {"PatientID": "H"} | ({"PatientOrientation": words} if words else {})
        plan = plan_of(write_dicom(tmp_path / "x.dcm", frames_of("R"), "raw", tags=tags), None)
        assert plan.laterality is side
        assert not plan.orient.steps
    assert "the header says side L" in plan.notes


def test_a_table_wins_over_the_header_and_says_so(tmp_path: Path) -> None:
    tags = {"PatientID": "H", "PatientOrientation": ["P", "F"]}
    plan = plan_of(write_dicom(tmp_path / "x.dcm", frames_of("R"), "raw", tags=tags), RIGHT)
    assert plan.laterality is RIGHT
    assert "the header says side L, the table R; the table is followed" in plan.notes


@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize(
    ("stored", "words", "flipped"),
    [("L", ["A", "F"], False), ("R", ["P", "F"], False), ("R", ["P", "H"], True), ("L", ["A", "H"], True)],
)
def test_the_network_sees_it_upright_and_boxes_stay_stored(
    tmp_path: Path, stored: str, words: list[str], flipped: bool, mirror: bool
) -> None:
    """The mark is in stored rows 20 to 22 of 60; upside down that is rows 38 to 40 of the grid."""
    tags = {"PatientID": "H", "PatientOrientation": words}
    path = write_dicom(tmp_path / "x.dcm", frames_of(stored), "raw", tags=tags)
    plan = plan_of(path, LEFT, mirror=mirror)
    assert not plan.orient.steps
    grid = plan.render(frames_of(stored)[2])
    rows, columns = np.nonzero(grid > 200)
    assert (rows.min(), rows.max() + 1) == ((38, 40) if flipped else (20, 22))
    left = mirror or stored == "L"
    assert (columns.min(), columns.max() + 1) == ((6, 8) if left else (32, 34))
    on_source = plan.boxes_to_source([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
    column = 6 if stored == "L" else 32
    np.testing.assert_allclose(on_source, [[column, 20, column + 2, 22]])


def test_slices_in_files_lie_like_their_twin(tmp_path: Path) -> None:
    for side in ("L", "R"):
        frames = frames_of(side)
        stack = write_stack(
            tmp_path / side,
            frames,
            ImageOrientationPatient=None,
            ImagePositionPatient=None,
            ImageLaterality="L",
        )
        twin = write_dicom(tmp_path / f"{side}.dcm", frames, "raw")
        for laterality in (LEFT, RIGHT, None):
            assert plan_of(stack, laterality) == plan_of(twin, laterality)


def test_raw_files_are_never_turned(tmp_path: Path) -> None:
    frames = frames_of("R")
    (tmp_path / "x.raw").write_bytes(frames.astype("<u2").tobytes())
    (tmp_path / "x.mhd").write_text(f"DimSize = {COLUMNS} {ROWS} 5\nElementType = MET_USHORT\n")
    plan = plan_of(tmp_path / "x.mhd", LEFT)
    assert not plan.orient.steps
    assert plan.laterality is LEFT
    rows, columns = np.nonzero(plan.render(frames[2]) > 200)
    assert (rows.min(), columns.min()) == (20, 6)
