"""Which patients train and which choose the checkpoint; decided before torch is imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from comoto.config import DataConfig, PreprocessConfig, TrainConfig
from comoto.errors import ConfigError, DatasetError
from comoto.preprocessing.store import PreparedStore
from comoto.progress import say
from comoto.records import Manifest, Modality, Split
from comoto.splits.file import SplitFile, load_split_file
from comoto.splits.fractions import hold_out_validation, image_fraction, patient_fraction


@dataclass(frozen=True)
class Cohort:
    """The images of one store that a run uses.

    Attributes:
        train: ids of the training images, after the fraction was taken.
        outside: manifest of the training images that the fraction left out.
        validation: manifest of the held-out images.
        patients: training patients, sorted; written to the run folder.
        split: the split file that chose them, if one did.
        people: the same patients by the split file's names, which have the set in front where several sets
            were split together; written to the run folder too. Empty without a split file.
    """

    store: PreparedStore
    train: tuple[str, ...]
    outside: Manifest
    validation: Manifest
    patients: tuple[str, ...]
    split: SplitFile | None = None
    people: tuple[str, ...] = ()


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
        hint = (
            ""
            if modality is Modality.MAMMOGRAM
            else "; data.single_images=true trains a student on mammograms"
        )
        raise ConfigError(f"{key}: {folder} does not hold {modality.value} images only{hint}")
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


def open_student_store(folder: Path | None, key: str, config: TrainConfig) -> PreparedStore:
    """Open what a student learns or is tested on: volumes, or single images as volumes of one slice.

    Args:
        folder: of the store.
        key: the setting that names it.
        config: of the student; ``data.single_images`` says which of the two.

    Raises:
        ConfigError, DatasetError: as ``open_store``.
    """
    if config.data.single_images:
        return open_store(folder, key, Modality.MAMMOGRAM, config.preprocess).as_volumes()
    return open_store(folder, key, Modality.TOMOSYNTHESIS, config.preprocess)


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
    first, so that the fraction never touches them. The test split is never looked at. A split file
    (``data.split_file``) decides all of this instead.

    Raises:
        ConfigError: the split file has no such fraction, or the fraction counts images.
        DatasetError: there are no training or no validation images, or the split file does not fit the store.
    """
    if config.split_file is not None:
        return _telling_unboxed(_cohort_of_file(store, config, config.split_file, fraction))
    manifest = hold_out_validation(store.manifest, config.validation_share, seed)
    training = manifest.split(Split.TRAIN)
    if config.unit == "images":
        chosen = training.images["image_id"].isin(image_fraction(training, fraction, seed))
    else:
        chosen = training.images["patient_id"].isin(patient_fraction(training, fraction, seed))
    ids = tuple(str(name) for name in training.images["image_id"][chosen])
    patients = tuple(sorted(set(training.images["patient_id"][chosen])))
    return _telling_unboxed(
        Cohort(store, ids, training.select(~chosen), manifest.split(Split.VALIDATION), patients)
    )


def _telling_unboxed(cohort: Cohort) -> Cohort:
    """Return a cohort after saying which of its images no batch can use."""
    unboxed = [name for name in cohort.train if cohort.store.record(name).lacks_boxes]
    if unboxed:
        say(
            f"{cohort.store.folder}: the labels of {len(unboxed)} training images tell of a lesion that no "
            f"box shows ({', '.join(unboxed[:3])}{', ...' if len(unboxed) > 3 else ''}): they are drawn "
            "neither as images with a lesion nor as normal ones"
        )
    return cohort


def _cohort_of_file(store: PreparedStore, config: DataConfig, path: Path, fraction: float) -> Cohort:
    """Choose by a split file.

    Raises:
        ConfigError, DatasetError: as ``choose_cohort``.
    """
    if config.unit == "images":
        raise ConfigError("data.unit=images does not go with data.split_file, which splits patients")
    split = load_split_file(path)
    names = split.names_in(store.manifest)
    is_training = names.isin(split.part(Split.TRAIN))
    chosen = names.isin(split.fraction(fraction))
    manifest = split.apply(store.manifest)
    validation = manifest.split(Split.VALIDATION)
    for part, rows in (("training", chosen), ("validation", manifest.images["split"] == "validation")):
        if not rows.any():
            raise DatasetError(
                f"{path}: none of its {part} patients is in {store.folder}; split that set too"
            )
    ids = tuple(str(name) for name in manifest.images["image_id"][chosen])
    outside = manifest.select(is_training & ~chosen)
    patients = tuple(sorted(set(manifest.images["patient_id"][chosen])))
    return Cohort(store, ids, outside, validation, patients, split, tuple(sorted(set(names[chosen]))))


def mammogram_cohorts(config: TrainConfig) -> dict[str, Cohort]:
    """Open the prepared mammograms and choose who trains and validates; all training patients are used.

    Returns:
        ``mammograms``, or ``mammograms 1`` and so on in the order of ``data.mammograms``.

    Raises:
        ConfigError, DatasetError: as ``open_mammograms`` and ``choose_cohort``.
    """
    if config.joint.size and not config.data.mammograms:
        raise ConfigError(
            f"data.mammograms is not set, but joint.size={config.joint.size} puts mammograms into the "
            "student's batches; give the folder that 'comoto prepare' wrote (--mammograms), "
            "or train on slices alone (--set joint.size=0)"
        )
    stores = open_mammograms(config.data.mammograms, config.preprocess)
    names = ["mammograms"] if len(stores) == 1 else [f"mammograms {n}" for n in range(1, len(stores) + 1)]
    return {
        name: choose_cohort(store, config.data, 1.0, config.seed)
        for name, store in zip(names, stores, strict=True)
    }


def held_out_elsewhere(volumes: Cohort, mammograms: Iterable[Cohort]) -> list[str]:
    """Return the patients whose mammograms train although their volumes validate or test, sorted.

    Equal names need not be equal people: two data sets may both count from 1. A split file knows who is who
    and has nobody in two parts, so there is nothing to find.
    """
    if volumes.split is not None:
        return []
    test = volumes.store.manifest.split(Split.TEST).images["patient_id"]
    held_out = {*test, *volumes.validation.images["patient_id"]}
    return sorted(held_out & {name for cohort in mammograms for name in cohort.patients})


def drawn_from(cohorts: Sequence[Cohort]) -> list[tuple[PreparedStore, tuple[str, ...]]]:
    """Return what ``BalancedBatches`` draws from."""
    return [(cohort.store, cohort.train) for cohort in cohorts]
