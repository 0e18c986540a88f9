"""Several data sets in one batch: equal parts, and no mixing of their images."""

from collections import Counter

import numpy as np
import pytest
import torch

from comoto.config import BatchConfig, PreprocessConfig
from comoto.errors import ConfigError
from comoto.preprocessing import prepare
from comoto.preprocessing.balance import BalancedBatches, dealt
from comoto.preprocessing.sampling import SliceBatches

GRID = PreprocessConfig(rows=128, columns=64, crop_air=False)


@pytest.fixture
def stores(tmp_path, write_dicom, breast, make_manifest):
    """Three sets with the same image ids; set k has k + 2 positive patients and one normal, marked by k."""
    made = []
    for number in range(3):
        names = [f"P{k}" for k in range(number + 2)]
        rows = []
        for seed, name in enumerate([*names, "N"]):
            image = breast((128, 64), seed=seed)
            image[0, -1] = (number + 1) * 200
            path = write_dicom(tmp_path / str(number) / f"{name}.dcm", image[None], window=(510.5, 1021))
            rows.append({"image_id": name, "path": str(path), "modality": "mammogram"})
        manifest = make_manifest(rows, [(name, 5, 40, 15, 60, None) for name in names])
        made.append(prepare(manifest, tmp_path / f"store-{number}", GRID, workers=1))
    return made


def balanced(stores, **batch):
    return BalancedBatches([(one, one.image_ids) for one in stores], BatchConfig(**batch), None, 0)


def owner(image):
    return round(float(image[0, 0, -1]) * 255 / 50) - 1


@pytest.mark.parametrize(
    ("size", "share", "positives", "negatives"),
    [(6, 0.5, [1, 1, 1], [1, 1, 1]), (8, 0.25, [2, 2, 2], [0, 1, 1]), (4, 0.25, [1, 1, 1], [0, 0, 1])],
)
def test_every_batch_holds_equal_parts(stores, size, share, positives, negatives):
    drawn = balanced(stores, size=size, negative_share=share)
    for step in range(5):
        images, boxes = drawn.batch(step)
        assert images.shape == (size, 1, 128, 64)
        for kind, expected in ((True, positives), (False, negatives)):
            counts = Counter(
                owner(image) for image, found in zip(images, boxes, strict=True) if bool(len(found)) == kind
            )
            assert [counts[k] for k in range(3)] == expected


@pytest.mark.parametrize(("size", "share"), [(3, 0.0), (4, 0.25), (5, 0.5), (7, 1.0), (8, 0.25), (11, 0.5)])
def test_no_set_gets_more_than_one_image_more(stores, size, share):
    images, boxes = balanced(stores, size=size, negative_share=share).batch(0)
    counts = Counter(owner(image) for image in images)
    assert max(counts.values()) - min(counts[k] for k in range(3)) <= 1
    assert sum(len(found) == 0 for found in boxes) == round(size * share)


def test_one_set_alone_draws_as_without_balance(stores):
    batch = BatchConfig(size=5, negative_share=0.4)
    one = BalancedBatches([(stores[0], stores[0].image_ids)], batch, None, 7)
    plain = SliceBatches(stores[0], stores[0].image_ids, batch, None, 7)
    for step in range(4):
        assert torch.equal(one.batch(step)[0], plain.batch(step)[0])


def test_a_round_is_as_long_as_the_longest_set_needs(stores):
    assert balanced(stores, size=3, negative_share=0).steps_per_round == 4
    assert balanced(stores, size=6, negative_share=0).steps_per_round == 2


def test_a_batch_smaller_than_the_number_of_sets_is_refused(stores):
    with pytest.raises(ConfigError, match=r"batch\.size is 2.*3 data sets; set batch\.size to 3 or more"):
        balanced(stores, size=2)


def test_dealing():
    assert [dealt(number, 3) for number in (0, 1, 5, 6)] == [[0, 0, 0], [1, 0, 0], [2, 2, 1], [2, 2, 2]]
    assert np.sum(dealt(17, 4)) == 17
