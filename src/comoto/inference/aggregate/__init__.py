"""From boxes on slices to boxes in a volume: one file a rule, chosen by ``components.AGGREGATORS``."""

from comoto.inference.aggregate.base import Aggregator, LookedAt
from comoto.inference.aggregate.rule import aggregate

__all__ = ["Aggregator", "LookedAt", "Stack", "aggregate"]

Stack = LookedAt
"""The former name, which rules of users import."""
