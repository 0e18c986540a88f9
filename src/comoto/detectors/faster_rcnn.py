"""Faster R-CNN: a small network proposes boxes, a second stage looks at the features inside each.

Letters: B images, N boxes or proposals.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from comoto.detectors.base import Answers, BoxTensors, Features
from comoto.detectors.intake import Shape
from comoto.detectors.pyramid import PyramidDetector, check_anchors
from comoto.detectors.settings import FasterRcnnConfig
from comoto.detectors.towers import flattened

LESION = 1
"""The only class; 0 is the second stage's background."""
POOLED = 7
"""Cells along a side of the features that the second stage sees of a proposal."""


class SeededSampler(nn.Module):
    """Draws the examples of an image that train a stage, a fixed number with a largest share of positives.

    Its own counter seeds every draw and is saved with the weights, so that an interrupted run that is resumed
    draws what it would have drawn.
    """

    draws: Tensor

    def __init__(self, size: int, positive_share: float, seed: int) -> None:
        """Keep the settings.

        Args:
            size: examples of an image.
            positive_share: of them at most.
            seed: tells apart the samplers of one detector.
        """
        super().__init__()
        self._size, self._positives, self._seed = size, int(size * positive_share), seed
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def forward(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return masks of the chosen positives and negatives; labels are > 0, 0, or -1 for neither."""
        generator = torch.Generator().manual_seed(int(self.draws) * 2 + self._seed)
        self.draws += 1
        chosen = [self._one(own, generator) for own in labels]
        return [positive for positive, _ in chosen], [negative for _, negative in chosen]

    def _one(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        positive = _some(labels >= 1, self._positives, generator)
        return positive, _some(labels == 0, self._size - int(positive.sum()), generator)


class FasterRcnnDetector(PyramidDetector):
    """torchvision's two stages on features that are computed once; its head cannot be cut."""

    Config = FasterRcnnConfig

    def __init__(self, config: FasterRcnnConfig, grid_shape: Shape | None = None) -> None:
        """Build the network with fresh (or ImageNet) weights.

        Args:
            config: what to build.
            grid_shape: (H, W) of the images; needed where the detector resizes inside.

        Raises:
            ConfigError: the backbone is unknown or cannot take the images, or the anchor sizes do not fit.
        """
        super().__init__(config, grid_shape)
        pyramid = self._build_pyramid(config)
        check_anchors(config.anchor_sizes, self.head_levels)
        anchors = AnchorGenerator(config.anchor_sizes, (config.aspect_ratios,) * len(config.anchor_sizes))
        pooled = [name for name in self.head_levels if name not in ("p6", "p7")]  # too coarse to read from
        width = pyramid.out_channels * POOLED**2
        self.net = FasterRCNN(
            pyramid,
            rpn_anchor_generator=anchors,
            rpn_fg_iou_thresh=config.foreground_iou,
            rpn_bg_iou_thresh=config.background_iou,
            rpn_pre_nms_top_n_train=2 * config.proposals,
            rpn_pre_nms_top_n_test=config.proposals,
            rpn_post_nms_top_n_train=config.proposals,
            rpn_post_nms_top_n_test=config.proposals,
            rpn_nms_thresh=config.proposal_nms_iou,
            box_roi_pool=MultiScaleRoIAlign(
                pooled, output_size=POOLED, sampling_ratio=2, canonical_scale=config.canonical_side
            ),
            box_head=TwoMLPHead(width, config.box_features),
            box_predictor=FastRCNNPredictor(config.box_features, num_classes=2),
            box_score_thresh=config.score_threshold,
            box_nms_thresh=config.nms_iou,
            box_detections_per_img=config.max_detections,
        )
        self.net.rpn.fg_bg_sampler = SeededSampler(config.sampled_anchors, 0.5, seed=0)
        self.net.roi_heads.fg_bg_sampler = SeededSampler(config.sampled_proposals, 0.25, seed=1)

    def losses(self, features: Features, boxes: list[Tensor]) -> dict[str, Tensor]:
        """See ``Detector.losses``; two of the first stage, two of the second, in float32."""
        _, losses = self._stages(features, self._targets(features, boxes, LESION))
        return {
            "detection/class": losses["loss_classifier"],
            "detection/box": losses["loss_box_reg"],
            "detection/proposal_class": losses["loss_objectness"],
            "detection/proposal_box": losses["loss_rpn_box_reg"],
        }

    def predict(self, features: Features) -> list[BoxTensors]:
        """See ``Detector.predict``."""
        found, _ = self._stages(features, None)
        return self._lesions(found, features, LESION)

    def answers(self, features: Features, proposals: list[Tensor] | None = None) -> Answers:
        """See ``Detector.answers``; both stages, the second with its logit of a lesion over no lesion."""
        images, maps = self._image_list(features), self._float_maps(features)
        net = self.net
        with _in_mode((net.rpn, net.roi_heads), training=False), _in_float32(images.tensors):
            seen, moved = net.rpn.head(list(maps.values()))
            if proposals is None:
                with torch.no_grad():
                    proposals, _ = net.rpn(images, maps, None)
            pooled = net.roi_heads.box_roi_pool(maps, proposals, images.image_sizes)
            logits, offsets = net.roi_heads.box_predictor(net.roi_heads.box_head(pooled))
        return Answers(
            torch.cat([flattened(seen, 1).flatten(0, 1), logits[:, LESION:] - logits[:, :LESION]]),
            torch.cat([flattened(moved, 4).flatten(0, 1), offsets[:, 4 * LESION :]]),
            proposals,
        )

    def _stages(
        self, features: Features, targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return torchvision's detections, and its losses if there are targets."""
        images, maps = self._image_list(features), self._float_maps(features)
        stages = (self.net.rpn, self.net.roi_heads)
        # torchvision decides by the mode; what is asked for decides here
        with _in_mode(stages, training=targets is not None), _in_float32(images.tensors):
            proposals, first = self.net.rpn(images, maps, targets)
            found, second = self.net.roi_heads(maps, proposals, images.image_sizes, targets)
        return found, first | second

    def _float_maps(self, features: Features) -> OrderedDict[str, Tensor]:
        return OrderedDict((name, features.levels[name].float()) for name in self.head_levels)


def _in_float32(tensor: Tensor) -> torch.autocast:
    return torch.autocast(tensor.device.type, enabled=False)


@contextmanager
def _in_mode(modules: tuple[nn.Module, ...], *, training: bool) -> Iterator[None]:
    before = [module.training for module in modules]
    for module in modules:
        module.train(training)
    try:
        yield
    finally:
        for module, mode in zip(modules, before, strict=True):
            module.train(mode)


def _some(candidates: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return a mask of at most ``number`` of the candidates, drawn without replacement."""
    places = candidates.nonzero().flatten()
    order = torch.randperm(len(places), generator=generator)[:number].to(places.device)
    mask = torch.zeros_like(candidates)
    mask[places[order]] = True
    return mask
