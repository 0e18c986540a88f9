"""Learning without forgetting (Li and Hoiem 2016, arXiv 1606.09282): the student goes on saying what it said.

The teacher's head and the student's look at the same slices. For detectors of two stages the second is asked
about the teacher's proposals on both sides, as in the incremental learning of detectors (Shmelkov et al.
2017, arXiv 1708.06977). Letters: A anchors, points or proposals of a batch, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from comoto.detectors.base import Detector, LevelSpecs
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.levels import pyramid_of
from comoto.distill.settings import ResponsesConfig
from comoto.errors import ConfigError


class ResponsesDistiller(Distiller):
    """The student's own head says of its slices what the frozen teacher's says of them.

    With logits z of the teacher and y of the student, t = sigmoid(z / tau) and p = sigmoid(y / tau), encoded
    boxes u and v, and c = max over the classes of sigmoid(z), how sure the teacher is, both terms are divided
    by max(1, sum c): alpha tau^2 sum KL(t || p) and alpha gamma sum c mean |u - v|. For large tau,
    tau^2 KL(t || p) is (z - y)^2 / 8.
    """

    Config = ResponsesConfig
    teacher_sees = ResponsesConfig.teacher_sees

    def __init__(self, config: ResponsesConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        super().__init__()
        self.config = config
        self.levels = tuple(pyramid_of(list(specs)) or specs)

    def check(self, student: Detector, teacher: Detector) -> None:
        """Refuse heads that cannot be compared.

        Raises:
            ConfigError: says why.
        """
        kinds = type(student).__name__, type(teacher).__name__
        if type(student) is not type(teacher):
            raise ConfigError(
                "distill.kind=responses: student and teacher need the same kind of detector; they are "
                f"{kinds[0]} and {kinds[1]}"
            )
        if type(student).answers is Detector.answers and type(student).head_outputs is Detector.head_outputs:
            raise ConfigError(
                f"distill.kind=responses: the head of {kinds[0]} cannot be asked; define its answers or "
                "head_outputs, or use distill.kind=pkd"
            )
        super().check(student, teacher)

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return ``distill/responses_class`` and ``distill/responses_box``.

        Raises:
            ConfigError: the heads have different numbers of anchors.
        """
        if student.detector is None or teacher.detector is None:
            raise ValueError("responses are those of the heads; both sides need their detector")
        with torch.no_grad():
            told = teacher.detector.answers(teacher.features)
        own = student.detector.answers(student.features, told.proposals or None)
        if own.logits.shape != told.logits.shape:
            raise ConfigError(
                f"distill.kind=responses: the student's head answers {tuple(own.logits.shape)} questions and "
                f"the teacher's {tuple(told.logits.shape)}; use the same detector settings for both"
            )
        sure = told.logits.sigmoid().amax(dim=1)  # (A,)
        share = self.config.weight / sure.sum().clamp(min=1)
        distance = (own.offsets - told.offsets).abs().mean(dim=1)  # (A,)
        classes = softened_bernoulli_divergence(own.logits, told.logits, self.config.temperature).sum()
        return {
            "distill/responses_class": share * classes,
            "distill/responses_box": share * self.config.box_weight * (sure * distance).sum(),
        }


def softened_bernoulli_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return tau^2 KL(sigmoid(teacher / tau) || sigmoid(student / tau)) of logits, elementwise."""
    own, told = student / temperature, teacher / temperature
    likely = told.sigmoid()
    cross, entropy = (
        functional.binary_cross_entropy_with_logits(logits, likely, reduction="none")
        for logits in (own, told)
    )
    return temperature**2 * (cross - entropy)
