"""A loaded model: images on the grid in, detections on the grid out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from comoto.config import TrainConfig
from comoto.detections import Detections, Focus
from comoto.detectors.about import About, refuse_other_role
from comoto.detectors.base import BoxTensors, Detector
from comoto.detectors.checkpoint import load_checkpoint
from comoto.detectors.device import autocast, channels_last, choose_device, resolve_precision
from comoto.detectors.focus_head import FocusHead
from comoto.detectors.focus_map import focus_map, with_focus
from comoto.errors import CheckpointError
from comoto.geometry import clip_boxes
from comoto.preprocessing.plan import pad


@dataclass(frozen=True)
class Model:
    """A detector ready to predict.

    Attributes:
        name: the run folder's name, for output files.
        sha256: of the weights; empty while a training run validates.
        precision: ``32-true`` or ``bf16-mixed``.
        role: what it was trained as; None where nothing says it.
        focus: what reads the focus of boxes on slices; None without such a head.
    """

    detector: Detector
    config: TrainConfig
    device: torch.device
    precision: str
    name: str
    sha256: str
    role: Literal["teacher", "student"] | None = field(default=None, kw_only=True)
    focus: FocusHead | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        grid = f"{self.config.preprocess.rows} x {self.config.preprocess.columns}"
        kind = f"{self.role or 'model'}, {self.config.detector.kind}"
        return (
            f"{type(self).__name__}({self.name}: {kind} on a grid of {grid}, {self.device}, {self.precision})"
        )

    @torch.inference_mode()
    def detect(self, images: list[NDArray[np.uint8]]) -> list[Detections]:
        """Detect on rendered images.

        Args:
            images: uint8 (h, w) each, on the grid without padding; (C, h, w) where a detector from elsewhere
                takes (B, 1, C, H, W).

        Returns:
            Detections on the grid, clipped to each image; padding never holds one.

        Raises:
            CheckpointError: a score is no number.

        Examples:
            >>> import comoto
            >>> from comoto.preprocessing import PreparedStore
            >>> store = PreparedStore("stores/bcs-dbt")
            >>> [found] = comoto.load_model("runs/student").detect([store.plane(store.image_ids[0], 0)])
            >>> found.space, len(found)
            ('grid', 5)
        """
        grid = self.config.preprocess
        batch = np.stack([pad(image, grid.rows, grid.columns) for image in images])
        found = self.found(torch.from_numpy(batch).unsqueeze(1))
        results = []
        for image, one in zip(images, found, strict=True):
            boxes = clip_boxes(one.boxes_xyxy.float().cpu().numpy(), image.shape[-2:]).astype(np.float32)
            real = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
            scores = one.scores.float().cpu().numpy()[real]
            if not np.isfinite(scores).all():
                raise CheckpointError(
                    f"{self.name}: the network gives scores that are no numbers; its weights are damaged, or "
                    "its training diverged"
                )
            results.append(Detections(boxes[real], scores, space="grid", focus=self._focus(one, real)))
        return results

    def found(self, pixels: Tensor) -> list[BoxTensors]:
        """Run the network; uint8 (B, 1, rows, columns) in, detections on the grid out."""
        images = pixels.to(self.device).float() / 255
        with autocast(self.device, self.precision):
            features = self.detector.features(images)
            found = self.detector.predict(features)
        if self.focus is None:
            return found
        return with_focus(focus_map(self.focus, features), found, features.image_shape)

    def _focus(self, found: BoxTensors, real: NDArray[np.bool_]) -> Focus | None:
        """Return the focus of the boxes that are real."""
        if self.focus is None or found.focus is None:
            return None
        return Focus(found.focus.float().cpu().numpy()[real], self.focus.prior)


def load_model(
    run: Path,
    role: Literal["teacher", "student"] | None = None,
    device: str = "auto",
) -> tuple[Model, About]:
    """Load the best checkpoint of a run folder.

    Args:
        run: what ``comoto train`` wrote.
        role: refuse a model of the other role; None takes either.
        device: ``auto`` takes a GPU if there is one.

    Raises:
        CheckpointError: no checkpoint, damaged, of another architecture, or of the other role.
        ConfigError: ``cuda`` was asked for and there is none.
    """
    checkpoint = load_checkpoint(run)
    refuse_other_role(run, checkpoint.about, role)
    where = choose_device(device)
    detector = checkpoint.detector.to(where)
    if where.type == "cpu":
        channels_last(detector)
    precision = resolve_precision(checkpoint.config.precision, where)
    config, about = checkpoint.config, checkpoint.about
    model = Model(
        detector,
        config,
        where,
        precision,
        run.name,
        checkpoint.sha256,
        role=about.role,
        focus=about.focus,
    )
    return model, about
