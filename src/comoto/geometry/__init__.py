"""Reversible steps that move an image and its boxes together, and box arithmetic. NumPy only."""

from comoto.geometry.boxes import area, centers, clip_boxes, iou_matrix, iou_pairs, visible_boxes
from comoto.geometry.steps import (
    Chain,
    Crop,
    Mirror,
    Pad,
    Resize,
    Rotate180,
    Step,
    chain_from_json,
    step_from_json,
)

__all__ = [
    "Chain",
    "Crop",
    "Mirror",
    "Pad",
    "Resize",
    "Rotate180",
    "Step",
    "area",
    "centers",
    "chain_from_json",
    "clip_boxes",
    "iou_matrix",
    "iou_pairs",
    "step_from_json",
    "visible_boxes",
]
