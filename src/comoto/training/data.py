"""Which patients train and which choose the checkpoint, and the stream of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from comoto.config import DataConfig, PreprocessConfig, TrainConfig
from comoto.datasets.splits import hold_out_validation, image_fraction, patient_fraction
from comoto.errors import ConfigError
from comoto.preprocessing.store import PreparedStore
from comoto.records import Manifest, Modality, Split

Batch = tuple[Any, ...]


@dataclass(frozen=True)
class Cohort:
    """The images of one store that a run uses.

    Attributes:
        train: ids of the training images, after the fraction was taken.
        outside: manifest of the training images that the fraction left out.
        validation: manifest of the held-out images.
        patients: training patients, sorted; written to the run folder.
    """

    store: PreparedStore
    train: tuple[str, ...]
    outside: Manifest
    validation: Manifest
    patients: tuple[str, ...]


def open_store(folder: Path | None, key: str, modality: Modality, config: PreprocessConfig) -> PreparedStore:
    """Open a prepared store and check that it fits the run.

    Raises:
        ConfigError: no folder is set, the store is of the other modality, or it was prepared differently.
        DatasetError: the folder is no finished store.
    """
    if folder is None:
        raise ConfigError(
            f"{key} is not set; give the folder that 'comoto prepare' wrote (--{key.removeprefix('data.')})"
        )
    store = PreparedStore(folder)
    if set(store.manifest.images["modality"]) != {modality.value}:
        raise ConfigError(f"{key}: {folder} does not hold {modality.value} images only")
    theirs, ours = store.config.model_dump(), config.model_dump()
    differing = [
        f"{name} {theirs[name]} instead of {ours[name]}" for name in ours if theirs[name] != ours[name]
    ]
    if differing:
        raise ConfigError(
            f"{key}: {folder} was prepared with {', '.join(differing)}; prepare it again with this preset, "
            "or set preprocess.* to what the store has"
        )
    return store


def open_mammograms(folders: Sequence[Path], config: PreprocessConfig) -> list[PreparedStore]:
    """Open the prepared mammograms of one or several data sets.

    Raises:
        ConfigError, DatasetError: as ``open_store``; a store is named twice.
    """
    key = "data.mammograms"
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise ConfigError(f"{key} names a store twice; name each one once")
    return [open_store(folder, key, Modality.MAMMOGRAM, config) for folder in folders or (None,)]


def choose_cohort(store: PreparedStore, config: DataConfig, fraction: float, seed: int) -> Cohort:
    """Split a store by patient; the fraction may count images instead (``data.unit``).

    A validation split of the data set is taken as it is; where there is none, training patients are held out
    first, so that the fraction never touches them. The test split is never looked at.

    Raises:
        DatasetError: there are no training or no validation images.
    """
    manifest = hold_out_validation(store.manifest, config.validation_share, seed)
    training = manifest.split(Split.TRAIN)
    if config.unit == "images":
        chosen = training.images["image_id"].isin(image_fraction(training, fraction, seed))
    else:
        chosen = training.images["patient_id"].isin(patient_fraction(training, fraction, seed))
    ids = tuple(str(name) for name in training.images["image_id"][chosen])
    patients = tuple(sorted(set(training.images["patient_id"][chosen])))
    return Cohort(store, ids, training.select(~chosen), manifest.split(Split.VALIDATION), patients)


def mammogram_cohorts(config: TrainConfig) -> dict[str, Cohort]:
    """Open the prepared mammograms and choose who trains and validates; all training patients are used.

    Returns:
        ``mammograms``, or ``mammograms 1`` and so on in the order of ``data.mammograms``.

    Raises:
        ConfigError, DatasetError: as ``open_mammograms`` and ``choose_cohort``.
    """
    stores = open_mammograms(config.data.mammograms, config.preprocess)
    names = ["mammograms"] if len(stores) == 1 else [f"mammograms {n}" for n in range(1, len(stores) + 1)]
    return {
        name: choose_cohort(store, config.data, 1.0, config.seed)
        for name, store in zip(names, stores, strict=True)
    }


def held_out_elsewhere(volumes: Cohort, mammograms: Iterable[Cohort]) -> list[str]:
    """Return the patients whose mammograms train although their volumes validate or test, sorted.

    Equal names need not be equal people: two data sets may both count from 1.
    """
    test = volumes.store.manifest.split(Split.TEST).images["patient_id"]
    held_out = {*test, *volumes.validation.images["patient_id"]}
    return sorted(held_out & {name for cohort in mammograms for name in cohort.patients})


def drawn_from(cohorts: Sequence[Cohort]) -> list[tuple[PreparedStore, tuple[str, ...]]]:
    """Return what ``BalancedSampler`` draws from."""
    return [(cohort.store, cohort.train) for cohort in cohorts]


def laid_out(images: Tensor) -> Tensor:
    """Return the batch in the memory layout in which convolutions are fastest."""
    return images.contiguous(memory_format=torch.channels_last)


class BatchStream(Dataset[Batch]):
    """Item k is the batch of step k, a pure function of k: a resumed run sees the same batches."""

    def __init__(self, make: Callable[[int], Batch], steps: Sequence[int]) -> None:
        self._make = make
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Batch:
        return self._make(self._steps[index])


def stream(make: Callable[[int], Batch], steps: range, workers: int, *, pin: bool) -> Iterator[Batch]:
    """Yield the batches of some steps, made ahead in ``workers`` processes.

    Making a batch must not call OpenCV, which hangs in a process that was forked beside its threads.

    Args:
        make: step -> batch.
        steps: which steps.
        workers: processes; 0 makes each batch when it is needed.
        pin: page-lock the tensors, for faster copies to a GPU.
    """
    loader = DataLoader(
        BatchStream(make, steps),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        prefetch_factor=2 if workers else None,
    )
    return iter(loader)
