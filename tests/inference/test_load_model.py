"""What loading a model for prediction changes: its speed, not its detections."""

from pathlib import Path

import numpy as np
import torch

from comoto.detectors.checkpoint import load_checkpoint
from comoto.inference.model import Model, load_model


def test_the_order_in_memory_changes_no_detection(student_run: Path) -> None:
    """Float32 holds pixels up to 128 to 8e-6; sums in another order move the last digits."""
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 128, 64), dtype=np.uint8))
    checkpoint = load_checkpoint(student_run)
    plain = Model(checkpoint.detector, checkpoint.config, torch.device("cpu"), "32-true", "plain", "")
    model, _ = load_model(student_run, device="cpu")
    kernels = [each for each in model.detector.parameters() if each.ndim == 4 and each.shape[1] > 1]
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels)
    assert len(kernels) > 10
    for ours, theirs in zip(plain.detect(pictures), model.detect(pictures), strict=True):
        assert len(ours.scores) > 3
        np.testing.assert_allclose(theirs.scores, ours.scores, atol=1e-5)
        np.testing.assert_allclose(theirs.boxes_xyxy, ours.boxes_xyxy, atol=1e-4)
