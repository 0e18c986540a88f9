"""The numbers of the published method, as its description gives them, stand in the preset ``paper``."""

from typing import Any

import pytest

from comoto.config import flat_settings, load_train_config

BOTH: dict[str, Any] = {
    "seed": 0,
    "preprocess.rows": 2048,
    "preprocess.columns": 1024,
    "preprocess.fit": "stretch",
    "preprocess.window": "frame",
    "detector.kind": "retinanet",
    "detector.backbone.name": "torchvision/resnet50",
    "detector.neck": "none",
    "detector.classes": 2,
    "detector.anchor_sizes": [[32, 64, 128, 256, 512]],
    "detector.aspect_ratios": [0.5, 1.0, 2.0],
    "detector.tower_convolutions": 4,
    "detector.foreground_iou": 0.5,
    "detector.background_iou": 0.4,
    "detector.score_threshold": 0.05,
    "detector.nms_iou": 0.5,
    "detector.max_detections": 300,
    "detector.inner_resize.min_side": 800,
    "detector.inner_resize.max_side": 1333,
    "detector.pixel_range": 255,
    "augment.horizontal_flip": 0.5,
    "augment.vertical_flip": 0.0,
    "augment.shift": 0.0,
    "augment.gain": 0.0,
    "augment.gamma": 0.0,
    "batch.size": 8,
    "batch.negative_share": 0.0,
    "batch.slice_reach": 0.0,
    "optimizer.kind": "sgd",
    "optimizer.learning_rate": 5e-5,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 0.0,
    "optimizer.warmup_share": 0.0,
    "optimizer.decay": "step",
    "optimizer.decay_epochs": 30,
    "optimizer.decay_factor": 0.1,
    "optimizer.gradient_clip": None,
    "schedule.epochs": 50,
    "schedule.steps_per_epoch": None,
    "schedule.validate_every": 1,
    "selection.metric": "map_2d",
    "data.unit": "images",
    "joint.size": 0,
    "self_training.size": 0,
    "inference.slice_step": 1,
    "inference.aggregation.kind": "local_maximum",
    "inference.aggregation.iou": 0.5,
    "inference.aggregation.window_share": 0.25,
    "inference.aggregation.min_score": 0.001,
    "inference.aggregation.border_slices": 4,
}
TEACHER = {
    "impa.empty": "refuse",
    "impa.weight": 2.0,
    "impa.num_points": 9,
    "impa.level": "c5",
    "impa.margin": 0.0,
}
STUDENT = {
    "init": "teacher",
    "distill.kind": "lesion_points",
    "distill.weight": 2.0,
    "distill.temperature": 4.0,
    "distill.num_points": 9,
    "distill.level": "c5",
    "distill.sampling": "cells",
    "distill.width_ratio": True,
    "distill.learning_rate": None,
    "distill.start_epoch": 0,
    "distill.ramp_epochs": 0,
}


@pytest.mark.parametrize(("role", "own"), [("teacher", TEACHER), ("student", STUDENT)])
def test_the_preset_holds_the_published_numbers(role: str, own: dict[str, Any]) -> None:
    settings = flat_settings(load_train_config("paper", role=role).model_dump(mode="json"))
    wanted = BOTH | own
    assert {key: settings[key] for key in wanted} == wanted


def test_the_split_is_70_10_20() -> None:
    """The test fifth is set aside before; of the other four fifths an eighth is a tenth of all."""
    share = load_train_config("paper").data.validation_share
    assert 0.8 * share == pytest.approx(0.1)
    assert 0.8 * (1 - share) == pytest.approx(0.7)


def test_image_level_is_one_setting_away_with_the_same_weight_and_temperature() -> None:
    distill: Any = load_train_config("paper", ["distill.kind=image_level"]).distill
    assert (distill.level, distill.weight, distill.temperature) == ("c5", 2.0, 4.0)
