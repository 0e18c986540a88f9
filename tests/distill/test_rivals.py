"""The rivals of LsKD, each against an independent computation, and what they do to student and teacher."""

import numpy as np
import pytest
import torch
from distill_reference import Array, divergence
from torch.nn import functional

from comoto.detectors.base import Features, LevelSpec
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.lesion_matching import LesionMatchingConfig, LesionMatchingDistiller, most_similar
from comoto.distill.lesion_regions import LesionRegionsConfig, LesionRegionsDistiller, read_regions
from comoto.distill.pkd import PkdConfig, PkdDistiller, standardised
from comoto.distill.points import read_bilinear
from comoto.distill.unidistill import UniDistillConfig, UniDistiller
from comoto.errors import ConfigError

GRID = (64, 32)
SPECS = {"c5": LevelSpec(6, 32), "p3": LevelSpec(5, 8), "p4": LevelSpec(5, 16)}
BOXES = [[[3.0, 5.0, 14.0, 20.0], [10.0, 30.0, 30.0, 60.0]], [[8.0, 8.0, 20.0, 17.0]], []]


def side(seed: int, boxes: list[list[list[float]]] = BOXES) -> DistillInput:
    generator = torch.Generator().manual_seed(seed)
    levels = {
        name: torch.randn(
            len(boxes),
            spec.channels,
            GRID[0] // int(spec.stride),
            GRID[1] // int(spec.stride),
            generator=generator,
        ).requires_grad_()
        for name, spec in SPECS.items()
    }
    return DistillInput(Features(levels, GRID), [torch.tensor(own).reshape(-1, 4) for own in boxes])


def points_by_image(one: DistillInput) -> list[Array]:
    return [
        read_bilinear(maps, boxes, GRID, 9).detach().numpy().astype(np.float64)
        for maps, boxes in zip(one.features.levels["p3"], one.boxes, strict=True)
        if len(boxes)
    ]


DISTILLERS = {
    "lesion_regions": lambda: LesionRegionsDistiller(LesionRegionsConfig(), SPECS, GRID),
    "lesion_matching": lambda: LesionMatchingDistiller(LesionMatchingConfig(), SPECS, GRID),
    "unidistill": lambda: UniDistiller(UniDistillConfig(), SPECS, GRID),
    "pkd": lambda: PkdDistiller(PkdConfig(), SPECS, GRID),
}


@pytest.mark.parametrize("kind", sorted(DISTILLERS))
def test_gradient_reaches_the_student_only(kind: str) -> None:
    student, teacher = side(0), side(1)
    distiller: Distiller = DISTILLERS[kind]()
    torch.stack(list(distiller(student, teacher).values())).sum().backward()
    gradient = student.features.levels["p3"].grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert float(gradient.abs().sum()) > 0
    assert all(maps.grad is None for maps in teacher.features.levels.values())


@pytest.mark.parametrize("kind", sorted(DISTILLERS))
def test_agreement_costs_nothing(kind: str) -> None:
    distiller: Distiller = DISTILLERS[kind]()
    for value in distiller(side(0), side(0)).values():
        assert float(value.detach()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("kind", sorted(set(DISTILLERS) - {"pkd"}))
def test_a_side_without_lesions_gives_no_loss(kind: str) -> None:
    distiller: Distiller = DISTILLERS[kind]()
    assert distiller(side(0, [[], []]), side(1)) == {}
    assert distiller(side(1), side(0, [[], []])) == {}


@pytest.mark.parametrize("kind", sorted(DISTILLERS))
def test_unknown_level_is_named(kind: str) -> None:
    config = DISTILLERS[kind]().config
    other = {"levels": ("p9",)} if kind == "pkd" else {"level": "p9"}
    with pytest.raises(ConfigError, match="no level 'p9'; it has c5, p3, p4"):
        type(DISTILLERS[kind]())(type(config)(**other), SPECS, GRID)


def test_regions_of_a_ramp_are_the_centres_of_their_cells() -> None:
    # the map holds its column number; the box from 6 to 26 has 4 cells of 5 pixels, centred at 8.5, 13.5 ...
    columns = torch.arange(4.0).expand(1, 8, 4)
    found = read_regions(columns, torch.tensor([[6.0, 10.0, 26.0, 50.0]]), GRID, 4)
    centres = np.array([8.5, 13.5, 18.5, 23.5]) / 8 - 0.5
    np.testing.assert_allclose(found[0, 0].numpy().reshape(4, 4), np.tile(centres, (4, 1)), atol=1e-6)


def test_regions_use_each_axis_own_ratio() -> None:
    # 8 rows over 128 pixels, 16 pixels a row: rows from 32 to 96, two cells centred at 48 and 80
    rows = torch.arange(8.0)[:, None].expand(8, 4)[None]
    found = read_regions(rows, torch.tensor([[8.0, 32.0, 24.0, 96.0]]), (128, 32), 2)
    np.testing.assert_allclose(found[0, 0].numpy(), [2.5, 2.5, 4.5, 4.5], atol=1e-6)


def test_lesion_regions_is_lskd_over_the_cells() -> None:
    torch.manual_seed(0)
    config = LesionRegionsConfig(weight=0.5, region_cells=3, temperature=2.0, projection_init="default")
    distiller = LesionRegionsDistiller(config, SPECS, GRID)
    profiles = []
    for one in (side(0), side(1)):
        each = [
            read_regions(maps.detach(), boxes, GRID, 3).numpy().astype(np.float64).mean(axis=0)
            for maps, boxes in zip(one.features.levels["p3"], one.boxes, strict=True)
            if len(boxes)
        ]
        profiles.append(np.mean(each, axis=0))
    weight = distiller.projection.weight.detach().numpy().astype(np.float64)
    bias = distiller.projection.bias.detach().numpy().astype(np.float64)
    expected = 0.5 * divergence(profiles[0] @ weight.T + bias, profiles[1], 2.0)
    found = distiller(side(0), side(1))["distill/lesion_regions"]
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


def test_region_cells_sets_the_size_of_the_projection() -> None:
    sizes = [
        LesionRegionsDistiller(LesionRegionsConfig(region_cells=k), SPECS, GRID).projection.in_features
        for k in (2, 7)
    ]
    assert sizes == [4, 49]


def test_the_most_similar_lesion_is_that_of_the_highest_cosine() -> None:
    lesions = torch.tensor([[[1.0, 0.0]], [[0.0, -3.0]]])  # N = 2, C = 1, P = 2
    candidates = torch.tensor([[[0.0, 1.0]], [[5.0, 1.0]], [[-1.0, -9.0]]])
    # cosines of the first: 0, 0.98, -0.11; of the second: -1, -0.2, 0.99
    assert most_similar(lesions, candidates).tolist() == [1, 2]


def test_lesion_matching_equals_the_formula() -> None:
    torch.manual_seed(0)
    config = LesionMatchingConfig(weight=1.5, temperature=3.0, projection_init="default")
    distiller = LesionMatchingDistiller(config, SPECS, GRID)
    weight = distiller.projection.weight.detach().numpy().astype(np.float64)
    bias = distiller.projection.bias.detach().numpy().astype(np.float64)
    own, told = (np.concatenate(points_by_image(side(seed))) for seed in (0, 1))
    total, followed = 0.0, set()
    for lesion in own:
        cosines = [(lesion * other).sum() / np.sqrt((lesion**2).sum() * (other**2).sum()) for other in told]
        followed.add(int(np.argmax(cosines)))
        total += divergence(lesion @ weight.T + bias, told[int(np.argmax(cosines))], 3.0)
    assert len(followed) > 1  # else a mean over the batch would pass too
    found = distiller(side(0), side(1))["distill/lesion_matching"]
    assert float(found.detach()) == pytest.approx(1.5 * total / len(own), rel=1e-4)


def test_unidistill_equals_the_formula() -> None:
    config = UniDistillConfig(weight=2.0, relation_weight=0.5)
    means, relations = [], []
    for one in (side(0), side(1)):
        by_image = points_by_image(one)
        means.append(np.mean([each.mean(axis=0) for each in by_image], axis=0))
        cosines = []
        for each in by_image:
            unit = each / np.linalg.norm(each, axis=1, keepdims=True)
            cosines.append(np.mean([m.T @ m for m in unit], axis=0))
        relations.append(np.mean(cosines, axis=0))
    found = UniDistiller(config, SPECS, GRID)(side(0), side(1))
    assert float(found["distill/unidistill_points"].detach()) == pytest.approx(
        2.0 * np.abs(means[0] - means[1]).mean(), rel=1e-4
    )
    assert float(found["distill/unidistill_relations"].detach()) == pytest.approx(
        2.0 * 0.5 * np.abs(relations[0] - relations[1]).mean(), rel=1e-4
    )


def test_relations_ignore_the_length_of_features() -> None:
    student, told = side(0), side(0)
    louder = Features({name: 3 * maps.detach() for name, maps in told.features.levels.items()}, GRID)
    found = UniDistiller(UniDistillConfig(), SPECS, GRID)(student, DistillInput(louder, told.boxes))
    assert float(found["distill/unidistill_relations"].detach()) == pytest.approx(0.0, abs=1e-5)
    assert float(found["distill/unidistill_points"].detach()) > 0.1


def test_pkd_is_one_minus_pearson_summed_over_the_levels() -> None:
    student, teacher = side(0), side(1)
    expected = 0.0
    for level in ("p3", "p4"):
        own, told = (one.features.levels[level].detach().numpy() for one in (student, teacher))
        r = [np.corrcoef(own[:, c].ravel(), told[:, c].ravel())[0, 1] for c in range(5)]
        expected += 1 - float(np.mean(r))
    found = PkdDistiller(PkdConfig(weight=3.0), SPECS, GRID)(student, teacher)["distill/pkd"]
    assert float(found.detach()) == pytest.approx(3.0 * expected, rel=1e-4)


def test_pkd_levels_are_the_pyramid_unless_named() -> None:
    assert PkdDistiller(PkdConfig(), SPECS, GRID).levels == ("p3", "p4")
    assert PkdDistiller(PkdConfig(levels=("c5",)), SPECS, GRID).levels == ("c5",)
    with pytest.raises(ConfigError, match=r"distill\.levels: the detector has no pyramid; name some of c5"):
        PkdDistiller(PkdConfig(), {"c5": SPECS["c5"]}, GRID)


def test_pkd_ignores_scale_and_offset_of_each_channel() -> None:
    student, told = side(0), side(0)
    shifted = {name: 4 * maps.detach() - 2 for name, maps in told.features.levels.items()}
    found = PkdDistiller(PkdConfig(), SPECS, GRID)(student, DistillInput(Features(shifted, GRID), told.boxes))
    assert float(found["distill/pkd"].detach()) == pytest.approx(0.0, abs=1e-5)


def test_a_flat_channel_stays_zero_and_finite() -> None:
    maps = torch.full((2, 3, 4, 4), 7.0, requires_grad=True)
    result = standardised(maps)
    assert torch.equal(result.detach(), torch.zeros(2, 3, 4, 4))
    functional.mse_loss(result, torch.ones(2, 3, 4, 4)).backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()
