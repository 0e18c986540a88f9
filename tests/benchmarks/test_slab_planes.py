"""What a slab is, and that a widened network does what it did; by hand and against the plain parts."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from comoto.config import load_train_config
from comoto.detectors.retinanet import RetinaNetDetector
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.store import PreparedStore
from tiny_exams import TINY, Exams

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def planes() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("slab_planes")
    finally:
        sys.path.remove(str(BENCHMARKS))
        sys.modules.pop("slab_planes", None)


def test_a_slab_is_the_mean_of_the_slices_around_and_ends_with_the_stack(
    planes: ModuleType, exams: Exams
) -> None:
    plain = PreparedStore(exams.stores / "bcs-dbt")
    store = planes.SlabStore(plain.folder, planes.CHANNELS, reach=1)
    name = plain.image_ids[0]
    pixels = plain.pixels(name).astype(float)
    first, second = store.plane(name, 0), store.plane(name, 1)
    np.testing.assert_array_equal(second[0], pixels[1])
    np.testing.assert_array_equal(first[1], np.rint(pixels[:2].mean(axis=0)))
    np.testing.assert_array_equal(second[1], np.rint(pixels[:3].mean(axis=0)))
    np.testing.assert_array_equal(first[2], np.rint(pixels.mean(axis=0)))
    np.testing.assert_array_equal(store.showing("slab").plane(name, 1), second[1])


def test_the_first_channel_of_a_batch_is_the_plain_batch(planes: ModuleType, exams: Exams) -> None:
    config = load_train_config("demo", TINY)
    plain = PreparedStore(exams.stores / "bcs-dbt")
    store = planes.SlabStore(plain.folder, planes.CHANNELS, reach=1)
    names = plain.manifest.split("train").images["image_id"].tolist()
    images, boxes = planes.ChannelBatches(store, names, config).uint8_batch(5)
    expected, their_boxes = SliceBatches(plain, names, config.batch, config.augment, config.seed).batch(5)
    assert images.images().shape == (len(expected), 3, *expected.shape[2:])
    torch.testing.assert_close(images.images()[:, :1], expected, rtol=0, atol=0)
    assert not torch.equal(images.images()[:, 2:], expected)
    for own, other in zip(boxes, their_boxes, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)


def test_a_widened_network_does_what_it_did(planes: ModuleType) -> None:
    settings = load_train_config("demo", TINY).detector
    old = RetinaNetDetector(settings, (64, 32)).eval()
    images = torch.rand(2, 1, 64, 32)
    others = torch.rand(2, 2, 64, 32)
    for start, shown in (
        ("thirds", images.expand(-1, 3, -1, -1)),
        ("slice", torch.cat([images, others], dim=1)),
    ):
        new = planes.SlabRetinaNet(settings, (64, 32)).eval()
        new.load_state_dict(planes.widened(old.state_dict(), start))
        with torch.no_grad():
            expected, found = old.features(images), new.features(shown)
            from_model = new.features(shown.unsqueeze(1))  # as Model hands planes over
        assert found.image_shape == from_model.image_shape == (64, 32)
        for level, values in expected.levels.items():
            torch.testing.assert_close(found.levels[level], values, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(from_model.levels[level], found.levels[level], rtol=0, atol=0)
