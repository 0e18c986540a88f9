"""A focus head as it stands in a checkpoint: numbers, without torch; ``focus_map.py`` reads with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from comoto.depth import DepthPrior


@dataclass(frozen=True)
class FocusHead:
    """How the focus of a box is read from a feature map, and how it was learned (docs/method.md).

    Attributes:
        level: name of the feature map of C channels.
        weights: 2 C, of log(1 + max(F, 0)) and then of log(1 + max(-F, 0)), both averaged over the box.
        prior: of the relative depth of the lesions that it was fitted on.
        num_lesions: how many they were.
    """

    level: str
    weights: tuple[float, ...]
    prior: DepthPrior
    num_lesions: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "level": self.level,
            "weights": list(self.weights),
            "prior": self.prior._asdict(),
            "num_lesions": self.num_lesions,
        }

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> FocusHead:
        """Make the head again from what ``to_json`` returned.

        Raises:
            KeyError, TypeError, ValueError: they are not such values.
        """
        weights = tuple(float(weight) for weight in content["weights"])
        prior = DepthPrior(*(float(content["prior"][name]) for name in DepthPrior._fields))
        if not all(isfinite(number) for number in (*weights, *prior)) or prior.deviation <= 0:
            raise ValueError("a focus head that is no finite numbers")
        return FocusHead(str(content["level"]), weights, prior, int(content["num_lesions"]))
