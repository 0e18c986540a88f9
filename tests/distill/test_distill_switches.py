"""What each switch of the distillers changes, against numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from distill_reference import divergence

from comoto.config import ImpaConfig, load_train_config
from comoto.detectors.base import Features, LevelSpec
from comoto.distill.base import DistillInput
from comoto.distill.image_level import ImageLevelConfig, ImageLevelDistiller
from comoto.distill.impa import PointAlignment
from comoto.distill.lesion_points import LesionPointsConfig, LesionPointsDistiller
from comoto.distill.lesions import lesion_matrices, mean_profile
from comoto.distill.levels import fitting_levels, level_channels, num_cells
from comoto.distill.points import point_reader
from comoto.distill.prototypes import PrototypeDistiller, PrototypesConfig
from comoto.errors import ConfigError

GRID = (128, 64)
SPECS = {"c5": LevelSpec(6, 32)} | {f"p{k}": LevelSpec(4, 2**k) for k in (3, 4, 5)}


def features(seed: int, num_images: int = 1) -> Features:
    generator = torch.Generator().manual_seed(seed)
    levels = {
        name: torch.randn(
            num_images,
            spec.channels,
            GRID[0] // int(spec.stride),
            GRID[1] // int(spec.stride),
            generator=generator,
        )
        for name, spec in SPECS.items()
    }
    return Features(levels, GRID)


def boxes(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows).reshape(-1, 4)


def loss(student: DistillInput, teacher: DistillInput, **settings: Any) -> float:
    torch.manual_seed(0)
    distiller = LesionPointsDistiller(LesionPointsConfig(weight=1.0, **settings), SPECS, GRID)
    return float(distiller(student, teacher)["distill/lesion_points"].detach())


BOX = [9.0, 18.0, 30.0, 50.0]
STUDENT = DistillInput(features(0), [boxes(BOX)])
TEACHER = DistillInput(features(1), [boxes(BOX)])


def ramp(along: int) -> Features:
    """A map p3 whose only channel is its own row or column number."""
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(8.0), indexing="ij")
    return Features({"p3": (rows if along == 0 else columns).reshape(1, 1, 16, 8)}, GRID)


def test_sampling_cells_reads_whole_cells_bilinear_reads_between_them() -> None:
    # column of x = 9, 30 and the middle: 9 / 8 - 1/2 = 0.625, 3.25, 1.9375; whole cells: 1, 3, 2
    side = DistillInput(ramp(1), [boxes(BOX)])
    read = {
        kind: lesion_matrices(side, "p3", point_reader(5, kind))[0]  # type: ignore[arg-type]
        for kind in ("bilinear", "cells")
    }
    assert read["bilinear"].flatten().tolist() == [1.9375, 0.625, 3.25, 1.9375, 1.9375]
    assert read["cells"].flatten().tolist() == [2.0, 1.0, 3.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("sampling", "width_ratio", "rows"),
    [
        ("cells", False, [1.0, 1.0, 3.0, 3.0]),  # 18 / 16 -> 1, 50 / 16 -> 3
        ("cells", True, [2.0, 2.0, 6.0, 6.0]),  # 18 / 8 -> 2, 50 / 8 -> 6
        ("bilinear", False, [0.625, 0.625, 2.625, 2.625]),  # 18 / 16 - 1/2, 50 / 16 - 1/2
        ("bilinear", True, [1.75, 1.75, 5.75, 5.75]),  # 18 / 8 - 1/2, 50 / 8 - 1/2
    ],
)
def test_width_ratio_moves_rows_where_the_ratios_differ(
    sampling: Any, width_ratio: bool, rows: list[float]
) -> None:
    # 16 rows over 256 pixels: 16 pixels a row, but 8 a column
    side = DistillInput(Features(ramp(0).levels, (256, 64)), [boxes(BOX)])
    read = point_reader(4, sampling, width_ratio=width_ratio)
    assert lesion_matrices(side, "p3", read)[0].flatten().tolist() == rows


def test_width_ratio_changes_nothing_where_the_ratios_agree() -> None:
    own = loss(STUDENT, TEACHER, sampling="cells")
    assert own == loss(STUDENT, TEACHER, sampling="cells", width_ratio=True)


def test_cells_and_bilinear_give_different_losses() -> None:
    assert loss(STUDENT, TEACHER, sampling="cells") != pytest.approx(loss(STUDENT, TEACHER), rel=0.01)


@pytest.mark.parametrize(
    ("longer_side", "level"),
    [(5.0, "p3"), (24.0, "p3"), (47.9, "p3"), (48.0, "p4"), (95.9, "p4"), (96.0, "p5"), (128.0, "p5")],
)
def test_fit_takes_the_coarsest_level_with_three_cells(longer_side: float, level: str) -> None:
    upright, lying = [0.0, 0.0, 4.0, longer_side], [0.0, 0.0, longer_side, 4.0]
    assert fitting_levels(boxes(upright, lying), features(0)) == [level, level]


def test_fit_counts_cells_along_each_axis_by_its_own_ratio() -> None:
    # p4 has cells of 16 columns and 32 rows: 40 x 90 pixels are 2.5 x 2.8 cells there, 48 x 60 are 3 x 1.9
    stretched = Features({"p3": torch.zeros(1, 4, 16, 8), "p4": torch.zeros(1, 4, 8, 4)}, (256, 64))
    found = fitting_levels(boxes([0.0, 0.0, 40.0, 90.0], [0.0, 0.0, 48.0, 60.0]), stretched)
    assert found == ["p3", "p4"]


def test_fit_reads_each_lesion_of_an_image_on_its_own_level() -> None:
    maps = features(2)
    small, large = [8.0, 8.0, 30.0, 20.0], [2.0, 10.0, 60.0, 110.0]
    read = point_reader(9, "bilinear")
    found = lesion_matrices(DistillInput(maps, [boxes(small, large)]), "fit", read)[0]
    expected = [
        lesion_matrices(DistillInput(maps, [boxes(box)]), level, read)[0]
        for box, level in ((small, "p3"), (large, "p5"))
    ]
    torch.testing.assert_close(found, torch.cat(expected))


def test_level_fit_distils_each_side_from_its_own_levels() -> None:
    own = DistillInput(features(0), [boxes([8.0, 8.0, 30.0, 20.0])])  # on p3
    told = DistillInput(features(1), [boxes([2.0, 10.0, 60.0, 110.0])])  # on p5
    read = point_reader(9, "bilinear")
    source, target = (
        mean_profile(lesion_matrices(side, level, read)).numpy().astype(np.float64)
        for side, level in ((own, "p3"), (told, "p5"))
    )
    assert loss(own, told, level="fit") == pytest.approx(divergence(source, target, 4.0), rel=1e-4)


def test_fit_and_cells_go_together() -> None:
    # 96 pixels are three cells of p5, 32 pixels each: column 10 / 32 -> 0, 42 -> 1; rows 16 -> 0, 112 -> 3
    side = DistillInput(features(2), [boxes([10.0, 16.0, 42.0, 112.0])])
    found = lesion_matrices(side, "fit", point_reader(4, "cells"))[0][0]
    p5 = side.features.levels["p5"][0]
    assert torch.equal(found, torch.stack((p5[:, 0, 0], p5[:, 0, 1], p5[:, 3, 0], p5[:, 3, 1]), dim=1))


def test_level_decides_which_map_is_read() -> None:
    found = {level: loss(STUDENT, TEACHER, level=level) for level in ("p3", "p4", "c5")}
    assert len(set(found.values())) == 3


def test_temperature_softens_both_sides() -> None:
    read = point_reader(9, "bilinear")
    source, target = (
        mean_profile(lesion_matrices(side, "p3", read)).numpy().astype(np.float64)
        for side in (STUDENT, TEACHER)
    )
    for temperature in (1.0, 4.0):
        expected = divergence(source, target, temperature)
        assert loss(STUDENT, TEACHER, temperature=temperature) == pytest.approx(expected, rel=1e-4)


def test_projection_init_identity_starts_with_what_was_read() -> None:
    distiller = LesionPointsDistiller(LesionPointsConfig(), SPECS, GRID)
    profile = torch.randn(4, 9)
    torch.testing.assert_close(distiller.projection(profile), profile)
    assert loss(STUDENT, STUDENT) == pytest.approx(0.0, abs=1e-6)
    assert loss(STUDENT, STUDENT, projection_init="default") > 0.01


def test_weight_multiplies_the_loss() -> None:
    torch.manual_seed(0)
    once, thrice = (
        LesionPointsDistiller(LesionPointsConfig(weight=weight), SPECS, GRID)(STUDENT, TEACHER)
        for weight in (1.0, 3.0)
    )
    torch.testing.assert_close(once["distill/lesion_points"] * 3, thrice["distill/lesion_points"])


def test_empty_skip_leaves_the_image_out() -> None:
    two = features(0, num_images=2)
    first = Features({name: each[:1] for name, each in two.levels.items()}, GRID)
    with_empty = DistillInput(two, [boxes(BOX), boxes()])
    assert loss(with_empty, TEACHER) == loss(DistillInput(first, [boxes(BOX)]), TEACHER)
    with pytest.raises(ConfigError, match=r"distill\.empty=skip to leave them out"):
        loss(with_empty, TEACHER, empty="refuse")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["distill.num_points=7"], r"distill\.num_points"),
        (["distill.samplin=cells"], "did you mean 'distill.sampling'"),
    ],
)
def test_bad_settings_are_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_train_config("demo", ["distill.kind=lesion_points", *overrides])


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"c5": LevelSpec(6, 32)}, "needs a feature pyramid of one width; the detector has c5"),
        ({"p3": LevelSpec(4, 8), "p4": LevelSpec(5, 16)}, "needs a feature pyramid of one width"),
    ],
)
def test_fit_needs_a_pyramid_of_one_width(specs: dict[str, LevelSpec], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        level_channels("fit", specs, "distill.level")
    assert level_channels("fit", SPECS, "distill.level") == 4


def test_fit_is_refused_where_no_lesion_is_looked_up() -> None:
    with pytest.raises(ConfigError, match=r"distill\.level=fit: a whole map"):
        ImageLevelDistiller(ImageLevelConfig(level="fit"), SPECS, GRID)
    with pytest.raises(ConfigError, match=r"distill\.level=fit: background"):
        PrototypeDistiller(PrototypesConfig(level="fit"), SPECS, GRID)
    with pytest.raises(ConfigError, match=r"impa\.level=fit"):
        PointAlignment(ImpaConfig(level="fit"), SPECS)


def test_cells_of_a_map_follow_from_whole_and_fractional_strides() -> None:
    assert num_cells(LevelSpec(1, 32), (2048, 1024)) == 64 * 32
    assert num_cells(LevelSpec(1, 1024 / 21), (2048, 1024)) == 42 * 21
    assert num_cells(LevelSpec(1, 128), (320, 160)) == 3 * 2  # coarse levels round up
