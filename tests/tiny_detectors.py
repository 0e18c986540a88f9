"""Settings of each kind of detector for small grids, shared by tests."""

from typing import Any

from comoto import components
from comoto.config import ComponentConfig

THIN: dict[str, Any] = {"backbone": {"name": "thin"}, "pyramid_channels": 64, "coarse_levels": False}
ANCHORS: dict[str, Any] = {"anchor_sizes": ((10, 14), (20, 28), (38, 48)), "aspect_ratios": (1.0,)}
SETTINGS: dict[str, dict[str, Any]] = {
    "retinanet": {**ANCHORS, "tower_convolutions": 2, "foreground_iou": 0.45, "background_iou": 0.35},
    "fcos": {"tower_convolutions": 2, "scale_limits": (12, 24)},
    "faster_rcnn": {
        **ANCHORS,
        "foreground_iou": 0.5,
        "canonical_side": 48,
        "box_features": 128,
        "proposals": 100,
        "sampled_anchors": 64,
        "sampled_proposals": 64,
    },
}


def tiny_config(kind: str, **settings: Any) -> ComponentConfig:
    """The configuration of a thin detector for grids of about 64 pixels."""
    own = {"kind": kind, **THIN, **SETTINGS[kind], **settings}
    config: ComponentConfig = components.resolve("detector", kind).Config.model_validate(own)
    return config


def tiny(kind: str, **settings: Any) -> Any:
    """A thin detector for grids of about 64 pixels."""
    return components.resolve("detector", kind)(tiny_config(kind, **settings), (64, 64))
