"""Patient splits of one manifest: nested, stratified, reproducible."""

import hashlib
import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.errors import DatasetError
from comoto.records import Manifest, Split
from comoto.splits.fractions import hold_out_validation, image_fraction, patient_fraction


def cohort(positive, negative, split="train", prefix="P", images=2):
    """Patients with ``images`` images each; the first image of a positive patient has a lesion."""
    rows, lesions = [], []
    for number in range(positive + negative):
        patient = f"{prefix}{number:04d}"
        for view in range(images):
            image_id = f"{patient}-{view}"
            rows.append(
                {
                    "image_id": image_id,
                    "modality": "mammogram",
                    "patient_id": patient,
                    "study_id": patient,
                    "view_key": "L-CC",
                    "laterality": "L",
                    "view": "CC",
                    "split": split,
                    "label": "x",
                    "path": f"/data/{image_id}",
                    "num_slices": 1,
                }
            )
        if number < positive:
            box = {"x1": 0, "y1": 0, "x2": 5, "y2": 5, "slice_index": None, "category": "Mass"}
            lesions.append({"image_id": f"{patient}-0", **box})
    columns = ["image_id", "x1", "y1", "x2", "y2", "slice_index", "category"]
    return Manifest("tiny", pd.DataFrame(rows), pd.DataFrame(lesions, columns=columns))


def joined(*manifests):
    images = pd.concat([manifest.images for manifest in manifests], ignore_index=True)
    lesions = pd.concat([manifest.lesions for manifest in manifests], ignore_index=True)
    return Manifest("tiny", images, lesions)


def count_positive(manifest, patients):
    ids = manifest.lesions["image_id"]
    return len(set(manifest.images.loc[manifest.images["image_id"].isin(ids), "patient_id"]) & set(patients))


def half_up(number):
    return math.floor(number + 0.5)


@settings(max_examples=60)
@given(
    positive=st.integers(1, 30),
    negative=st.integers(0, 40),
    seed=st.integers(0, 5),
    fractions=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=2).map(sorted),
)
def test_fractions_are_nested_stratified_and_of_the_right_size(positive, negative, seed, fractions):
    manifest = cohort(positive, negative, images=1)
    small, large = (patient_fraction(manifest, fraction, seed) for fraction in fractions)
    assert small <= large <= set(manifest.images["patient_id"])
    for fraction, chosen in zip(fractions, (small, large), strict=True):
        wanted = max(1, half_up(fraction * positive))
        assert count_positive(manifest, chosen) == wanted
        assert len(chosen) == wanted + half_up(fraction * negative)
    assert patient_fraction(manifest, 1.0, seed) == set(manifest.images["patient_id"])


def test_published_fractions():
    manifest = cohort(40, 160)
    sizes = [len(patient_fraction(manifest, fraction, 0)) for fraction in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)]
    assert sizes == [1 + 2, 2 + 8, 4 + 16, 10 + 40, 20 + 80, 200]


def test_fraction_depends_on_the_seed_and_on_nothing_else():
    manifest = cohort(20, 60)
    shuffled = Manifest("tiny", manifest.images[::-1].reset_index(drop=True), manifest.lesions[::-1])
    assert patient_fraction(manifest, 0.25, 3) == patient_fraction(shuffled, 0.25, 3)
    assert patient_fraction(manifest, 0.25, 3) != patient_fraction(manifest, 0.25, 4)


def test_the_hash_decides_the_rank():
    """Worked out apart from the code: sha256 of "fraction 7", a line feed and the patient."""
    ranked = sorted(
        (f"P{number:04d}" for number in range(10)),
        key=lambda name: hashlib.sha256(f"fraction 7\n{name}".encode()).hexdigest(),
    )
    assert patient_fraction(cohort(10, 0), 0.3, 7) == set(ranked[:3])


@pytest.mark.parametrize("fraction", [0, -0.5, 1.01])
def test_fraction_out_of_range(fraction):
    with pytest.raises(DatasetError, match="must be above 0 and at most 1"):
        patient_fraction(cohort(2, 2), fraction, 0)


def test_fraction_without_a_lesion():
    with pytest.raises(DatasetError, match="no patient has a lesion"):
        patient_fraction(cohort(0, 5), 0.5, 0)


@settings(max_examples=40)
@given(
    positive=st.integers(2, 30),
    negative=st.integers(0, 40),
    seed=st.integers(0, 5),
    share=st.floats(0.01, 0.99),
)
def test_hold_out_moves_whole_patients(positive, negative, seed, share):
    manifest = joined(cohort(positive, negative), cohort(3, 3, "test", "T"))
    held = hold_out_validation(manifest, share, seed)
    assert (held.images.groupby("patient_id")["split"].nunique() == 1).all()
    test, validation, train = (held.split(split) for split in (Split.TEST, Split.VALIDATION, Split.TRAIN))
    assert set(test.images["patient_id"]) == {f"T{number:04d}" for number in range(6)}
    moved = set(validation.images["patient_id"])
    wanted = min(positive - 1, max(1, half_up(share * positive)))
    assert count_positive(manifest, moved) == wanted
    assert len(moved) == wanted + half_up(share * negative)
    assert count_positive(manifest, train.images["patient_id"]) == positive - wanted
    pd.testing.assert_frame_equal(held.images.drop(columns="split"), manifest.images.drop(columns="split"))
    pd.testing.assert_frame_equal(held.lesions, manifest.lesions)


def test_hold_out_leaves_a_given_validation_split_alone():
    manifest = joined(cohort(4, 4), cohort(1, 1, "validation", "V"))
    assert hold_out_validation(manifest, 0.5, 0) is manifest


def test_hold_out_says_what_it_did():
    held = hold_out_validation(cohort(10, 30), 0.2, 5)
    assert held.notes == (
        "8 of 40 training patients held out for validation, 2 of them with a lesion (seed 5)",
    )


def test_hold_out_is_not_the_same_draw_as_a_fraction():
    """Otherwise the patients first held out would be the ones first chosen."""
    manifest = cohort(50, 50)
    moved = set(hold_out_validation(manifest, 0.2, 0).split(Split.VALIDATION).images["patient_id"])
    assert moved != patient_fraction(manifest, 0.2, 0)


def test_hold_out_needs_two_positive_patients():
    with pytest.raises(DatasetError, match=r"1 training patients have a lesion.*at least two"):
        hold_out_validation(cohort(1, 9), 0.2, 0)


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_hold_out_share_out_of_range(share):
    with pytest.raises(DatasetError, match="between 0 and 1"):
        hold_out_validation(cohort(3, 3), share, 0)


def test_images_can_be_counted_in_place_of_patients():
    """Worked out apart from the code: sha256 of "image fraction 7", a line feed and the image."""
    manifest = cohort(10, 10)  # 20 patients with two views; 10 of 40 images show a lesion
    with_lesion = [f"P{number:04d}-0" for number in range(10)]
    others = [name for name in manifest.images["image_id"] if name not in with_lesion]

    def ranked(names):
        return sorted(names, key=lambda name: hashlib.sha256(f"image fraction 7\n{name}".encode()).digest())

    assert image_fraction(manifest, 0.3, 7) == {*ranked(with_lesion)[:3], *ranked(others)[:9]}
    assert image_fraction(manifest, 0.1, 7) <= image_fraction(manifest, 0.3, 7)
    assert image_fraction(manifest, 1.0, 7) == set(manifest.images["image_id"])
    torn = {name[:-2] for name in image_fraction(manifest, 0.3, 7)}
    assert len(torn) > 6  # the views of a patient are torn apart: 12 images of more than 6 patients
    with pytest.raises(DatasetError, match=r"a fraction of 2 of the images"):
        image_fraction(manifest, 2, 7)
