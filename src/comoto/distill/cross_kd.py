"""CrossKD (arXiv 2306.11369): the teacher's head reads the student's head; the teacher looks at the slices.

Letters: B images, C channels, h x w cells of a map, A anchors (or points) of all levels, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from comoto.detectors.base import Detector, HeadMaps, LevelSpecs
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.levels import pyramid_of
from comoto.distill.settings import CrossKdConfig
from comoto.errors import ConfigError

FLAT = 1e-6
"""Added to the deviation, so that a channel without any stays finite."""


class CrossKdDistiller(Distiller):
    """The teacher's later head layers say of the student's maps what they say of the teacher's.

    t and u are the teacher's class probabilities and encoded boxes, p and v those of the crossed head, and
    c = max over the classes of t is how sure the teacher is. Both terms are divided by max(1, sum c):
    alpha sum |t - p|^beta BCE(p, t), and alpha gamma sum c mean |u - v|.
    The published box term is an overlap of decoded boxes; both boxes share the anchor, so the encoded ones
    are compared here. The published divisor is the number of positive anchors, which no distiller knows.
    """

    Config = CrossKdConfig
    teacher_sees = CrossKdConfig.teacher_sees

    def __init__(self, config: CrossKdConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        super().__init__()
        self.config = config
        self.levels = tuple(pyramid_of(list(specs)) or specs)

    def check(self, student: Detector, teacher: Detector) -> None:
        """Refuse heads that cannot be cut, or not alike.

        Raises:
            ConfigError: names what differs.
        """
        kinds = type(student).__name__, type(teacher).__name__
        if not student.head_depth or not teacher.head_depth:
            raise ConfigError(
                f"distill.kind=cross_kd: the head of {kinds[1 if student.head_depth else 0]} cannot be cut; "
                f"use a detector with towers, such as detector.kind=retinanet, or distill.kind=pkd"
            )
        if type(student) is not type(teacher) or student.head_depth != teacher.head_depth:
            raise ConfigError(
                f"distill.kind=cross_kd: student and teacher need the same kind and depth of head; they have "
                f"{kinds[0]} of depth {student.head_depth} and {kinds[1]} of depth {teacher.head_depth}"
            )
        if self.config.layer is not None and self.config.layer > student.head_depth:
            raise ConfigError(
                f"distill.layer={self.config.layer}: the towers have {student.head_depth} convolutions"
            )
        super().check(student, teacher)

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return ``distill/cross_kd_class`` and ``distill/cross_kd_box``."""
        if student.detector is None or teacher.detector is None:
            raise ValueError("CrossKD looks through the heads; both sides need their detector")
        layer = teacher.detector.head_depth - 1 if self.config.layer is None else self.config.layer
        with torch.no_grad():
            teacher_maps = teacher.detector.head_inner(teacher.features, layer)
            taught = teacher.detector.head_outer(teacher_maps, layer)
        student_maps = student.detector.head_inner(student.features, layer)
        if self.config.rescale:
            student_maps = rescaled(student_maps, teacher_maps, activated=layer > 0)
        crossed = teacher.detector.head_outer(student_maps, layer)
        likely = taught["cls_logits"].float().sigmoid()  # (B, A, K)
        sure = likely.amax(dim=2)  # (B, A)
        distance = (crossed["bbox_regression"].float() - taught["bbox_regression"].float()).abs().mean(dim=2)
        share = self.config.weight / sure.sum().clamp(min=1)
        classes = quality_focal(crossed["cls_logits"].float(), likely, self.config.focus).sum()
        return {
            "distill/cross_kd_class": share * classes,
            "distill/cross_kd_box": share * self.config.box_weight * (sure * distance).sum(),
        }


def quality_focal(logits: Tensor, probabilities: Tensor, focus: float) -> Tensor:
    """Return |t - sigmoid(x)|^beta BCE(x, t), elementwise (Li et al. 2020, arXiv 2006.04388)."""
    entropy = functional.binary_cross_entropy_with_logits(logits, probabilities, reduction="none")
    return (probabilities - logits.sigmoid()).abs().pow(focus) * entropy


def rescaled(student: HeadMaps, teacher: HeadMaps, *, activated: bool) -> HeadMaps:
    """Give every channel of ``student`` the mean and deviation of that of ``teacher``, level by level.

    Args:
        student: its maps.
        teacher: likewise.
        activated: the maps come out of a ReLU, and so are cut off at 0 again.
    """

    def alike(mine: Tensor, yours: Tensor) -> Tensor:  # (B, C, h, w) each
        deviation, mean = torch.std_mean(mine.float(), dim=(0, 2, 3), correction=0, keepdim=True)
        wanted, level = torch.std_mean(yours.float(), dim=(0, 2, 3), correction=0, keepdim=True)
        result = (mine - mean) / (deviation + FLAT) * wanted + level
        return functional.relu(result) if activated else result

    return HeadMaps(
        [alike(*pair) for pair in zip(student.classes, teacher.classes, strict=True)],
        [alike(*pair) for pair in zip(student.boxes, teacher.boxes, strict=True)],
    )
