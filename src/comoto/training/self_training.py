"""Self-training: the student's own best detections on unannotated volumes become lesions to learn from.

The volumes are the training volumes outside the fraction. Their annotations, where the data set has them, are
never learnt from; they only tell how good the proposals are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from comoto.checksums import write_sealed_json
from comoto.config import TrainConfig
from comoto.detections import Detections, prediction_table
from comoto.errors import CheckpointError, ConfigError
from comoto.evaluation.challenge_tables import challenge_tables, read_predictions, read_truth
from comoto.evaluation.hit_radius import largest_radius
from comoto.inference.model import Model
from comoto.inference.prepared import predict_store
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.store import PreparedStore
from comoto.preprocessing.uint8_batch import Uint8Batch
from comoto.progress import say
from comoto.records import Lesion, Manifest
from comoto.training.rounds import latest_round, read_round

FORMAT, FORMER_FORMAT = "comoto-proposals-2", "comoto-proposals-1"
"""The former one has no checksum."""
FOLDER = "proposals"
_SEED_OFFSET = 3


@dataclass(frozen=True)
class Proposal:
    """The best detection of one volume.

    Attributes:
        box_xyxy: in source pixels.
        slice_index: the prepared slice nearest to the middle of what the detection spans.
        score: decides which proposals are kept.
    """

    image_id: str
    box_xyxy: tuple[float, float, float, float]
    slice_index: int
    score: float


class SelfTraining:
    """Proposes in rounds and draws training slices from what was proposed.

    Args:
        config: of the run.
        model: the student in training.
        store: where the volumes are prepared.
        outside: the training volumes outside the fraction.
        run: the run folder; each round leaves a file in it, from which a resumed run goes on.

    Raises:
        ConfigError: no volume lies outside the fraction, or the store's slices were sampled.
    """

    def __init__(
        self, config: TrainConfig, model: Model, store: PreparedStore, outside: Manifest, run: Path
    ) -> None:
        if not len(outside):
            raise ConfigError(
                f"self_training.size is {config.self_training.size}, but data.fraction "
                f"{config.data.fraction:g} leaves no training volume to propose lesions on; lower "
                "data.fraction, or set self_training.size=0"
            )
        if store.options.slices != "all":
            raise ConfigError(
                f"{store.folder}: prepared with sampled slices, and which slices are there tells where the "
                "hidden lesions are; for self-training prepare all slices, or set self_training.size=0"
            )
        self._config, self._model, self._store = config, model, store
        self._outside, self._folder = outside, run / FOLDER
        self._round: int | None = None
        self._sampler: SliceBatches | None = None

    def start_epoch(self, epoch: int) -> dict[str, float]:
        """Propose if it is time to, and take up the proposals of the latest round.

        Args:
            epoch: finished epochs.

        Returns:
            What the log says of a new round: ``self_training/kept``, the share of the volumes, and, where
            lesions are annotated, ``self_training/precision``, the share of the kept that hit one.

        Raises:
            CheckpointError: the run is resumed and the file of its latest round is missing or damaged.
        """
        settings = self._config.self_training
        latest = latest_round(epoch, settings.start_epoch, settings.every)
        if latest is None or latest == self._round:
            return {}
        path = self._folder / f"epoch_{latest:04d}.json"
        if latest == epoch and not path.is_file():
            write_sealed_json(path, self._propose(epoch))
        content, kept = read_proposals(path)
        self._round, self._sampler = latest, self._sampler_of(kept)
        if latest != epoch:
            return {}
        say(f"student epoch {epoch}: {len(kept)} of {len(self._outside)} volumes give a pseudo-lesion")
        return {
            f"self_training/{key}": content[key]
            for key in ("precision", "kept")
            if content.get(key) is not None
        }

    def uint8_batch(self, step: int) -> tuple[Uint8Batch, list[Tensor]] | None:
        """Return the pseudo-annotated slices of a step and their boxes, None before the first round."""
        return None if self._sampler is None else self._sampler.uint8_batch(step)

    def _propose(self, epoch: int) -> dict[str, Any]:
        """Return what the file of a round holds."""
        settings = self._config.self_training
        look = self._config.inference.model_copy(update={"slice_step": settings.slice_step})
        say(f"student epoch {epoch}: looking for lesions in {len(self._outside)} unannotated volumes")
        self._model.detector.eval()
        found = [
            volume for volume in predict_store(self._model, self._store, self._outside, look) if len(volume)
        ]
        order = sorted(found, key=lambda volume: (-float(volume.scores[0]), volume.image_id))
        kept = order[: max(1, math.floor(settings.keep_share * len(self._outside) + 0.5))]
        return {
            "format": FORMAT,
            "epoch": epoch,
            "kept": len(kept) / len(self._outside),
            "precision": self._precision(kept),
            "proposals": [asdict(self._proposal(volume)) for volume in kept],
        }

    def _proposal(self, volume: Detections) -> Proposal:
        prepared = self._store.slice_indices(volume.image_id)
        middle = float(volume.first_slice[0] + max(int(volume.num_spanned[0]) - 1, 0) / 2)
        nearest = int(prepared[np.abs(prepared - middle).argmin()])
        x1, y1, x2, y2 = volume.boxes_xyxy[0].tolist()
        return Proposal(volume.image_id, (x1, y1, x2, y2), nearest, float(volume.scores[0]))

    def _precision(self, kept: Sequence[Detections]) -> float | None:
        """Return the share of the proposals that hit an annotated lesion; None if that cannot be known."""
        if not kept or not len(self._outside.lesions):
            return None
        shapes = [self._store.plan(name).source_shape for name in self._outside.images["image_id"]]
        radius = min(self._config.selection.min_hit_radius, largest_radius(shapes))
        truth = read_truth(*challenge_tables(self._outside), radius)
        best = prediction_table(volume[:1] for volume in kept)
        return float((read_predictions(best, truth).hit_lesion >= 0).mean())

    def _sampler_of(self, kept: Sequence[Proposal]) -> SliceBatches | None:
        """Return a sampler of slices near the proposals, and far from them in the same volumes."""
        if not kept:
            return None
        lesions = {one.image_id: (Lesion(one.box_xyxy, one.slice_index, "pseudo"),) for one in kept}
        batch = self._config.batch.model_copy(
            update={
                "size": self._config.self_training.size,
                "negative_share": self._config.self_training.negative_share,
                "negatives": "background",
            }
        )
        return SliceBatches(
            self._store.relabelled(lesions),
            lesions,
            batch,
            self._config.augment,
            self._config.seed + _SEED_OFFSET,
            "self_training",
        )


def read_proposals(path: Path) -> tuple[dict[str, Any], list[Proposal]]:
    """Read the file of a round: all that it holds, and its proposals.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    content = read_round(path, FORMAT, FORMER_FORMAT, unsealed=(FORMER_FORMAT,))
    try:
        rows = [{**row, "box_xyxy": tuple(row["box_xyxy"])} for row in content["proposals"]]
        return content, [Proposal(**row) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not the proposals of a round: {error}") from error
