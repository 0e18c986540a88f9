"""Each distillation loss against an independent NumPy formula."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from comoto.config import ImpaConfig
from comoto.detectors.base import Features, LevelSpec
from comoto.distill.base import DistillInput
from comoto.distill.image_level import ImageLevelConfig, ImageLevelDistiller
from comoto.distill.impa import PointAlignment
from comoto.distill.lesion_points import LesionPointsConfig, LesionPointsDistiller
from comoto.distill.points import read_bilinear
from comoto.errors import ConfigError

GRID = (64, 32)
SPECS = {"c5": LevelSpec(6, 32), "p3": LevelSpec(5, 8)}
Array = NDArray[np.float64]


def softmax(values: Array) -> Array:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def kl_by_hand(student: Array, teacher: Array, temperature: float) -> float:
    q, r = softmax(teacher / temperature), softmax(student / temperature)
    return float(temperature**2 * (q * (np.log(q) - np.log(r))).sum(axis=1).mean())


def side(seed: int, num_images: int, *, empty: int | None = None) -> DistillInput:
    generator = torch.Generator().manual_seed(seed)
    levels = {
        name: torch.randn(
            num_images, spec.channels, GRID[0] // spec.stride, GRID[1] // spec.stride, generator=generator
        )
        for name, spec in SPECS.items()
    }
    corner = torch.rand(num_images, 2, 2, generator=generator) * 12
    boxes = [torch.cat((one, one + 8 + k), dim=1) for k, one in enumerate(corner)]
    if empty is not None:
        boxes[empty] = torch.zeros(0, 4)
    return DistillInput(Features(levels, GRID), boxes)


def profile(one: DistillInput) -> Array:
    rows = [
        read_bilinear(image, boxes, GRID, 9).mean(dim=0).numpy().astype(np.float64)
        for image, boxes in zip(one.features.levels["p3"], one.boxes, strict=True)
        if len(boxes)
    ]
    return np.asarray(np.mean(rows, axis=0))


@pytest.mark.parametrize("init", ["identity", "default"])
def test_lesion_points_equals_the_formula(init: str) -> None:
    config = LesionPointsConfig(weight=0.7, temperature=3.0, projection_init=init)
    distiller = LesionPointsDistiller(config, SPECS, GRID)
    student, teacher = side(0, 4, empty=1), side(1, 3)
    weight = distiller.projection.weight.detach().numpy().astype(np.float64)
    bias = distiller.projection.bias.detach().numpy().astype(np.float64)
    expected = 0.7 * kl_by_hand(profile(student) @ weight.T + bias, profile(teacher), 3.0)
    found = distiller(student, teacher)["distill/lesion_points"]
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


def test_a_student_that_is_its_teacher_has_nothing_to_learn() -> None:
    distiller = LesionPointsDistiller(LesionPointsConfig(), SPECS, GRID)
    same = side(3, 2)
    assert float(distiller(same, same)["distill/lesion_points"].detach()) == pytest.approx(0.0, abs=1e-6)


def test_batches_without_lesions_give_no_loss() -> None:
    distiller = LesionPointsDistiller(LesionPointsConfig(), SPECS, GRID)
    nothing = side(0, 1, empty=0)
    assert distiller(nothing, side(1, 2)) == {}
    assert distiller(side(1, 2), nothing) == {}


def test_image_level_equals_the_formula() -> None:
    distiller = ImageLevelDistiller(ImageLevelConfig(weight=1.5, level="p3"), SPECS, GRID)
    student, teacher = side(0, 4), side(1, 3)
    flat = [
        one.features.levels["p3"].numpy().astype(np.float64).mean(axis=0).reshape(5, -1)
        for one in (student, teacher)
    ]
    weight = distiller.projection.weight.detach().numpy().astype(np.float64)
    bias = distiller.projection.bias.detach().numpy().astype(np.float64)
    expected = 1.5 * kl_by_hand(flat[0] @ weight.T + bias, flat[1], 4.0)
    found = distiller(student, teacher)["distill/image_level"]
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


def test_impa_of_equal_lesions_and_orthogonal_background_is_zero() -> None:
    features = torch.zeros(2, 2, 8, 4)
    features[:, 1] = 1.0  # background shows in channel 1 only
    features[:, 0, 2:6, 0:4] = 1.0  # the lesion's region in channel 0 only
    features[:, 1, 2:6, 0:4] = 0.0
    boxes = [torch.tensor([[9.0, 26.0, 20.0, 38.0]])] * 2
    module = PointAlignment(ImpaConfig(level="p3", margin=12.0, num_points=4), {"p3": LevelSpec(2, 8)})
    loss = module(Features({"p3": features}, GRID), boxes, torch.Generator().manual_seed(0))
    assert float(loss["impa/alignment"]) == pytest.approx(0.0, abs=1e-6)


def test_impa_of_constant_maps_is_its_weight() -> None:
    # every vector points the same way: lesions agree (0), and background looks like lesions (1)
    features = torch.ones(3, 4, 8, 4)
    boxes = [torch.tensor([[0.0, 0.0, 8.0, 8.0]])] * 3
    module = PointAlignment(ImpaConfig(level="p3", weight=2.0), {"p3": LevelSpec(4, 8)})
    loss = module(Features({"p3": features}, GRID), boxes, torch.Generator().manual_seed(0))
    assert float(loss["impa/alignment"]) == pytest.approx(2.0)


def test_impa_draws_no_background_from_lesion_or_margin() -> None:
    features = torch.zeros(1, 1, 8, 4)
    features[0, 0, 2:4, 1:3] = 100.0  # cells of the box and its margin of 8 pixels
    features[0, 0, 1:5, 0:4] += 100.0
    boxes = [torch.tensor([[8.0, 16.0, 24.0, 32.0]])]
    module = PointAlignment(ImpaConfig(level="p3", margin=8.0, num_points=9), {"p3": LevelSpec(1, 8)})
    for seed in range(20):
        drawn = module._background(features[0], boxes[0], GRID, torch.Generator().manual_seed(seed))
        assert drawn is not None
        assert float(drawn.abs().max()) == 0.0


@pytest.mark.parametrize(
    ("boxes", "what"),
    [(torch.zeros(0, 4), "no lesion"), (torch.tensor([[0.0, 0.0, 64.0, 64.0]]), "too little background")],
)
def test_impa_can_refuse_what_the_published_code_cannot_do(boxes: torch.Tensor, what: str) -> None:
    specs = {"p3": LevelSpec(2, 8)}
    features = Features({"p3": torch.rand(2, 2, 8, 8)}, (64, 64))
    batch = [torch.tensor([[16.0, 16.0, 32.0, 32.0]]), boxes]
    refusing = PointAlignment(ImpaConfig(level="p3", empty="refuse"), specs)
    with pytest.raises(ConfigError, match=f"impa.empty=refuse: image 1 of the batch shows {what}"):
        refusing(features, batch, torch.Generator().manual_seed(0))
    skipping = PointAlignment(ImpaConfig(level="p3"), specs)
    assert set(skipping(features, batch, torch.Generator().manual_seed(0))) == {"impa/alignment"}


def test_impa_skips_images_without_room_for_background() -> None:
    boxes = [torch.tensor([[0.0, 0.0, 32.0, 64.0]])]
    module = PointAlignment(ImpaConfig(level="p3"), {"p3": LevelSpec(1, 8)})
    features = Features({"p3": torch.ones(1, 1, 8, 4)}, GRID)
    assert module(features, boxes, torch.Generator()) == {}


def test_a_level_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"distill\.level.*'p9'.*c5, p3"):
        LesionPointsDistiller(LesionPointsConfig(level="p9"), SPECS, GRID)
