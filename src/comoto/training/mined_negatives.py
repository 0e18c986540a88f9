"""Mined negatives: the slices of normal volumes that the student takes most surely for a lesion.

Volumes of the fraction are normal if they have no box and no label that tells of a lesion, as for random
negatives. Of patients outside the fraction, whose boxes nobody drew, the label of the exam tells it: no
volume of the exam may be anything but normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from comoto.checksums import write_sealed_json
from comoto.config import TrainConfig
from comoto.errors import CheckpointError, ConfigError
from comoto.inference.model import Model
from comoto.inference.prepared import score_planes
from comoto.preprocessing.sampling import SliceBatches
from comoto.progress import say
from comoto.records import ImageRecord
from comoto.tables import Float64Array
from comoto.training.cohorts import Cohort
from comoto.training.rounds import latest_round, read_round

FORMAT = "comoto-mined-negatives-1"
FOLDER = "mined_negatives"


class MinedNegatives:
    """Scores normal volumes in rounds and tells the sampler of slices what to draw.

    Args:
        config: of the run.
        model: the student in training.
        volumes: of the run.
        slices: the run's sampler.
        run: the run folder; each round leaves a file in it, from which a resumed run goes on.

    Raises:
        ConfigError: there is no normal volume.
    """

    def __init__(
        self, config: TrainConfig, model: Model, volumes: Cohort, slices: SliceBatches, run: Path
    ) -> None:
        self._settings = config.batch.mined_negatives
        self._images = normal_images(volumes, outside=self._settings.outside)
        if not self._images:
            way = "" if self._settings.outside else "set batch.mined_negatives.outside=true, or "
            raise ConfigError(
                f"batch.mined_negatives.share is {self._settings.share:g}, but no training volume is known "
                f"to be normal; {way}set batch.mined_negatives.share=0"
            )
        self._model, self._store, self._slices = model, volumes.store, slices
        self._folder = run / FOLDER
        self._round: int | None = None

    def start_epoch(self, epoch: int) -> dict[str, float]:
        """Score if it is time to, and take up the scores of the latest round.

        Args:
            epoch: finished epochs.

        Returns:
            What the log says of a new round: ``mined_negatives/drawn``, the mean score of the mined
            slices, and ``mined_negatives/mean``, that of all slices of the same volumes.

        Raises:
            CheckpointError: the run is resumed and the file of its latest round is missing or damaged.
        """
        latest = latest_round(epoch, self._settings.start_epoch, self._settings.every)
        if latest is None or latest == self._round:
            return {}
        path = self._folder / f"epoch_{latest:04d}.json"
        if latest == epoch and not path.is_file():
            say(f"student epoch {epoch}: looking for negatives in {len(self._images)} normal volumes")
            content = {"format": FORMAT, "epoch": epoch, "scores": self._scored()}
            write_sealed_json(path, content, indent=None)
        slices, scores = read_scores(path)
        highest = np.argsort(-scores, kind="stable")[: math.ceil(self._settings.top_share * len(scores))]
        highest = highest[scores[highest] > 0]
        self._round = latest
        self._slices.mine(slices[number] for number in highest)
        if latest != epoch:
            return {}
        drawn = float(scores[highest].mean()) if len(highest) else 0.0
        return {"mined_negatives/drawn": drawn, "mined_negatives/mean": float(scores.mean())}

    def _scored(self) -> dict[str, dict[str, float]]:
        """Return the best score on each slice that is looked at: image -> plane -> score."""
        self._model.detector.eval()
        return {
            image_id: {
                str(plane): score
                for plane, score in score_planes(
                    self._model, self._store, image_id, self._settings.slice_step
                ).items()
            }
            for image_id in self._images
        }


def normal_images(volumes: Cohort, *, outside: bool) -> tuple[str, ...]:
    """Return the training images that are known to be normal, sorted.

    Args:
        volumes: of the run.
        outside: also of exams outside the fraction.
    """
    chosen = [record for record in map(volumes.store.record, volumes.train) if _is_normal(record)]
    if outside:
        chosen += _of_normal_exams(volumes.outside.records())
    return tuple(sorted(record.image_id for record in chosen))


def _is_normal(record: ImageRecord) -> bool:
    return not record.lesions and not record.lacks_boxes


def _of_normal_exams(records: Iterable[ImageRecord]) -> list[ImageRecord]:
    records = list(records)
    sick = {(one.patient_id, one.study_id) for one in records if not _is_normal(one)}
    return [one for one in records if (one.patient_id, one.study_id) not in sick]


def read_scores(path: Path) -> tuple[list[tuple[str, int]], Float64Array]:
    """Read the file of a round: image id and plane of each slice, and their scores.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    content = read_round(path, FORMAT)
    try:
        rows = [
            (image_id, int(plane), float(score))
            for image_id, planes in content["scores"].items()
            for plane, score in planes.items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not the scores of a round: {error}") from error
    return [row[:2] for row in rows], np.array([row[2] for row in rows])
