"""Every distiller with every detector, on a pyramid and on one map: it trains, or an error says why not."""

from typing import Any

import pytest
import torch

from comoto import components
from comoto.distill.base import Distiller
from comoto.errors import ConfigError
from comoto.training.batch import StudentBatch
from comoto.training.steps import StudentStep, total
from tiny_detectors import tiny

GRID = (64, 64)
BOX = torch.tensor([[8.0, 10.0, 40.0, 44.0]])
NONE = torch.zeros(0, 4)
ONE_MAP: dict[str, dict[str, Any]] = {
    "retinanet": {"anchor_sizes": ((12, 24, 48),)},
    "fcos": {"scale_limits": ()},
    "faster_rcnn": {"anchor_sizes": ((12, 24, 48),)},
}
LEVEL_OF_ONE_MAP = {"pkd": {"levels": ["c5"]}, "cross_kd": {}, "responses": {}, "none": {}}
AT_THE_HEAD = {"cross_kd", "responses"}
VARIANTS = [
    (detector, neck, distiller)
    for detector in sorted(components.DETECTORS)
    for neck in ("fpn", "none")
    for distiller in sorted(components.DISTILLERS)
]


def detector_of(kind: str, neck: str, seed: int) -> Any:
    torch.manual_seed(seed)
    return tiny(kind, neck=neck, **(ONE_MAP[kind] if neck == "none" else {}))


def step_of(detector: str, neck: str, kind: str, **settings: Any) -> StudentStep:
    student, teacher = (detector_of(detector, neck, seed) for seed in (0, 1))
    made = components.resolve("distiller", kind)
    distiller: Distiller = made(made.Config.model_validate(settings), student.level_specs, GRID)
    distiller.check(student, teacher)
    return StudentStep(student, distiller, teacher)


def test_every_detector_has_a_set_up_on_one_map() -> None:
    assert set(ONE_MAP) == set(components.DETECTORS)


@pytest.mark.parametrize(("detector", "neck", "kind"), VARIANTS)
def test_a_variant_trains_or_says_why_not(detector: str, neck: str, kind: str) -> None:
    settings = LEVEL_OF_ONE_MAP.get(kind, {"level": "c5"}) if neck == "none" else {}
    if (detector, kind) == ("faster_rcnn", "cross_kd"):
        with pytest.raises(ConfigError, match=r"FasterRcnnDetector cannot be cut.*distill\.kind=pkd"):
            step_of(detector, neck, kind, **settings)
        return
    step = step_of(detector, neck, kind, **settings).train()
    pictures = torch.rand(5, 1, *GRID, generator=torch.Generator().manual_seed(2))
    batch = StudentBatch(pictures[:2], [BOX, NONE], pictures[2:], [BOX + 4, BOX, BOX - 4])
    losses = step(batch)
    told = [value for key, value in losses.items() if key.startswith("distill/")]
    assert bool(told) == (kind != "none")
    before = {key: value.clone() for key, value in step.detector.named_parameters()}
    backbone = [parameter for key, parameter in step.detector.named_parameters() if ".body." in key]
    if told:
        reached = torch.autograd.grad(torch.stack(told).sum(), backbone, retain_graph=True, allow_unused=True)
        assert sum(float(each.abs().sum()) for each in reached if each is not None) > 0
    optimizer = torch.optim.SGD(step.parameters(), lr=1e-3)
    total(losses).backward()
    optimizer.step()
    assert all(torch.isfinite(value).all() for value in step.state_dict().values())
    moved = {key for key, value in step.detector.named_parameters() if not torch.equal(before[key], value)}
    assert any(".body." in key for key in moved)
    assert torch.isfinite(total(step(batch)))


@pytest.mark.parametrize("detector", sorted(components.DETECTORS))
@pytest.mark.parametrize("kind", sorted(set(components.DISTILLERS) - {"none", "image_level"} - AT_THE_HEAD))
def test_without_a_pyramid_the_levels_there_are_are_named(detector: str, kind: str) -> None:
    """Their default is a level of the pyramid; ``image_level`` looks at c5 anyway, others at the head."""
    with pytest.raises(ConfigError, match=r"distill\.levels?: .* c3, c4, c5"):
        step_of(detector, "none", kind)
