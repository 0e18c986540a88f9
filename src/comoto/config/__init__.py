"""Typed configuration: models, presets, overrides."""

from comoto.config.explain import explain
from comoto.config.former import FORMER_CHOICES, former_aggregation, former_inference, former_settings
from comoto.config.load import (
    config_hash,
    flat_settings,
    load_run_config,
    load_train_config,
    override,
)
from comoto.config.models import (
    AggregationConfig,
    AugmentConfig,
    AverageConfig,
    BatchConfig,
    ComponentConfig,
    DataConfig,
    FocusConfig,
    ImpaConfig,
    InferenceConfig,
    JointConfig,
    OptimizerConfig,
    PreprocessConfig,
    SelectionConfig,
    StrictModel,
    TrainConfig,
)
from comoto.config.yaml_text import dump_yaml, parse_yaml, read_yaml
from comoto.defaults import PRESETS

__all__ = [
    "FORMER_CHOICES",
    "PRESETS",
    "AggregationConfig",
    "AugmentConfig",
    "AverageConfig",
    "BatchConfig",
    "ComponentConfig",
    "DataConfig",
    "FocusConfig",
    "ImpaConfig",
    "InferenceConfig",
    "JointConfig",
    "OptimizerConfig",
    "PreprocessConfig",
    "SelectionConfig",
    "StrictModel",
    "TrainConfig",
    "config_hash",
    "dump_yaml",
    "explain",
    "flat_settings",
    "former_aggregation",
    "former_inference",
    "former_settings",
    "load_run_config",
    "load_train_config",
    "override",
    "parse_yaml",
    "read_yaml",
]
