"""Which student and teacher a distiller accepts together."""

import pytest
import torch

from comoto.detectors.base import Detector, LevelSpec
from comoto.distill.base import Distiller
from comoto.distill.image_level import ImageLevelConfig, ImageLevelDistiller
from comoto.distill.lesion_points import LesionPointsConfig, LesionPointsDistiller
from comoto.distill.none import NoDistiller, NoDistillerConfig
from comoto.errors import ConfigError
from tiny_detectors import tiny

GRID = (64, 64)


def pair(**teacher: object) -> tuple[Detector, Detector]:
    return tiny("retinanet"), tiny("retinanet", **teacher)


def points(level: str, student: Detector) -> Distiller:
    return LesionPointsDistiller(LesionPointsConfig(level=level), student.level_specs, GRID)


@pytest.mark.parametrize("level", ["p3", "fit"])
def test_channels_that_differ_are_refused(level: str) -> None:
    student, teacher = pair(pyramid_channels=32)
    message = rf"distill\.level={level}: the student has 64 channels there and the teacher 32; use the same"
    with pytest.raises(ConfigError, match=message):
        points(level, student).check(student, teacher)


def test_levels_of_equal_width_are_enough() -> None:
    student, teacher = pair(pyramid_channels=32)
    points("c5", student).check(student, teacher)  # the backbones are alike
    student.level_specs, teacher.level_specs = (
        {"p3": LevelSpec(64, 8)},
        {"p3": LevelSpec(64, 8), "p4": LevelSpec(64, 16)},
    )
    points("fit", student).check(student, teacher)  # pyramids of different height


def test_a_level_that_the_teacher_lacks_is_named() -> None:
    student, teacher = pair()
    teacher.level_specs = {"c5": teacher.level_specs["c5"]}
    with pytest.raises(ConfigError, match=r"distill\.level of the teacher: .* no level 'p3'; it has c5"):
        points("p3", student).check(student, teacher)


def test_pretraining_takes_any_pair() -> None:
    student, teacher = pair(pyramid_channels=32)
    NoDistiller(NoDistillerConfig(), student.level_specs, GRID).check(student, teacher)


def test_image_level_takes_the_teachers_number_of_cells() -> None:
    student, teacher = pair()
    distiller = ImageLevelDistiller(ImageLevelConfig(), student.level_specs, GRID)
    before = distiller.projection
    distiller.check(student, teacher)
    assert distiller.projection is before
    teacher.level_specs = {"c5": LevelSpec(student.level_specs["c5"].channels, 64 / 3)}
    distiller.check(student, teacher)
    assert distiller.projection.weight.shape == (9, 4)
    assert torch.isfinite(distiller.projection.weight).all()
