"""Batches that are made ahead in processes."""

import subprocess
import sys

from comoto.training.data import stream

AFTER_OPENCV = """
import cv2
import numpy as np
import torch
from comoto.training.data import stream

cv2.setNumThreads(2)  # OpenCV's own threads are running when the processes are started
for _ in range(20):
    cv2.resize(np.random.default_rng(0).random((2000, 2000), dtype=np.float32), (500, 500))
batches = stream(lambda step: (torch.full((2,), step), None), range(3, 7), 2, pin=False)
print([int(images.sum()) for images, _ in batches])
"""


def test_processes_start_beside_the_threads_of_opencv() -> None:
    result = subprocess.run(
        [sys.executable, "-c", AFTER_OPENCV], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.stdout.strip() == "[6, 8, 10, 12]", result.stderr


def test_steps_come_in_their_order() -> None:
    for workers in (0, 2):
        batches = stream(lambda step: (step, None, 0.5), range(5, 12), workers, pin=False)
        assert [tuple(batch) for batch in batches] == [(step, None, 0.5) for step in range(5, 12)]
