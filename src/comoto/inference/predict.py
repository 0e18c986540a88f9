"""Many images through the model, and files that survive an interruption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comoto.config import InferenceConfig
from comoto.errors import ComotoError, DatasetError
from comoto.inference.inputs import Job, collect_jobs, keys_of
from comoto.inference.journal import Journal
from comoto.inference.model import Model
from comoto.inference.volume import detect_mammogram, detect_volume, rounded
from comoto.progress import progress_bar, say
from comoto.records import Modality, Split, VolumeDetections


@dataclass(frozen=True)
class PredictionFiles:
    """What a prediction wrote.

    Attributes:
        table: CSV; for volumes the challenge's submission columns.
        twin: JSON with the same detections unrounded, and what made them.
        num_images: images in the files.
        failed: (path, reason) of images that could not be read.
        left_out: (path, reason) of what folders held besides and was not looked for, such as mammograms.
    """

    table: Path
    twin: Path
    num_images: int
    failed: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...] = ()


def predict(
    model: Model,
    inputs: Sequence[Path],
    out: Path,
    config: InferenceConfig | None = None,
    split: Split | None = None,
    *,
    modality: Modality = Modality.TOMOSYNTHESIS,
) -> PredictionFiles:
    """Predict on files, folders or manifests and write ``out`` (CSV) and its JSON twin.

    Every finished image goes to a journal beside ``out`` first. After an interruption the same call continues
    there; finished images are in ``out`` even then.

    Args:
        model: what ``load_model`` returned.
        inputs: see ``collect_jobs``.
        out: path of the CSV file.
        config: how to predict; None takes what the model was trained with.
        split: only this split of a manifest.
        modality: mammograms give a table with one row a box in image pixels.

    Raises:
        OutputExistsError: ``out`` exists and is complete, or belongs to another model or other settings.
        DatasetError: none of several images could be predicted on; otherwise failed images are listed in the
            result. The error of an only image is raised as it is.
    """
    config = config or model.config.inference
    found = collect_jobs(inputs, split, modality)
    jobs = found.jobs
    made_by = {
        "model": model.name,
        "model_sha256": model.sha256,
        "modality": modality.value,
        "inference": config.model_dump(mode="json"),
        "precision": model.precision,
    }
    with (
        Journal.open(out, made_by, found.left_out) as journal,
        progress_bar(f"predict on {model.device}", len(jobs)) as advance,
    ):
        for job in jobs:
            if job.image_id not in journal:
                try:
                    journal.add(job.image_id, _one(model, job, config, modality))
                except ComotoError as error:
                    if len(jobs) == 1:
                        journal.discard()
                        raise
                    journal.fail(job.path, str(error))
                    say(f"left out: {error}")
            advance(1)
        if len(journal.failed) == len(jobs):
            journal.discard()
            first = journal.failed[0][1]
            raise DatasetError(f"none of {len(jobs)} images could be predicted on; the first: {first}")
        journal.finish()
    return PredictionFiles(out, journal.twin, len(journal), tuple(journal.failed), tuple(found.left_out))


def predict_volume(
    model: Model, path: Path, config: InferenceConfig | None = None, job: Job | None = None
) -> VolumeDetections:
    """Predict on one tomosynthesis volume.

    Args:
        model: what ``load_model`` returned.
        path: a multi-frame DICOM file, a folder of one file per slice, or another format of a volume.
        config: how to predict; None takes what the model was trained with.
        job: what a manifest says of the file.

    Returns:
        Detections in source pixels, 0-based slices.

    Raises:
        DicomError: the image cannot be read or is no volume.
    """
    job = job or Job(str(path), path)
    found, plan, header = detect_volume(model, path, job.laterality, config or model.config.inference)
    patient, study, view = keys_of(job, header, plan.laterality)
    return VolumeDetections(
        image_id=job.image_id,
        patient_id=patient,
        study_id=study,
        view_key=view,
        boxes_xyxy=found.boxes_xyxy,
        scores=found.scores,
        first_slice=found.first_slice,
        num_spanned=found.num_spanned,
    )


def _one(model: Model, job: Job, config: InferenceConfig, modality: Modality) -> dict[str, Any]:
    """Return the journal's entry of one image: plain values."""
    if modality is Modality.MAMMOGRAM:
        found, _ = detect_mammogram(model, job.path, job.laterality)
        order = np.argsort(-found.scores, kind="stable")
        return {
            "image_id": job.image_id,
            "path": str(job.path),
            "detections": list(_plain_boxes(found.boxes_xyxy[order], found.scores[order])),
        }
    volume = predict_volume(model, job.path, config, job)
    about = {key: value for key, value in asdict(volume).items() if isinstance(value, str)}
    boxes = _plain_boxes(volume.boxes_xyxy, volume.scores)
    spans = zip(volume.first_slice.tolist(), volume.num_spanned.tolist(), strict=True)
    detections = [
        {**box, "first_slice": first, "num_spanned": spanned}
        for box, (first, spanned) in zip(boxes, spans, strict=True)
    ]
    return {**about, "path": str(job.path), "detections": detections}


def _plain_boxes(boxes: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> Iterator[dict[str, Any]]:
    for box, score in zip(boxes.tolist(), scores.tolist(), strict=True):
        yield {"box_xyxy": rounded(box), "score": score}
