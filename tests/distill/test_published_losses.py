"""Loss and gradient of the published method against plain NumPy and central differences."""

import numpy as np
import pytest
import torch
from distill_reference import (
    Array,
    alignment,
    batch_matrix,
    central_differences,
    divergence,
    free_cells,
    gradient_of,
    published_matrix,
    side_of,
)
from torch import nn

from comoto.config import ImpaConfig, load_train_config
from comoto.detectors.base import LevelSpec
from comoto.distill.base import DistillInput
from comoto.distill.image_level import ImageLevelConfig, ImageLevelDistiller
from comoto.distill.impa import PointAlignment
from comoto.distill.lesion_points import LesionPointsConfig, LesionPointsDistiller
from comoto.errors import ConfigError

GRID = (96, 64)
MAP = (6, 5)  # 12.8 pixels a column and 16 a row: the ratios of the axes differ and are no whole numbers
SPECS = {"c5": LevelSpec(3, 64 / 5)}
STUDENT_BOXES = [
    [[5.0, 10.0, 30.0, 50.0], [40.0, 60.0, 64.0, 96.0]],  # the second reaches the far corner
    [[20.0, 0.0, 44.0, 20.0]],
]
TEACHER_BOXES = [[[0.0, 0.0, 40.0, 70.0]], [[13.0, 13.0, 25.0, 25.0]], [[30.0, 40.0, 60.0, 80.0]]]
PAPER = [
    "distill.kind=lesion_points",
    "distill.level=c5",
    "distill.sampling=cells",
    "distill.width_ratio=true",
    "distill.projection_init=default",
    "distill.weight=2",
    "distill.temperature=4",
    "distill.empty=refuse",
]


def random_maps(seed: int, num_images: int) -> Array:
    return np.random.default_rng(seed).normal(size=(num_images, 3, *MAP)) * 2


def paper_config(num_points: int = 9) -> LesionPointsConfig:
    config = load_train_config("small", [*PAPER, f"distill.num_points={num_points}"]).distill
    assert isinstance(config, LesionPointsConfig)
    return config


def paper_distiller(num_points: int = 9) -> LesionPointsDistiller:
    torch.manual_seed(3)
    return LesionPointsDistiller(paper_config(num_points), SPECS, GRID)


def parameters(linear: nn.Linear) -> tuple[Array, Array]:
    return linear.weight.detach().numpy().astype(np.float64), linear.bias.detach().numpy().astype(np.float64)


@pytest.mark.parametrize("num_points", [1, 4, 5, 9])
def test_lskd_agrees_in_value_and_gradient(num_points: int) -> None:
    distiller = paper_distiller(num_points)
    matrix, offset = parameters(distiller.projection)
    maps, told = random_maps(0, 2), random_maps(1, 3)  # batches of different size
    target = batch_matrix(told, TEACHER_BOXES, num_points, GRID[1])

    def loss(maps: Array, matrix: Array, offset: Array) -> float:
        source = batch_matrix(maps, STUDENT_BOXES, num_points, GRID[1])
        return 2 * divergence(source @ matrix.T + offset, target, 4.0)

    student, teacher = side_of("c5", maps, STUDENT_BOXES, GRID), side_of("c5", told, TEACHER_BOXES, GRID)
    found = distiller(student, teacher)["distill/lesion_points"]
    found.backward()
    assert float(found.detach()) == pytest.approx(loss(maps, matrix, offset), abs=1e-5)
    by_maps = central_differences(lambda x: loss(x, matrix, offset), maps)
    by_matrix = central_differences(lambda x: loss(maps, x, offset), matrix)
    by_offset = central_differences(lambda x: loss(maps, matrix, x), offset)
    assert distiller.projection.weight.grad is not None
    assert distiller.projection.bias.grad is not None
    np.testing.assert_allclose(gradient_of(student, "c5"), by_maps, atol=1e-5)
    np.testing.assert_allclose(distiller.projection.weight.grad.numpy(), by_matrix, atol=1e-5)
    np.testing.assert_allclose(distiller.projection.bias.grad.numpy(), by_offset, atol=1e-5)
    assert teacher.features.levels["c5"].grad is None
    if num_points > 1:
        assert np.abs(by_maps).max() > 1e-4


def test_one_point_alone_has_no_loss() -> None:
    student = side_of("c5", random_maps(0, 2), STUDENT_BOXES, GRID)
    teacher = side_of("c5", random_maps(1, 3), TEACHER_BOXES, GRID)
    assert float(paper_distiller(1)(student, teacher)["distill/lesion_points"].detach()) == 0.0


def test_softmax_runs_over_the_points_not_the_channels() -> None:
    distiller = paper_distiller()
    student, told = side_of("c5", random_maps(0, 2), STUDENT_BOXES, GRID), random_maps(1, 3)

    def loss(told: Array) -> float:
        teacher = side_of("c5", told, TEACHER_BOXES, GRID)
        return float(distiller(student, teacher)["distill/lesion_points"].detach())

    per_channel = np.array([5.0, -3.0, 1.0])[None, :, None, None]
    per_row = np.arange(MAP[0])[None, None, :, None]
    assert loss(told + per_channel) == pytest.approx(loss(told), abs=1e-5)  # the same at all points
    assert abs(loss(told + per_row) - loss(told)) > 0.01


def test_default_start_is_that_of_torch() -> None:
    torch.manual_seed(11)
    expected = nn.Linear(9, 9)
    torch.manual_seed(11)
    distiller = LesionPointsDistiller(paper_config(), SPECS, GRID)
    assert torch.equal(distiller.projection.weight, expected.weight)
    assert torch.equal(distiller.projection.bias, expected.bias)
    assert float(distiller.projection.weight.detach().abs().max()) <= 1 / 3  # uniform within 1 / sqrt(P)


def test_an_image_without_lesions_is_refused_by_name() -> None:
    full = side_of("c5", random_maps(0, 2), STUDENT_BOXES, GRID)
    half = side_of("c5", random_maps(0, 2), [STUDENT_BOXES[0], []], GRID)
    with pytest.raises(ConfigError, match=r"1 of 2 images of the student's batch.*index 1.*negative_share=0"):
        paper_distiller()(half, full)
    with pytest.raises(ConfigError, match="of the teacher's batch"):
        paper_distiller()(full, half)


def drawn_cells(
    boxes: list[list[float]], num_points: int, generator: torch.Generator
) -> list[tuple[int, int]]:
    cells = free_cells(boxes, MAP, GRID[1])
    return [cells[k] for k in torch.randperm(len(cells), generator=generator)[:num_points].tolist()]


@pytest.mark.parametrize("num_points", [1, 4, 5, 9])
def test_impa_agrees_in_value_and_gradient_given_the_draw(num_points: int) -> None:
    config = ImpaConfig(level="c5", sampling="cells", margin=0.0, num_points=num_points)  # type: ignore[arg-type]
    maps = random_maps(4, 3)
    generator = torch.Generator().manual_seed(5)
    drawn = [drawn_cells(boxes, num_points, generator) for boxes in TEACHER_BOXES]
    assert all(len(set(cells)) == num_points for cells in drawn)  # without replacement

    def loss(maps: Array) -> float:
        u = [
            published_matrix(one, boxes, num_points, GRID[1]).flatten()
            for one, boxes in zip(maps, TEACHER_BOXES, strict=True)
        ]
        v = [
            np.array([one[channel, row, column] for channel in range(3) for row, column in cells])
            for one, cells in zip(maps, drawn, strict=True)
        ]
        return alignment(u, v, 2.0)

    side = side_of("c5", maps, TEACHER_BOXES, GRID)
    module = PointAlignment(config, SPECS)
    found = module(side.features, side.boxes, torch.Generator().manual_seed(5))["impa/alignment"]
    found.backward()
    assert float(found.detach()) == pytest.approx(loss(maps), abs=1e-5)
    np.testing.assert_allclose(gradient_of(side, "c5"), central_differences(loss, maps), atol=1e-5)


def test_impa_counts_the_diagonal() -> None:
    # two lesions at right angles to each other, background at right angles to both: (0 + 1 + 1 + 0) / 4
    maps = np.zeros((2, 3, *MAP))
    maps[:, 2] = 1.0
    for image in range(2):
        maps[image, :, 0:3, 0:2] = 0.0
        maps[image, image, 0:3, 0:2] = 1.0
    # cells 0 and 1 of 12.8 pixels; rectangle [0:2, 0:1], so the rest of the block would be background
    boxes = [[[0.0, 0.0, 15.0, 27.0]]] * 2
    side = side_of("c5", maps, boxes, GRID)
    config = ImpaConfig(level="c5", sampling="cells", margin=13.0, num_points=4, weight=1.0)
    loss = PointAlignment(config, SPECS)(side.features, side.boxes, torch.Generator().manual_seed(0))
    assert float(loss["impa/alignment"].detach()) == pytest.approx(0.5)


def test_impa_of_one_image_is_its_own_contrast() -> None:
    # relu(1 - cos(u, u)) is 0 and stays in the mean of one; what is left is cos(u, v) of equal vectors
    side = side_of("c5", np.ones((1, 3, *MAP)), [[[0.0, 0.0, 15.0, 27.0]]], GRID)
    config = ImpaConfig(level="c5", sampling="cells", margin=0.0, weight=2.0)
    loss = PointAlignment(config, SPECS)(side.features, side.boxes, torch.Generator())
    assert float(loss["impa/alignment"].detach()) == pytest.approx(2.0)


def test_impa_sampling_changes_what_is_read() -> None:
    side = side_of("c5", random_maps(6, 3), TEACHER_BOXES, GRID)

    def loss(sampling: str) -> float:
        config = ImpaConfig(level="c5", sampling=sampling, margin=0.0)  # type: ignore[arg-type]
        found = PointAlignment(config, SPECS)(side.features, side.boxes, torch.Generator().manual_seed(0))
        return float(found["impa/alignment"].detach())

    assert abs(loss("cells") - loss("bilinear")) > 0.01


@pytest.mark.parametrize("teacher_map", [(6, 5), (4, 3)])
def test_image_level_agrees_in_value_and_gradient(teacher_map: tuple[int, int]) -> None:
    torch.manual_seed(1)
    distiller = ImageLevelDistiller(ImageLevelConfig(), SPECS, (77, 64))  # 77 / 12.8 -> 6.02 -> 7 rows
    assert distiller.projection.in_features == 35
    distiller.projection = nn.Linear(30, teacher_map[0] * teacher_map[1])
    matrix, offset = parameters(distiller.projection)
    maps = random_maps(0, 2)
    told = np.random.default_rng(1).normal(size=(3, 3, *teacher_map)) * 2

    def loss(maps: Array) -> float:
        flat = [np.stack([image.reshape(3, -1) for image in batch]).mean(axis=0) for batch in (maps, told)]
        return 2 * divergence(flat[0] @ matrix.T + offset, flat[1], 4.0)

    student, teacher = side_of("c5", maps, [[], []], GRID), side_of("c5", told, [[], [], []], GRID)
    found = distiller(student, teacher)["distill/image_level"]
    found.backward()
    assert float(found.detach()) == pytest.approx(loss(maps), abs=1e-5)
    np.testing.assert_allclose(gradient_of(student, "c5"), central_differences(loss, maps), atol=1e-5)
    assert teacher.features.levels["c5"].grad is None


def test_image_level_names_maps_that_its_strides_do_not_promise() -> None:
    distiller = ImageLevelDistiller(ImageLevelConfig(), SPECS, (64, 64))  # 5 x 5 cells
    side: DistillInput = side_of("c5", random_maps(0, 2), [[], []], GRID)
    with pytest.raises(ConfigError, match=r"\(30, 30\) cells, by their strides \(25, 25\)"):
        distiller(side, side)
