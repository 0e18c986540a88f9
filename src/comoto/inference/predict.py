"""Many images through the model, and files that survive an interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from comoto.checksums import content_sha256
from comoto.config import InferenceConfig
from comoto.detections import Detections
from comoto.detectors.about import KnownModel
from comoto.errors import ComotoError, ConfigError
from comoto.inference.inputs import (
    Inputs,
    Job,
    PredictionRequest,
    collect_jobs,
    keys_of,
    none_of,
    refuse_missing,
)
from comoto.inference.journal import Journal
from comoto.inference.operating_point import check_point
from comoto.inference.places import Places
from comoto.inference.tables import TEXT_COLUMNS
from comoto.inference.volume import detect_mammogram, detect_volume
from comoto.locks import hold, lock_of
from comoto.operating_points import KnownPoint
from comoto.output_files import refuse_inputs_as_outputs
from comoto.progress import progress_bar, say
from comoto.records import Modality

if TYPE_CHECKING:
    from comoto.inference.model import Model


@dataclass(frozen=True)
class PredictionFiles:
    """What a prediction wrote.

    Attributes:
        table: CSV; for volumes the challenge's submission columns.
        sidecar: JSON with the same detections unrounded, and what made them.
        num_images: images in the files.
        failed: (path, reason) of images that could not be read.
        left_out: (path, reason) of what folders held besides and was not looked for, such as mammograms.
        safe: the copy of the table for spreadsheets; None if it was not asked for.
    """

    table: Path
    sidecar: Path
    num_images: int
    failed: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...] = ()
    safe: Path | None = None

    def __fspath__(self) -> str:
        """Return the table's path: the files can be named where a path to predictions can."""
        return str(self.table)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table's rows; names of patients, studies and images stay texts."""
        return pd.read_csv(self.table, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False)


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes:
        config: None takes what the model was trained with.
        safe_csv: also write a copy of the table that no spreadsheet takes for formulas.
        other_modality: take a teacher for volumes or a student for mammograms all the same.
        point: operating point below whose threshold detections are left out.
    """

    config: InferenceConfig | None = None
    safe_csv: bool = False
    other_modality: bool = False
    point: KnownPoint | None = None


_AS_TRAINED = PredictOptions()


def predict(
    model: Model, request: PredictionRequest, out: Path, options: PredictOptions = _AS_TRAINED
) -> PredictionFiles:
    """Predict on files, folders or manifests and write ``out`` (CSV) and its JSON sidecar.

    Every finished image goes to a journal beside ``out`` first. After an interruption the same call continues
    there; finished images are in ``out`` even then. Images that are in the journal and not asked for now are
    refused, images that were replaced since are predicted again.

    Args:
        model: what ``load_model`` returned.
        request: what to predict on; mammograms give a table with one row a box in image pixels.
        out: path of the CSV file.
        options: how.

    Raises:
        OutputExistsError: ``out`` exists and is complete, is an input or a folder, is being written by
            another process, or its journal is damaged, or belongs to another model, settings or inputs.
        ConfigError: the model was trained on the other modality, or the operating point was chosen on another
            model or on other settings.
        DatasetError: none of several images could be predicted on; otherwise failed images are listed in the
            result. The error of an only image is raised as it is.
    """
    config = options.config or model.config.inference
    places = check_request(model, request, out, options)
    if options.point is not None:
        check_point(options.point, model, config)
    made_by = {
        "model": model.name,
        "model_sha256": model.sha256,
        "modality": request.modality.value,
        "inference": config.model_dump(mode="json"),
        "precision": model.precision,
        **({} if model.focus is None else {"focus_head": content_sha256(model.focus.to_json())}),
        **({} if options.point is None else {"operating_point": dict(options.point.content)}),
    }
    busy = f"{out}: another prediction is writing it; wait for its end, or choose another --out"
    with hold(lock_of(out), busy):
        if not places.journal.exists():
            places.refuse_existing()
        found = collect_jobs(request)
        total = len(found.jobs) + len(found.failed)
        if not found.jobs:
            raise none_of(total, list(found.failed.values()))
        with Journal.open(places, made_by, str(request), found.identities) as journal:
            journal.left_out = tuple(found.left_out.items())
            for path, error in found.failed.items():
                journal.fail(path, str(error))
                say(f"left out: {error}")
            threshold = -inf if options.point is None else options.point.threshold
            detect = partial(_one, model, config=config, modality=request.modality, threshold=threshold)
            errors = [*found.failed.values(), *_all(detect, str(model.device), found, journal)]
            if len(errors) == total:
                journal.discard()
                raise none_of(total, errors)
            journal.finish()
    return PredictionFiles(
        out, places.sidecar, len(journal), tuple(journal.failed), tuple(journal.left_out), places.safe
    )


def check_request(
    model: Model | KnownModel, request: PredictionRequest, out: Path, options: PredictOptions = _AS_TRAINED
) -> Places:
    """Refuse what can be told without the weights and without torch; ``predict`` begins with it.

    Args:
        model: what ``load_model`` or ``known_model`` returned.
        request: as for ``predict``.
        out: likewise.
        options: likewise.

    Returns:
        The files that a prediction writes.

    Raises:
        ConfigError, DatasetError, OutputExistsError: as ``predict``.
    """
    if not options.other_modality:
        refuse_other_modality(model, request.modality)
    if options.point is not None and request.modality is Modality.MAMMOGRAM:
        raise ConfigError("operating points are chosen on volumes; leave it out for mammograms")
    places = Places.of(out, safe_csv=options.safe_csv)
    refuse_inputs_as_outputs([*places.results, places.journal], [*request.inputs, request.manifest])
    if isinstance(model, KnownModel):  # with a model, all of this is looked at in earnest, under the lock
        if not places.journal.exists():
            places.refuse_existing()
        refuse_missing(request)
    return places


def refuse_other_modality(model: Model | KnownModel, modality: Modality) -> None:
    """Check that a model was trained on the kind of images that it is to look at.

    Raises:
        ConfigError: a teacher meets volumes, or a student that never saw mammograms meets those.
    """
    if model.role == "teacher" and modality is Modality.TOMOSYNTHESIS:
        raise ConfigError(
            f"{model.name}: is a teacher, trained on mammograms; add --mammograms (mammograms=True) if the "
            "inputs are mammograms, name a student for tomosynthesis volumes, or add --other-modality to try "
            "it on volumes all the same"
        )
    single = model.role == "student" and model.config.data.single_images
    if single and modality is Modality.TOMOSYNTHESIS:
        raise ConfigError(
            f"{model.name}: is a student of single images (data.single_images); add --mammograms "
            "(mammograms=True) if the inputs are such images, or add --other-modality to try it on volumes "
            "all the same"
        )
    if single:
        return
    if model.role == "student" and modality is Modality.MAMMOGRAM and not model.config.joint.size:
        raise ConfigError(
            f"{model.name}: is a student, trained on tomosynthesis slices; name a teacher for mammograms, "
            "leave out --mammograms for volumes, or add --other-modality to try it on mammograms all the same"
        )


def _all(
    detect: Callable[[Job], dict[str, Any]], device: str, found: Inputs, journal: Journal
) -> list[ComotoError]:
    """Predict on what is not in the journal; return the errors of what could not be read."""
    errors: list[ComotoError] = []
    with progress_bar(f"predict on {device}", len(found.jobs)) as advance:
        for job in found.jobs.values():
            if job.image_id not in journal:
                try:
                    journal.add(job.image_id, detect(job))
                except ComotoError as error:
                    errors.append(error)
                    journal.fail(str(job.path), str(error))
                    if len(found.jobs) > 1:
                        say(f"left out: {error}")
            advance(1)
    return errors


def predict_volume(
    model: Model, path: Path, config: InferenceConfig | None = None, job: Job | None = None
) -> Detections:
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
    found, plan, header = detect_volume(
        model, path, job.laterality, config or model.config.inference, job.kind
    )
    patient, study, view = keys_of(job, header, plan.laterality)
    return replace(
        found,
        image_id=job.image_id,
        patient_id=patient,
        study_id=study,
        view_key=view,
        series_instance_uid=header.series_instance_uid,
        sop_instance_uid=header.sop_instance_uid,
    )


def predict_mammogram(model: Model, job: Job) -> Detections:
    """Predict on one mammogram.

    Returns:
        Detections in pixels of the image, by falling score.

    Raises:
        DicomError: the image cannot be read or is a volume.
    """
    found, _, header = detect_mammogram(model, job.path, job.laterality, job.kind)
    return replace(
        found.by_score(),
        image_id=job.image_id,
        series_instance_uid=header.series_instance_uid,
        sop_instance_uid=header.sop_instance_uid,
    )


def _one(
    model: Model, job: Job, config: InferenceConfig, modality: Modality, threshold: float
) -> dict[str, Any]:
    """Return the journal's entry of one image: plain values."""
    path = str(job.path)
    if modality is Modality.MAMMOGRAM:
        return {"image_id": job.image_id, "path": path} | predict_mammogram(model, job).to_json()
    found = predict_volume(model, job.path, config, job)
    entry = found[
        found.scores.astype(np.float64) >= threshold
    ].to_json()  # as the table's scores are compared
    boxes = entry.pop("detections")
    return {**entry, "path": path, "has_keys": job.keys is not None, "detections": boxes}
