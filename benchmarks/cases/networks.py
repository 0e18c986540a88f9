"""Networks with random weights, and one training step of the student on random pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cases.volumes import tissue
from comoto import components
from comoto.config import PreprocessConfig, TrainConfig, load_train_config
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import About, build_blank_detector, save_checkpoint
from comoto.detectors.device import autocast
from comoto.dicom.read import DicomImage
from comoto.preprocessing.plan import pad, plan_image
from comoto.records import Modality
from comoto.training.batch import StudentBatch
from comoto.training.optimizer import build_optimizer, group
from comoto.training.steps import StudentStep, total

PAPER, DEFAULT = "paper", "small"
LARGE_ROWS = 1000
_TINY = {
    PAPER: (
        "preprocess.rows=256",
        "preprocess.columns=128",
        "detector.backbone.name=torchvision/resnet18",
        "detector.inner_resize.min_side=96",
        "detector.inner_resize.max_side=160",
        "detector.anchor_sizes=[[8, 12, 16, 24, 32]]",
    ),
    DEFAULT: ("preprocess.rows=128", "preprocess.columns=64", "batch.size=2", "joint.size=2"),
    "full": ("preprocess.rows=256", "preprocess.columns=128", "batch.size=2", "joint.size=2"),
    "demo": ("preprocess.rows=128", "preprocess.columns=64", "batch.size=2", "joint.size=2"),
}
_CHOSEN_SHARE = 0.01
"""Share of the anchors whose score shall pass the threshold in a network with random weights."""
_BOX_SPREAD = 0.1
"""How far its boxes stray from their anchors, in sides of the anchor."""


def settings(preset: str, *, quick: bool) -> TrainConfig:
    """Return a preset as a student, float32, with weights that are not fetched."""
    wanted = ["init=scratch", "precision=32-true"]
    return load_train_config(preset, [*wanted, *(_TINY[preset] if quick else ())])


def random_detector(config: TrainConfig, volume: Path | None = None) -> Detector:
    """Return a detector whose random weights find something: its last bias is set so.

    An untrained RetinaNet gives every anchor the same score and no detection, and what follows the network
    would have nothing to do.

    Args:
        config: of the detector and its grid.
        volume: on whose middle slice it finds something; none for a made-up one.
    """
    torch.manual_seed(0)
    detector: Any = build_blank_detector(config).eval()
    image = torch.from_numpy(_picture(config.preprocess, volume)).float()[None, None] / 255
    head = detector.net.head
    with torch.inference_mode():
        said = detector.head_outputs(detector.features(image))
    logits = said["cls_logits"][..., -1].flatten()
    threshold = torch.logit(torch.tensor(config.detector.score_threshold))  # type: ignore[attr-defined]
    place = int(_CHOSEN_SHARE * len(logits))
    chosen = logits.sort(descending=True).values[place : place + 2].mean()  # between two: rounding moves none
    with torch.no_grad():
        spread = 1.0 / max(float(logits.std()), 1e-6)
        scores = head.classification_head.cls_logits
        scores.weight *= spread
        scores.bias.fill_(float(threshold) - spread * float(chosen - scores.bias[-1]))
        boxes = head.regression_head.bbox_reg
        boxes.weight *= _BOX_SPREAD / max(float(said["bbox_regression"].std()), 1e-6)
    result: Detector = detector
    return result


def _picture(config: PreprocessConfig, volume: Path | None) -> NDArray[np.uint8]:
    """Return one slice on the grid."""
    if volume is None:
        return (tissue(0, (config.rows, config.columns)) // 4).astype(np.uint8)
    with DicomImage(volume) as image:
        plan = plan_image(image, None, Modality.TOMOSYNTHESIS, config)
        rendered = plan.render(image.frame(image.num_frames // 2, plan.halvings))
    return pad(rendered, config.rows, config.columns)


def write_run(folder: Path, config: TrainConfig, detector: Detector) -> Path:
    """Write a run folder as ``comoto train`` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder, detector, config, About("student", 1, {}))
    return folder


@dataclass(frozen=True)
class Network:
    """What a step needs: student, teacher, distiller and an optimizer over the trained two."""

    config: TrainConfig
    detector: Detector
    teacher: Detector
    distiller: Any
    optimizer: torch.optim.Optimizer

    def step(self, *, teacher_head: bool) -> StudentStep:
        """Return the step, with the teacher's head computed and discarded or not."""
        step = StudentStep(
            self.detector, self.distiller, self.teacher, joint=self.config.joint, teacher_head=teacher_head
        )
        step.train()
        return step


def build(preset: str, *, quick: bool) -> Network:
    """Build student and teacher of a preset; the learning rate is 0, so that all steps are the same."""
    return build_from(settings(preset, quick=quick))


def build_from(config: TrainConfig) -> Network:
    """Build student and teacher of a student's configuration, as ``build`` does."""
    torch.manual_seed(0)
    detector = build_blank_detector(config)
    torch.manual_seed(1)
    teacher = build_blank_detector(config)
    grid = (config.preprocess.rows, config.preprocess.columns)
    kind = config.distill.kind
    distiller = components.resolve("distiller", kind)(config.distill, detector.level_specs, grid)
    if distiller.teacher_sees != "nothing":
        distiller.check(detector, teacher)
    trained = nn.ModuleList([detector, distiller])
    optimizer = build_optimizer([group(trained.parameters(), 0.0)], config.optimizer)
    return Network(config, detector, teacher, distiller, optimizer)


def slices_a_step(config: TrainConfig) -> int:
    """Return the slices of a timed step; large ones come alone, 4 of ``full`` in float32 overran 24 GiB."""
    return 1 if config.preprocess.rows > LARGE_ROWS else config.batch.size


def random_batch(config: TrainConfig, size: int) -> StudentBatch[Tensor]:
    """Return slices and mammograms of noise: for the distiller, with a lesion each, and for the student."""
    rows, columns = config.preprocess.rows, config.preprocess.columns
    generator = torch.Generator().manual_seed(0)
    joint = round(size * config.joint.size / config.batch.size)
    pictures = torch.rand(2 * size + joint, 1, rows, columns, generator=generator)
    slices, told, own = (
        part.contiguous(memory_format=torch.channels_last) for part in pictures.split([size, size, joint])
    )
    side = rows / 10
    box = torch.tensor([[side, side, 2.5 * side, 2 * side]])
    negatives = round(size * config.batch.negative_share)
    boxes = [box] * (size - negatives) + [torch.zeros(0, 4)] * negatives
    with_joint = {"joint": own, "joint_boxes": [box] * joint} if joint else {}
    return StudentBatch(slices, boxes, told, [box] * size, **with_joint)


def train_once(
    step: StudentStep, batch: StudentBatch[Tensor], network: Network, precision: str = "32-true"
) -> float:
    """Do one training step as the loop does and return its loss."""
    with autocast(batch.images.device, precision):
        losses: dict[str, Tensor] = step(batch)
        loss = total(losses)
    network.optimizer.zero_grad()
    loss.backward()
    if network.config.optimizer.gradient_clip is not None:
        nn.utils.clip_grad_norm_(step.parameters(), network.config.optimizer.gradient_clip)
    network.optimizer.step()
    return float(loss.detach())
