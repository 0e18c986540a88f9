"""What one training step sees: images, boxes and what belongs to them, by name.

A batch is made and moved to the device as bytes (``Uint8Batch``) and then expanded. Both kinds are tuples, so
that whatever moves or page-locks collections of tensors knows what to do with them. Letters: B images,
H x W pixels of the grid, N boxes.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, Self, TypeVar

from torch import Tensor

from comoto.preprocessing.uint8_batch import Uint8Batch

Images = TypeVar("Images", bound=Tensor | Uint8Batch)
"""Float (B, 1, H, W), 0 to 1; or the same before its grey values are looked up."""


class TeacherBatch(NamedTuple, Generic[Images]):
    """What one step of the teacher sees.

    Attributes:
        images: mammograms.
        boxes: per image (N, 4), pixels of the grid.
        seed: draws the background points.
    """

    images: Images
    boxes: list[Tensor]
    seed: int

    def expanded(self) -> TeacherBatch[Tensor]:
        """Return the batch with its images as numbers."""
        return TeacherBatch(_numbers(self.images), self.boxes, self.seed)

    def without_distillation(self) -> Self:
        """Return the batch; a teacher is told by nobody."""
        return self


class StudentBatch(NamedTuple, Generic[Images]):
    """What one step of the student sees.

    Attributes:
        images: slices.
        boxes: per slice (N, 4), pixels of the grid.
        mammograms, mammogram_boxes: of other patients, for a distiller that wants them.
        joint, joint_boxes: mammograms in which the student detects too.
        strength: factor on the distillation losses; at 0 neither teacher nor distiller runs.
    """

    images: Images
    boxes: list[Tensor]
    mammograms: Images | None = None
    mammogram_boxes: list[Tensor] | None = None
    joint: Images | None = None
    joint_boxes: list[Tensor] | None = None
    strength: float = 1.0

    def expanded(self) -> StudentBatch[Tensor]:
        """Return the batch with its images as numbers."""
        return StudentBatch(
            _numbers(self.images),
            self.boxes,
            None if self.mammograms is None else _numbers(self.mammograms),
            self.mammogram_boxes,
            None if self.joint is None else _numbers(self.joint),
            self.joint_boxes,
            self.strength,
        )

    def without_distillation(self) -> Self:
        """Return the batch for a pass of the student alone."""
        return self._replace(mammograms=None, mammogram_boxes=None, strength=0.0)


Batch = TeacherBatch[Uint8Batch] | StudentBatch[Uint8Batch]
"""As it is made and moved to the device."""


def _numbers(images: Tensor | Uint8Batch) -> Tensor:
    return images.images() if isinstance(images, Uint8Batch) else images
