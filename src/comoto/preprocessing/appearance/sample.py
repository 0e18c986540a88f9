"""What the training patients of a prepared store look like: spectra and grey values, a row a patient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from comoto.defaults import APPEARANCE_PATIENTS
from comoto.errors import DatasetError
from comoto.preprocessing.appearance.spectra import PATCH, ByteImage, Floats, breast_region, patch_power
from comoto.preprocessing.store import PreparedStore
from comoto.progress import track
from comoto.records import Modality, Split
from comoto.splits.file import SplitFile

FEWEST_PATIENTS = 2
COARSE_ROWS = 256
"""Pictures are halved to about so many rows, 0.8 mm a pixel, for what is compared over grids."""
SLICES = (0.3, 0.5, 0.7)
"""Of a volume, as shares of its depth; near its ends there is little but blur."""


@dataclass(frozen=True)
class Sampling:
    """Who is looked at.

    Attributes:
        patients: at most so many are drawn.
        seed: draws patients and places.
        split: says who is a training patient; the store's manifest if None.
    """

    patients: int = APPEARANCE_PATIENTS
    seed: int = 0
    split: SplitFile | None = None


@dataclass(frozen=True)
class Appearance:
    """What was read from the training patients of a store.

    Attributes:
        store: its manifest's name.
        powers: (N, P, P), the mean power spectrum of each patient's patches.
        coarse_powers: (N, P, P), the same of pictures halved to about ``COARSE_ROWS``.
        histograms: (N, 256), the shares of grey values in each patient's breast; a row sums to 1.
        images: how many pictures they were read from.
    """

    store: str
    powers: Floats
    coarse_powers: Floats
    histograms: Floats
    images: int

    @property
    def patients(self) -> int:
        """N."""
        return len(self.powers)


def read_appearance(store: PreparedStore, modality: Modality, sampling: Sampling) -> Appearance:
    """Read spectra and grey values of training patients; validation and test patients are not looked at.

    Args:
        store: of one modality.
        modality: the expected one.
        sampling: who is looked at.

    Raises:
        DatasetError: the store holds another modality or no training patients, hardly a patch lies inside a
            breast, or the split file does not fit the store.
    """
    _refuse_other_modality(store, modality)
    ids = _by_patient(store, sampling.split)
    if not ids:
        raise DatasetError(
            f"{store.folder}: holds no training patients, and nothing else may be looked at; "
            "split the manifest with 'comoto split' and prepare it again"
        )
    names = sorted(ids)
    drawn = np.random.default_rng(sampling.seed).permutation(len(names))[: sampling.patients]
    powers, histograms, images = [], [], 0
    halvings = max(0, round(math.log2(store.config.rows / COARSE_ROWS)))
    for number in track(sorted(drawn.tolist()), f"look at {store.manifest.name}", len(drawn)):
        rng = np.random.default_rng((sampling.seed, number))
        pictures = [picture for image_id in ids[names[number]] for picture in _pictures(store, image_id)]
        usable = [(picture, found) for picture in pictures if (found := _powers(picture, halvings, rng))]
        if usable:
            powers.append(np.mean([found for _, found in usable], axis=0))
            histograms.append(_shares([picture for picture, _ in usable]))
            images += len(usable)
    if len(powers) < FEWEST_PATIENTS:
        raise DatasetError(
            f"{store.folder}: patches of {PATCH} x {PATCH} pixels fit into the breasts of {len(powers)} of "
            f"{len(drawn)} training patients, and {FEWEST_PATIENTS} are needed; prepare more patients, or a "
            "larger grid"
        )
    fine, coarse = np.moveaxis(np.array(powers), 1, 0)
    return Appearance(store.manifest.name, fine, coarse, np.array(histograms), images)


def _refuse_other_modality(store: PreparedStore, modality: Modality) -> None:
    kinds = set(store.manifest.images["modality"])
    if kinds - {modality.value}:
        raise DatasetError(
            f"{store.folder}: holds {' and '.join(sorted(kinds))} images, expected {modality.value} images "
            "alone; mammograms are named first, volumes second"
        )


def _by_patient(store: PreparedStore, split: SplitFile | None) -> dict[str, list[str]]:
    """Return the images of each training patient."""
    manifest = store.manifest if split is None else split.apply(store.manifest)
    images = manifest.split(Split.TRAIN).images
    return {str(name): list(rows) for name, rows in images.groupby("patient_id", sort=False)["image_id"]}


def _pictures(store: PreparedStore, image_id: str) -> Iterator[ByteImage]:
    """Yield a mammogram, or slices of a volume that are there wherever the lesions are."""
    planes = store.regular_planes(image_id)
    shares = SLICES if store.num_slices(image_id) > 1 else (0.5,)
    for index in sorted({int(planes[int(share * len(planes))]) for share in shares}):
        yield np.array(store.plane(image_id, index))


def _powers(picture: ByteImage, halvings: int, rng: np.random.Generator) -> tuple[Floats, Floats] | None:
    """Return the powers of a picture as it is and halved; None where patches do not fit into both."""
    fine = patch_power(picture, rng)
    if fine is None or not halvings:
        return None if fine is None else (fine, fine)
    scale = 0.5**halvings
    halved = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    coarse = patch_power(np.asarray(halved, np.uint8), rng)
    return None if coarse is None else (fine, coarse)


def _shares(pictures: Sequence[ByteImage]) -> Floats:
    counts = sum(np.bincount(picture[breast_region(picture)], minlength=256) for picture in pictures)
    return np.asarray(counts / np.sum(counts))
