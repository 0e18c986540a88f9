"""The softened Kullback-Leibler divergence of distillation (Hinton et al. 2015, arXiv 1503.02531)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return tau^2 times the mean over rows of KL(softmax(teacher / tau) || softmax(student / tau)).

    Args:
        student: (C, K) raw values, float32.
        teacher: (C, K) raw values; no gradient flows into it.
        temperature: tau.

    Returns:
        A scalar.
    """
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher.detach() / temperature, dim=1)
    return temperature**2 * functional.kl_div(
        log_student, log_teacher, reduction="batchmean", log_target=True
    )
