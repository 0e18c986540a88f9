"""Splits of one manifest by patient: nested low-data fractions and held-out validation, reproducible.

Splits over several data sets, kept as files, are in ``make.py``. Patients are ranked by a
hash of seed and patient, so a split depends neither on the order of the tables nor on a library's random
numbers, and a patient keeps the rank when others are added.
"""

from __future__ import annotations

from comoto.errors import DatasetError
from comoto.records import Manifest, Split
from comoto.splits.assign import nearest, ranked_by_hash


def patient_fraction(manifest: Manifest, fraction: float, seed: int) -> set[str]:
    """Choose a share of the patients; a smaller share of the same seed lies inside a larger one.

    Patients with and without a lesion are drawn separately, each rounded to the nearest whole number, so the
    share of positive patients is kept. At least one patient with a lesion is chosen.

    Args:
        manifest: all of its patients count; pass ``manifest.split(Split.TRAIN)`` for training patients.
        fraction: above 0, up to 1.
        seed: another seed gives another order of the patients.

    Returns:
        The patients' identifiers.

    Raises:
        DatasetError: the fraction is out of range, or no patient has a lesion.
    """
    return _fraction(manifest, fraction, f"fraction {seed}", "patient_id")


def image_fraction(manifest: Manifest, fraction: float, seed: int) -> set[str]:
    """Choose a share of the images, as published; views of one patient may be torn apart.

    Everything else is as in ``patient_fraction``, with images in place of patients.

    Returns:
        The images' identifiers.

    Raises:
        DatasetError: the fraction is out of range, or no image has a lesion.
    """
    return _fraction(manifest, fraction, f"image fraction {seed}", "image_id")


def hold_out_validation(manifest: Manifest, share: float, seed: int) -> Manifest:
    """Move a share of the training patients to validation, unless there is a validation split already.

    Patients move with all of their images; those with and without a lesion are drawn separately. At least one
    patient with a lesion moves and at least one stays.

    Args:
        manifest: of all splits; test patients are not touched.
        share: of the training patients, between 0 and 1.
        seed: another seed moves other patients.

    Raises:
        DatasetError: the share is out of range, or fewer than two training patients have a lesion.
    """
    if (manifest.images["split"] == Split.VALIDATION.value).any():
        return manifest
    if not 0 < share < 1:
        raise DatasetError(f"a validation share of {share:g}; it must lie between 0 and 1")
    positive, negative = _ranked(manifest.split(Split.TRAIN), f"validation {seed}")
    if len(positive) < 2:
        raise DatasetError(
            f"{manifest.name}: {len(positive)} training patients have a lesion; holding out a validation "
            "split needs at least two, or a data set that comes with one"
        )
    moved_positive = positive[: min(len(positive) - 1, max(1, nearest(share * len(positive))))]
    moved = moved_positive + negative[: nearest(share * len(negative))]
    images = manifest.images.copy()
    images.loc[images["patient_id"].isin(moved), "split"] = Split.VALIDATION.value
    note = (
        f"{len(moved)} of {len(positive) + len(negative)} training patients held out for validation, "
        f"{len(moved_positive)} of them with a lesion (seed {seed})"
    )
    return Manifest(manifest.name, images, manifest.lesions, (*manifest.notes, note))


def _fraction(manifest: Manifest, fraction: float, salt: str, unit: str) -> set[str]:
    if not 0 < fraction <= 1:
        what = "images" if unit == "image_id" else "patients"
        raise DatasetError(f"a fraction of {fraction:g} of the {what}; it must be above 0 and at most 1")
    positive, negative = _ranked(manifest, salt, unit)
    if not positive:
        raise DatasetError(f"{manifest.name}: no patient has a lesion, so no fraction can hold one")
    chosen = positive[: max(1, nearest(fraction * len(positive)))]
    return set(chosen + negative[: nearest(fraction * len(negative))])


def _ranked(manifest: Manifest, salt: str, unit: str = "patient_id") -> tuple[list[str], list[str]]:
    """Return the patients (or images) with and without a lesion, each in the order of drawing."""
    images = manifest.images
    has_lesion = images["image_id"].isin(manifest.lesions["image_id"])
    positive = set(images.loc[has_lesion, unit])
    ranked = ranked_by_hash(images[unit], salt)
    return [name for name in ranked if name in positive], [name for name in ranked if name not in positive]
