"""The prototype memory and its contrast."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from distill_reference import Array

from comoto.detectors.base import Features, LevelSpec
from comoto.distill.base import DistillInput
from comoto.distill.points import read_bilinear
from comoto.distill.prototypes import Memory, PrototypeDistiller, PrototypesConfig

GRID = (64, 32)
SPECS = {"p3": LevelSpec(5, 8)}
BOXES = [[[3.0, 5.0, 14.0, 20.0], [10.0, 30.0, 30.0, 60.0]], [[8.0, 8.0, 20.0, 17.0]], []]


def side(seed: int, boxes: Sequence[Sequence[Sequence[float]]] = BOXES) -> DistillInput:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(len(boxes), 5, 8, 4, generator=generator).requires_grad_()
    return DistillInput(Features({"p3": maps}, GRID), [torch.tensor(own).reshape(-1, 4) for own in boxes])


def unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def lesion_vectors(one: DistillInput) -> list[Array]:
    """Mean over the five points, per image with lesions."""
    return [
        read_bilinear(maps, boxes, GRID, 5).mean(dim=2).detach().numpy().astype(np.float64)
        for maps, boxes in zip(one.features.levels["p3"], one.boxes, strict=True)
        if len(boxes)
    ]


def hard_background(one: DistillInput, margin: float, count: int) -> list[Array]:
    """The cells off the lesions with the highest cosine to the image's mean lesion."""
    found = []
    with_lesions = [k for k, boxes in enumerate(one.boxes) if len(boxes)]
    for k, lesions in zip(with_lesions, lesion_vectors(one), strict=True):
        cells = []
        for row in range(8):
            for column in range(4):
                x, y = column * 8 + 4, row * 8 + 4
                inside = [
                    x1 - margin <= x < x2 + margin and y1 - margin <= y < y2 + margin
                    for x1, y1, x2, y2 in one.boxes[k].tolist()
                ]
                if not any(inside):
                    cells.append(one.features.levels["p3"][k, :, row, column].detach().numpy())
        unit_cells = unit(np.asarray(cells, dtype=np.float64))
        nearest = np.argsort(-(unit_cells @ lesions.mean(axis=0)))[:count]
        found.append(unit_cells[nearest])
    return found


def test_contrast_equals_info_nce() -> None:
    config = PrototypesConfig(weight=0.5, memory=20, background_cells=3, margin=2.0, temperature=0.3)
    distiller = PrototypeDistiller(config, SPECS, GRID)
    student, teacher = side(0), side(1)
    prototype = unit(unit(np.concatenate(lesion_vectors(teacher))).sum(axis=0))
    negatives = np.concatenate(hard_background(teacher, 2.0, 3))
    assert len(negatives) == 6
    losses = []
    for lesion in unit(np.concatenate(lesion_vectors(student))):
        alike = np.exp(lesion @ prototype / 0.3)
        losses.append(-np.log(alike / (alike + np.exp(negatives @ lesion / 0.3).sum())))
    found = distiller(student, teacher)["distill/prototypes"]
    found.backward()
    assert float(found.detach()) == pytest.approx(0.5 * float(np.mean(losses)), rel=1e-4)
    assert teacher.features.levels["p3"].grad is None
    gradient = student.features.levels["p3"].grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0


def test_past_batches_stay_in_the_contrast() -> None:
    fresh, seasoned = (PrototypeDistiller(PrototypesConfig(), SPECS, GRID) for _ in range(2))
    seasoned(side(0), side(7))
    now = fresh(side(0), side(1))["distill/prototypes"], seasoned(side(0), side(1))["distill/prototypes"]
    assert float(now[1].detach()) > float(now[0].detach())  # more background to be unlike


def test_the_memory_keeps_the_last_vectors_at_length_one() -> None:
    memory = Memory(3, 2)
    memory.add(torch.tensor([[2.0, 0.0], [0.0, 5.0]]))
    assert memory.filled.tolist() == [False, True, True]
    memory.add(torch.tensor([[-3.0, 0.0], [0.0, -1.0]]))
    assert memory.filled.tolist() == [True, True, True]
    assert memory.vectors.tolist() == [[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]


def test_the_memory_survives_a_round_trip_through_the_state() -> None:
    before, after = (PrototypeDistiller(PrototypesConfig(memory=7), SPECS, GRID) for _ in range(2))
    before(side(0), side(1))
    state = before.state_dict()
    assert set(state) == {
        f"{bank}.{name}" for bank in ("lesions", "backgrounds") for name in ("vectors", "filled")
    }
    after.load_state_dict({key: value.clone() for key, value in state.items()})
    expected, found = (one(side(2), side(3))["distill/prototypes"] for one in (before, after))
    assert torch.equal(expected, found)


def test_equal_batches_give_equal_losses_whatever_was_drawn_elsewhere() -> None:
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        distiller = PrototypeDistiller(PrototypesConfig(), SPECS, GRID)
        found.append(distiller(side(0), side(1))["distill/prototypes"])
    assert torch.equal(*found)


def test_a_teacher_without_lesions_leaves_the_memory_to_speak() -> None:
    distiller = PrototypeDistiller(PrototypesConfig(), SPECS, GRID)
    nothing = side(5, [[], []])
    assert distiller(side(0), nothing) == {}  # nothing is remembered yet
    assert distiller(nothing, side(1)) == {}
    remembered = distiller.lesions.vectors.clone()
    assert float(distiller(side(0), nothing)["distill/prototypes"].detach()) > 0
    assert torch.equal(distiller.lesions.vectors, remembered)


def test_without_background_there_is_nothing_to_be_unlike() -> None:
    whole = [[[0.0, 0.0, 32.0, 64.0]]]
    distiller = PrototypeDistiller(PrototypesConfig(), SPECS, GRID)
    loss = distiller(side(0, whole), side(1, whole))["distill/prototypes"]
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not distiller.backgrounds.filled.any()


def test_a_student_at_the_prototype_pays_less_than_one_at_the_background() -> None:
    distiller = PrototypeDistiller(PrototypesConfig(), SPECS, GRID)
    distiller(side(0), side(1))
    near = distiller._contrast(distiller.lesions.vectors.sum(dim=0, keepdim=True) / 3)
    far = distiller._contrast(distiller.backgrounds.vectors[-1:])
    assert float(near) < float(far)
