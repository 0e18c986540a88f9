"""From boxes on slices to boxes in a volume: one file a rule, chosen by ``components.AGGREGATORS``."""

from comoto.inference.aggregate.base import Aggregator, Stack, StackedDetections
from comoto.inference.aggregate.rule import aggregate
from comoto.records import SliceDetections

__all__ = ["Aggregator", "SliceDetections", "Stack", "StackedDetections", "aggregate"]
