"""What RetinaNet and FCOS share: two towers of convolutions on every level, which can be cut.

Letters: B images, C channels, h x w cells of a level, A anchors or points of all levels, K classes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from comoto.detectors.base import BoxTensors, Features, HeadMaps, Tensors
from comoto.detectors.intake import Shape
from comoto.detectors.pyramid import PyramidDetector
from comoto.detectors.settings import PyramidConfig


class TowerDetector(PyramidDetector):
    """Base of the detectors whose head has a classification and a regression tower."""

    _modules_per_convolution: ClassVar[int]
    """Modules of a tower that belong together: the convolution, its norm, its activation."""

    def __init__(self, config: PyramidConfig, grid_shape: Shape | None, head_depth: int, label: int) -> None:
        """Keep the settings.

        Args:
            config: of the maps.
            grid_shape: (H, W), if it is known.
            head_depth: convolutions of a tower.
            label: of lesions.
        """
        super().__init__(config, grid_shape)
        self.head_depth = head_depth
        self._label = label

    def losses(self, features: Features, boxes: list[Tensor]) -> Tensors:
        """See ``Detector.losses``; torchvision's losses in float32."""
        outputs = self.head_outputs(features)
        with torch.autocast(outputs["cls_logits"].device.type, enabled=False):
            return self._losses(features, outputs, self._targets(features, boxes, self._label))

    def predict(self, features: Features) -> list[BoxTensors]:
        """See ``Detector.predict``."""
        return self.decode(self.head_outputs(features), features)

    def head_outputs(self, features: Features) -> Tensors:
        """See ``Detector.head_outputs``."""
        return {key: value.float() for key, value in self.net.head(self._head_maps(features)).items()}

    def decode(self, outputs: Tensors, features: Features) -> list[BoxTensors]:
        """See ``Detector.decode``; torchvision's decoding and its suppression."""
        anchors = self._anchors(features)
        per_cell = self.net.anchor_generator.num_anchors_per_location()[0]
        counts = [cells * per_cell for cells in self._cells(features)]
        split_outputs = {key: list(torch.split(value, counts, dim=1)) for key, value in outputs.items()}
        split_anchors = [list(torch.split(own, counts)) for own in anchors]
        shapes = self._image_list(features).image_sizes
        found: list[dict[str, Any]] = self.net.postprocess_detections(split_outputs, split_anchors, shapes)
        return self._lesions(found, features, self._label)

    def head_inner(self, features: Features, layer: int) -> HeadMaps:
        """See ``Detector.head_inner``."""
        cut = self._cut(layer)
        maps = self._head_maps(features)
        classes, boxes = self._towers
        return HeadMaps([classes[:cut](each) for each in maps], [boxes[:cut](each) for each in maps])

    def head_outer(self, maps: HeadMaps, layer: int) -> Tensors:
        """See ``Detector.head_outer``."""
        cut = self._cut(layer)
        classes, boxes = self._towers
        outputs = self._last_layers(
            [classes[cut:](each) for each in maps.classes], [boxes[cut:](each) for each in maps.boxes]
        )
        return {key: value.float() for key, value in outputs.items()}

    @abstractmethod
    def _losses(self, features: Features, outputs: Tensors, targets: list[Tensors]) -> Tensors:
        """Return the losses under their public names."""

    @abstractmethod
    def _last_layers(self, classes: list[Tensor], boxes: list[Tensor]) -> Tensors:
        """Return the head's outputs from what its towers end with."""

    @property
    def _towers(self) -> tuple[nn.Sequential, nn.Sequential]:
        return self.net.head.classification_head.conv, self.net.head.regression_head.conv

    def _cells(self, features: Features) -> list[int]:
        return [each.shape[-2] * each.shape[-1] for each in self._head_maps(features)]

    def _cut(self, layer: int) -> int:
        if not 0 <= layer <= self.head_depth:
            raise ValueError(f"the head has {self.head_depth} convolutions, it cannot be cut after {layer}")
        return layer * self._modules_per_convolution


def flattened(maps: list[Tensor], width: int) -> Tensor:
    """Return maps (B, anchors of a cell x width, h, w) as (B, A, width), cell by cell, level after level."""
    rows = [torch.unflatten(each, 1, (-1, width)).permute(0, 3, 4, 1, 2).flatten(1, 3) for each in maps]
    return torch.cat(rows, dim=1)
