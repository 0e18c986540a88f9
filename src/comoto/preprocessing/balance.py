"""Batches that take equal parts from each of several data sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from comoto.config import AugmentConfig, BatchConfig
from comoto.errors import ConfigError
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.store import PreparedStore
from comoto.preprocessing.uint8_batch import Uint8Batch

SEEDS_APART = 1_000_003
"""Between a seed and the next there is room to count epochs, steps or data sets without arriving at what
another seed draws: people take 0, 1, 2 as seeds, and runs are shorter than this."""


class BalancedBatches:
    """One ``SliceBatches`` a data set; every batch holds the same number of images of each, give or take one.

    Each data set keeps its own store, so equal image ids of two sets never meet. Positives and negatives are
    dealt out separately, the odd positives to the first sets and the odd negatives to the last.

    Args:
        parts: a prepared store and the ids to draw from, for each data set.
        batch: size and shares of the whole batch.
        augment: random changes; None draws images as they are.
        seed: of everything random; the first set draws as it would alone.
        section: of the configuration, for messages.

    Raises:
        ConfigError: there are more data sets than images in a batch, or as ``SliceBatches``.
        DatasetError: as ``SliceBatches``.
    """

    def __init__(
        self,
        parts: Sequence[tuple[PreparedStore, Iterable[str]]],
        batch: BatchConfig,
        augment: AugmentConfig | None,
        seed: int,
        section: str = "batch",
    ) -> None:
        if batch.size < len(parts):
            raise ConfigError(
                f"{section}.size is {batch.size}, but every batch takes a part of each of {len(parts)} data "
                f"sets; set {section}.size to {len(parts)} or more"
            )
        negatives = round(batch.size * batch.negative_share)
        shares = zip(
            dealt(batch.size - negatives, len(parts)), dealt(negatives, len(parts))[::-1], strict=True
        )
        self._samplers = [
            SliceBatches(
                store,
                ids,
                batch.model_copy(
                    update={"size": positive + negative, "negative_share": negative / (positive + negative)}
                ),
                augment,
                seed + number * SEEDS_APART,
                section,
            )
            for number, ((store, ids), (positive, negative)) in enumerate(zip(parts, shares, strict=True))
        ]

    @property
    def steps_per_round(self) -> int:
        """Steps until every positive patient (or image) of every data set has been drawn once."""
        return max(sampler.steps_per_round for sampler in self._samplers)

    def batch(self, step: int) -> tuple[Tensor, list[Tensor]]:
        """Return the batch of a step as ``SliceBatches.batch`` does, one data set after the other."""
        grey, boxes = self.uint8_batch(step)
        return grey.images(), boxes

    def uint8_batch(self, step: int) -> tuple[Uint8Batch, list[Tensor]]:
        """Return the batch of a step as bytes; ``batch`` is what it stands for."""
        each = [sampler.uint8_batch(step) for sampler in self._samplers]
        return Uint8Batch.joined([images for images, _ in each]), [one for _, boxes in each for one in boxes]


def dealt(number: int, parts: int) -> list[int]:
    """Deal ``number`` things to ``parts`` that differ by one at most, the larger ones first."""
    return [number // parts + (part < number % parts) for part in range(parts)]
