"""RetinaNet: torchvision's head, anchors, loss and NMS, on a feature pyramid or, as published, on one map."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetClassificationHead, RetinaNetHead

from comoto.detectors.base import Features, Tensors
from comoto.detectors.intake import Shape
from comoto.detectors.pyramid import check_anchors
from comoto.detectors.settings import RetinaNetConfig
from comoto.detectors.towers import TowerDetector, flattened


class BatchNormalisedHead(RetinaNetClassificationHead):  # type: ignore[misc]
    """A classification head whose loss divides every image by the same number of positive anchors.

    An image without lesions then weighs no more than its focal loss; torchvision divides that by 1.
    """

    def compute_loss(
        self, targets: list[Tensors], head_outputs: Tensors, matched_idxs: list[Tensor]
    ) -> Tensor:
        """Return the focal loss of the batch over B times the mean number of positive anchors, at least 1."""
        sums, positives = [], []
        for target, logits, matched in zip(targets, head_outputs["cls_logits"], matched_idxs, strict=True):
            own = (matched >= 0).sum()
            divided = super().compute_loss([target], {"cls_logits": logits[None]}, [matched])
            sums.append(divided * own.clamp(min=1))
            positives.append(own)
        mean = torch.stack(positives).float().mean().clamp(min=1)
        return torch.stack(sums).mean() / mean


class RetinaNetDetector(TowerDetector):
    """The default detector; one forward for features and losses."""

    Config = RetinaNetConfig
    _modules_per_convolution = 1

    def __init__(self, config: RetinaNetConfig, grid_shape: Shape | None = None) -> None:
        """Build the network with fresh (or ImageNet) weights.

        Args:
            config: what to build.
            grid_shape: (H, W) of the images; needed where the detector resizes inside.

        Raises:
            ConfigError: the backbone is unknown or cannot take the images, or the anchor sizes do not fit.
        """
        super().__init__(config, grid_shape, config.tower_convolutions, label=config.classes - 1)
        pyramid = self._build_pyramid(config)
        check_anchors(config.anchor_sizes, self.head_levels)
        anchors = AnchorGenerator(config.anchor_sizes, (config.aspect_ratios,) * len(config.anchor_sizes))
        per_cell = anchors.num_anchors_per_location()[0]
        head = RetinaNetHead(pyramid.out_channels, per_cell, config.classes)
        if config.normaliser == "batch":
            head.classification_head = BatchNormalisedHead(pyramid.out_channels, per_cell, config.classes)
        for branch in (head.classification_head, head.regression_head):
            branch.conv = branch.conv[: config.tower_convolutions]
        self.net = RetinaNet(
            pyramid,
            num_classes=config.classes,
            anchor_generator=anchors,
            head=head,
            fg_iou_thresh=config.foreground_iou,
            bg_iou_thresh=config.background_iou,
            score_thresh=config.score_threshold,
            nms_thresh=config.nms_iou,
            detections_per_img=config.max_detections,
        )

    def _losses(self, features: Features, outputs: Tensors, targets: list[Tensors]) -> Tensors:
        losses = self.net.compute_loss(targets, outputs, self._anchors(features))
        return {"detection/class": losses["classification"], "detection/box": losses["bbox_regression"]}

    def _last_layers(self, classes: list[Tensor], boxes: list[Tensor]) -> Tensors:
        head = self.net.head
        logits = [head.classification_head.cls_logits(each) for each in classes]
        offsets = [head.regression_head.bbox_reg(each) for each in boxes]
        return {
            "cls_logits": flattened(logits, head.classification_head.num_classes),
            "bbox_regression": flattened(offsets, 4),
        }
