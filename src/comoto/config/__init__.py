"""Typed configuration: models, presets, overrides."""

from comoto.config.load import PRESETS, config_hash, flat_settings, load_train_config, override
from comoto.config.models import (
    AggregationConfig,
    AugmentConfig,
    BatchConfig,
    ComponentConfig,
    DataConfig,
    ImpaConfig,
    InferenceConfig,
    JointConfig,
    OptimizerConfig,
    PreprocessConfig,
    ScheduleConfig,
    SelectionConfig,
    SelfTrainingConfig,
    StrictModel,
    TrainConfig,
)

__all__ = [
    "PRESETS",
    "AggregationConfig",
    "AugmentConfig",
    "BatchConfig",
    "ComponentConfig",
    "DataConfig",
    "ImpaConfig",
    "InferenceConfig",
    "JointConfig",
    "OptimizerConfig",
    "PreprocessConfig",
    "ScheduleConfig",
    "SelectionConfig",
    "SelfTrainingConfig",
    "StrictModel",
    "TrainConfig",
    "config_hash",
    "flat_settings",
    "load_train_config",
    "override",
]
