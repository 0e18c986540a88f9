"""Batches that are made ahead in threads."""

import subprocess
import sys
import threading
import time

import pytest
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device

from comoto.preprocessing.uint8_batch import Uint8Batch
from comoto.training.batch import StudentBatch, TeacherBatch
from comoto.training.data import stream

AFTER_OPENCV = """
import cv2
import numpy as np
import torch
from comoto.training.data import stream

cv2.setNumThreads(2)  # OpenCV's own threads are running when the loading ones start
for _ in range(20):
    cv2.resize(np.random.default_rng(0).random((2000, 2000), dtype=np.float32), (500, 500))
batches = stream(lambda step: (torch.full((2,), step), None), range(3, 7), 2, pin=False)
print([int(images.sum()) for images, _ in batches])
"""


def test_batches_are_made_beside_the_threads_of_opencv() -> None:
    result = subprocess.run(
        [sys.executable, "-c", AFTER_OPENCV], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.stdout.strip() == "[6, 8, 10, 12]", result.stderr


def test_steps_come_in_their_order() -> None:
    for workers in (0, 2):
        batches = stream(lambda step: (step, None, 0.5), range(5, 12), workers, pin=False)
        assert [tuple(batch) for batch in batches] == [(step, None, 0.5) for step in range(5, 12)]


def test_batches_are_made_at_the_same_time_and_a_few_ahead_only() -> None:
    both, made = threading.Barrier(2, timeout=20), []

    def make(step: int) -> tuple[int]:
        made.append(step)
        if step < 2:
            both.wait()  # two threads must be here at once
        return (step,)

    batches = stream(make, range(100), 2, pin=False)
    assert next(batches) == (0,)
    time.sleep(0.2)
    assert len(made) <= 6  # the one handed out and at most five that wait
    batches.close()
    assert threading.active_count() < 20


def test_what_goes_wrong_in_a_thread_is_raised_where_the_batch_would_come() -> None:
    def make(step: int) -> tuple[int]:
        if step == 2:
            raise ValueError("plane 2")
        return (step,)

    batches = stream(make, range(5), 2, pin=False)
    assert [next(batches), next(batches)] == [(0,), (1,)]
    with pytest.raises(ValueError, match="plane 2"):
        next(batches)


def test_only_the_images_of_a_batch_are_expanded() -> None:
    grey = Uint8Batch(torch.tensor([[[[0, 255]]]], dtype=torch.uint8), torch.arange(256.0)[None] / 255)
    boxes = [torch.zeros((0, 4))]
    white = [[[[0.0, 1.0]]]]
    student = StudentBatch(grey, boxes, joint=grey, joint_boxes=boxes, strength=0.5).expanded()
    assert student.images.tolist() == white
    assert student.joint is not None
    assert student.joint.tolist() == white
    assert student.boxes is boxes
    assert student.joint_boxes is boxes
    assert (student.mammograms, student.mammogram_boxes, student.strength) == (None, None, 0.5)
    teacher = TeacherBatch(grey, boxes, 7).expanded()
    assert (teacher.images.tolist(), teacher.seed) == (white, 7)


def test_a_batch_keeps_its_names_on_the_way() -> None:
    """Making it ahead and moving it to a device rebuilds the tuples, as page-locking does."""
    grey = Uint8Batch(torch.zeros((1, 1, 2, 2), dtype=torch.uint8), torch.zeros((1, 256)))
    made = StudentBatch(grey, [torch.zeros((0, 4))], grey, [torch.ones((1, 4))], strength=0.25)
    (batch,) = stream(lambda _: made, range(1), 1, pin=False)
    for one in (batch, move_data_to_device(batch, torch.device("cpu"))):
        assert isinstance(one, StudentBatch)
        assert isinstance(one.mammograms, Uint8Batch)
        assert (one.joint, one.strength) == (None, 0.25)
