"""One documented call per command of the command line.

``import comoto; comoto.predict_volume("runs/student", "volume.dcm")`` and so on; paths may be text. Every
call raises subclasses of ``comoto.errors.ComotoError`` for wrong input. Coordinates: docs/coordinates.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from comoto.records import Manifest, Modality, Split, VolumeDetections

if TYPE_CHECKING:
    from comoto.evaluation.challenge import ChallengeResult
    from comoto.inference.model import Model
    from comoto.inference.predict import PredictionFiles
    from comoto.preprocessing.store import PreparedStore
    from comoto.training.run import TrainResult

AnyPath = str | PathLike[str]

__all__ = [
    "evaluate",
    "index",
    "load_model",
    "predict",
    "predict_volume",
    "prepare",
    "train_student",
    "train_teacher",
]


def index(dataset: str, root: AnyPath) -> Manifest:
    """Read a data set's own files and tables (``comoto index``).

    Args:
        dataset: ``bcs-dbt`` or ``vindr-mammo``.
        root: the folder that holds the images and the tables.

    Returns:
        Patients, studies, views and lesions; ``.save(folder)`` writes it, ``.summary()`` describes it.
    """
    from comoto.datasets import index as run

    return run(dataset, Path(root))


def prepare(
    manifest: Manifest | AnyPath,
    out: AnyPath,
    *,
    preset: str = "small",
    overrides: Sequence[str] = (),
    workers: int = 2,
) -> PreparedStore:
    """Render every image once onto the network's grid (``comoto prepare``).

    Args:
        manifest: from ``index``, or the folder it was saved in.
        out: the store's folder; an interrupted preparation continues there.
        preset: its ``preprocess`` section is used.
        overrides: such as ``preprocess.rows=256``.
        workers: processes.
    """
    from comoto.config import load_train_config
    from comoto.preprocessing.prepare import prepare as run

    loaded = manifest if isinstance(manifest, Manifest) else Manifest.load(Path(manifest))
    return run(loaded, Path(out), load_train_config(preset, overrides).preprocess, workers=workers)


def train_teacher(
    out: AnyPath,
    *,
    preset: str = "small",
    overrides: Sequence[str] = (),
    resume: bool = False,
    stop_after: int | None = None,
) -> TrainResult:
    """Train a teacher on mammograms (``comoto train teacher``).

    Args:
        out: the run folder.
        preset: ``demo``, ``small``, ``full`` or a YAML file.
        overrides: settings such as ``data.mammograms=prepared/mammograms`` (needed).
        resume: continue the interrupted run in ``out``.
        stop_after: stop after this epoch.
    """
    from comoto.config import load_train_config
    from comoto.training.run import train_teacher as run

    config = load_train_config(preset, overrides, role="teacher")
    return run(config, Path(out), resume=resume, stop_after=stop_after)


def train_student(
    out: AnyPath,
    *,
    preset: str = "small",
    overrides: Sequence[str] = (),
    resume: bool = False,
    stop_after: int | None = None,
) -> TrainResult:
    """Train a student on tomosynthesis (``comoto train student``); arguments as ``train_teacher``.

    Args:
        out: the run folder.
        preset: ``demo``, ``small``, ``full`` or a YAML file.
        overrides: ``data.tomosynthesis=...`` is needed, ``teacher=...`` unless ``init=scratch``.
        resume: continue the interrupted run in ``out``.
        stop_after: stop after this epoch.
    """
    from comoto.config import load_train_config
    from comoto.training.run import train_student as run

    config = load_train_config(preset, overrides, role="student")
    return run(config, Path(out), resume=resume, stop_after=stop_after)


def load_model(run: AnyPath, device: str = "auto") -> Model:
    """Load the best checkpoint of a run folder, ready for ``predict_volume`` and ``predict``.

    Args:
        run: what ``comoto train`` wrote.
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
    """
    from comoto.inference.model import load_model as load

    return load(Path(run), device=device)[0]


def predict_volume(model: Model | AnyPath, path: AnyPath) -> VolumeDetections:
    """Find lesions in one tomosynthesis DICOM file.

    Args:
        model: from ``load_model``, or a run folder.
        path: a multi-frame DICOM file.

    Returns:
        Boxes in source pixels (float32 (N, 4)), scores and slices.
    """
    from comoto.inference.predict import predict_volume as run

    loaded = load_model(model) if isinstance(model, str | PathLike) else model
    return run(loaded, Path(path))


def predict(
    model: Model | AnyPath,
    inputs: Sequence[AnyPath],
    out: AnyPath,
    *,
    split: str | None = None,
    mammograms: bool = False,
    overrides: Sequence[str] = (),
) -> PredictionFiles:
    """Predict on files, folders or manifests, and write a CSV and its JSON twin (``comoto predict``).

    Args:
        model: from ``load_model``, or a run folder.
        inputs: DICOM files, folders, manifest folders.
        out: the CSV; an interrupted prediction continues there.
        split: ``train``, ``validation`` or ``test`` of the manifests.
        mammograms: the inputs are mammograms.
        overrides: settings of the ``inference`` section, such as ``slice_step=2``,
            ``aggregation.kind=nms_3d``.
    """
    from comoto.components import resolve
    from comoto.config import override
    from comoto.inference.predict import predict as run

    loaded = load_model(model) if isinstance(model, str | PathLike) else model
    config = override(loaded.config.inference, overrides)
    resolve("aggregator", config.aggregation.kind)  # an unknown name fails before a volume is read
    modality = Modality.MAMMOGRAM if mammograms else Modality.TOMOSYNTHESIS
    paths = [Path(path) for path in inputs]
    return run(loaded, paths, Path(out), config, _split(split), modality=modality)


def evaluate(
    predictions: AnyPath,
    labels: AnyPath,
    boxes: AnyPath,
    *,
    bootstrap: int = 0,
    seed: int = 0,
    min_radius: float = 100.0,
) -> ChallengeResult:
    """Score predictions with the DBTex challenge's metric (``comoto evaluate``).

    Args:
        predictions: the challenge's submission file, from any program.
        labels: one row a volume, as released with BCS-DBT.
        boxes: one row a lesion, as released with BCS-DBT.
        bootstrap: replicates over patients; 0 gives no intervals.
        seed: of the bootstrap.
        min_radius: least hit radius in pixels; the challenge's is 100.
    """
    from comoto.evaluation.challenge import evaluate as run

    return run(Path(predictions), Path(labels), Path(boxes), bootstrap, seed, min_radius)


def _split(word: str | None) -> Split | None:
    from comoto.components import suggest
    from comoto.errors import ConfigError

    if word is not None and word not in {split.value for split in Split}:
        raise ConfigError(f"unknown split '{word}'; {suggest(word, [split.value for split in Split])}")
    return None if word is None else Split(word)
