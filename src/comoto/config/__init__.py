"""Typed configuration: models, presets, overrides."""

from comoto.config.explain import explain
from comoto.config.load import config_hash, flat_settings, load_train_config, override
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
from comoto.config.yaml_text import dump_yaml, parse_yaml, read_yaml
from comoto.defaults import PRESETS

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
    "dump_yaml",
    "explain",
    "flat_settings",
    "load_train_config",
    "override",
    "parse_yaml",
    "read_yaml",
]
