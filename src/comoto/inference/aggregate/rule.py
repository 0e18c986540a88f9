"""Slices in, detections of the volume out, by the rule that the configuration names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from comoto import components
from comoto.config import AggregationConfig
from comoto.detections import Detections
from comoto.inference.aggregate.base import Aggregator, LookedAt


def aggregate(slices: Mapping[int, Detections], num_slices: int, config: AggregationConfig) -> Detections:
    """Turn the detections of single slices into detections of the volume.

    Args:
        slices: slice index -> detections on the grid; a slice without detections belongs in it too, for
            some rules ask how many of the slices that were looked at support a lesion.
        num_slices: slices of the whole volume, looked at or not.
        config: which rule, and its settings.

    Returns:
        Detections by falling score, with best slices and profiles along the stack (``depths``), none below
        ``config.min_score``: a rule that weighs the evidence of several slices gives smaller scores than
        theirs, so what it returns is filtered once more.

    Raises:
        ConfigError: the rule is unknown.

    Examples:
        >>> box = Detections([[10, 10, 20, 20]], [0.8], space="grid")
        >>> away = Detections([[40, 40, 50, 50]], [0.3], space="grid")
        >>> config = AggregationConfig(kind="nms_3d")
        >>> found = aggregate({4: box, 5: box, 6: away}, num_slices=20, config=config)
        >>> found
        Detections(2 boxes in grid pixels on slices 4-6, scores 0.3 to 0.8)
        >>> found.first_slice.tolist(), found.num_spanned.tolist(), found.best_slice.tolist()
        ([4, 6], [2, 1], [4.5, 6.0])
    """
    rule: Aggregator = components.resolve("aggregator", config.kind)(config)
    filled = {index: found for index, found in slices.items() if len(found)}
    if not filled:
        return Detections.none("grid", volume=True)
    found = rule(Detections.stack(filled), LookedAt(num_slices, np.asarray(sorted(slices), dtype=np.int64)))
    return found[found.scores >= config.min_score]
