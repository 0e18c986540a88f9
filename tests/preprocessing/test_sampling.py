"""Training batches: pure function of (seed, step), honest positives and negatives."""

import pickle
from collections import Counter

import numpy as np
import pytest
import torch

from comoto.config import AugmentConfig, BatchConfig, PreprocessConfig
from comoto.errors import ConfigError, DatasetError
from comoto.preprocessing import prepare
from comoto.preprocessing.prepare import summary
from comoto.preprocessing.sampling import SliceBatches

GRID = PreprocessConfig(rows=128, columns=64, crop_air=False)
SLICES = 20
AUGMENT = AugmentConfig()


def marked(breast, seed, slices=SLICES):
    """Frames whose slice number and owner can be read off two pixels of the last column, which is air."""
    frames = np.stack([breast((128, 64), seed=seed)] * slices)
    frames[:, 0, -1] = np.arange(slices) * 16
    frames[:, 1, -1] = seed * 40
    return frames


@pytest.fixture
def store(tmp_path, write_dicom, breast, make_manifest):
    """Patients: A with two lesions in one volume, B and C with one each, N1 and N2 normal."""
    rows = []
    for seed, name in enumerate(("A", "B", "C", "N1", "N2")):
        path = write_dicom(tmp_path / f"{name}.dcm", marked(breast, seed), window=(510, 1020))
        rows.append({"image_id": name, "path": str(path)})
    lesions = [
        ("A", 5, 40, 15, 60, 4),
        ("A", 20, 40, 30, 60, 6),
        ("B", 5, 40, 15, 60, 10),
        ("C", 5, 70, 15, 80, 19),
    ]
    return prepare(make_manifest(rows, lesions), tmp_path / "store", GRID, workers=1)


def sampler(store, augment=None, seed=0, ids=None, **batch):
    return SliceBatches(store, ids or store.image_ids, BatchConfig(**batch), augment, seed)


def identify(image):
    """Return (seed of the volume, slice)."""
    values = (image[0] * 255).round().int()
    return int(values[1, -1]) // 10, int(values[0, -1]) // 4


def test_a_batch_has_the_promised_shape(store):
    images, boxes = sampler(store, AUGMENT, size=6, negative_share=0.5).batch(0)
    assert images.shape == (6, 1, 128, 64)
    assert images.dtype == torch.float32
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert len(boxes) == 6
    assert all(found.shape[1] == 4 and found.dtype == torch.float32 for found in boxes)
    assert [len(found) > 0 for found in boxes] == [True] * 3 + [False] * 3


def same(one, other):
    return torch.equal(one[0], other[0]) and all(
        torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True)
    )


def test_a_batch_depends_on_seed_and_step_alone(store):
    forward = sampler(store, AUGMENT, size=4)
    batches = [forward.batch(step) for step in range(12)]
    fresh = sampler(store, AUGMENT, size=4, ids=list(reversed(store.image_ids)))
    for step in (11, 3, 7, 3):
        assert same(fresh.batch(step), batches[step])
    assert not same(batches[0], batches[1])
    assert not same(sampler(store, AUGMENT, seed=1, size=4).batch(0), batches[0])
    assert same(pickle.loads(pickle.dumps(forward)).batch(5), batches[5])


def test_every_positive_patient_comes_once_per_round(store):
    drawn = sampler(store, size=2, negative_share=0)
    order = [identify(image)[0] for step in range(30) for image in drawn.batch(step)[0]]
    rounds = [tuple(order[k : k + 3]) for k in range(0, 60, 3)]
    assert all(sorted(one) == [0, 1, 2] for one in rounds)
    assert len(set(rounds)) > 1


def test_positive_slices_lie_within_reach_and_carry_all_near_lesions(store):
    # Reach 0.1 of 20 slices is 2. Lesions of A lie on 4 and 6: slices 2, 3 see one, 4 to 6 both, 7, 8 one.
    drawn = sampler(store, size=1, negative_share=0, slice_reach=0.1)
    seen = {}
    for step in range(400):
        images, boxes = drawn.batch(step)
        seen.setdefault(identify(images[0]), boxes[0].tolist())
    first, second = [5, 40, 15, 60], [20, 40, 30, 60]
    assert seen == {
        **{(0, k): [first] for k in (2, 3)},
        **{(0, k): [first, second] for k in (4, 5, 6)},
        **{(0, k): [second] for k in (7, 8)},
        **{(1, k): [[5, 40, 15, 60]] for k in range(8, 13)},
        **{(2, k): [[5, 70, 15, 80]] for k in (17, 18, 19)},
    }


def test_reach_0_takes_only_the_annotated_slice(store):
    drawn = sampler(store, size=1, negative_share=0, slice_reach=0)
    seen = {identify(drawn.batch(step)[0][0]) for step in range(100)}
    assert seen == {(0, 4), (0, 6), (1, 10), (2, 19)}


def test_negatives_are_far_from_lesions_or_of_normal_volumes_in_equal_parts(store):
    drawn = sampler(store, size=4, negative_share=1, negative_distance=0.25)
    counts = Counter()
    for step in range(500):
        images, boxes = drawn.batch(step)
        assert all(len(found) == 0 for found in boxes)
        counts.update(identify(image) for image in images)
    # Farther than 5 slices: A (4, 6) keeps 12..19, B (10) 0..4 and 16..19, C (19) 0..13.
    expected = {
        *((0, k) for k in range(12, 20)),
        *((1, k) for k in (*range(5), *range(16, 20))),
        *((2, k) for k in range(14)),
        *((owner, k) for owner in (3, 4) for k in range(20)),
    }
    assert set(counts) == expected
    assert sum(n for (owner, _), n in counts.items() if owner >= 3) == 1000
    assert sum(n for (owner, _), n in counts.items() if owner == 3) == 500
    by_patient = [sum(n for (owner, _), n in counts.items() if owner == k) for k in range(3)]
    assert max(by_patient) - min(by_patient) <= 1


@pytest.mark.parametrize(
    ("negatives", "owners"), [("background", {0, 1, 2}), ("normal", {3, 4}), ("both", {0, 1, 2, 3, 4})]
)
def test_one_kind_of_negative_can_be_asked_for(store, negatives, owners):
    drawn = sampler(store, size=2, negative_share=1, negatives=negatives)
    assert {identify(image)[0] for step in range(60) for image in drawn.batch(step)[0]} == owners


@pytest.mark.parametrize(
    ("ids", "negatives", "message"),
    [
        (("A", "B"), "normal", "no image without a lesion"),
        (("C", "N1"), "background", "far from every lesion"),
    ],
)
def test_the_kind_that_is_missing_is_named(store, ids, negatives, message):
    with pytest.raises(ConfigError, match=message):
        sampler(store, ids=ids, negatives=negatives, negative_distance=0.25 if ids[0] == "A" else 1.0)


@pytest.mark.parametrize("label", ["cancer", "Benign", "MALIGNANT", "BI-RADS 4b", "BI-RADS 5"])
def test_an_image_whose_label_alone_tells_of_a_lesion_is_neither(
    tmp_path, write_dicom, breast, make_manifest, label
):
    rows = []
    for seed, (name, said) in enumerate({"A": "cancer", "N": "normal", "U": label, "V": "BI-RADS 2"}.items()):
        path = write_dicom(tmp_path / f"{name}.dcm", marked(breast, seed), window=(510, 1020))
        rows.append({"image_id": name, "path": str(path), "label": said})
    store = prepare(make_manifest(rows, [("A", 5, 40, 15, 60, 4)]), tmp_path / "store", GRID, workers=1)
    drawn = sampler(store, size=4, negative_share=0.5)
    assert {identify(image)[0] for step in range(40) for image in drawn.batch(step)[0]} == {0, 1, 3}
    with pytest.raises(ConfigError, match="no image without a lesion"):
        sampler(store, ids=["A", "U"], negatives="normal")


def views(tmp_path, write_dicom, breast, make_manifest):
    """Patient P has three volumes with a lesion, Q has one; R is normal."""
    rows, owners = [], ("P", "P", "P", "Q", "R")
    for seed, owner in enumerate(owners):
        path = write_dicom(tmp_path / f"{seed}.dcm", marked(breast, seed), window=(510, 1020))
        rows.append({"image_id": str(seed), "patient_id": owner, "path": str(path)})
    lesions = [(str(seed), 5, 40, 15, 60, 4) for seed in range(4)]
    return prepare(make_manifest(rows, lesions), tmp_path / "store", GRID, workers=1)


def test_images_can_come_in_rounds_in_place_of_patients(tmp_path, write_dicom, breast, make_manifest):
    store = views(tmp_path, write_dicom, breast, make_manifest)
    shares = {}
    for draw, units in (("patients", 2), ("images", 4)):
        drawn = sampler(store, size=1, negative_share=0, slice_reach=0, draw=draw)
        assert drawn.steps_per_round == units
        order = [identify(drawn.batch(step)[0][0]) for step in range(120)]
        assert {plane for _, plane in order} == {4}  # the annotated slice alone
        shares[draw] = sum(owner == 3 for owner, _ in order)
        if draw == "images":
            rounds = [sorted(owner for owner, _ in order[k : k + 4]) for k in range(0, 120, 4)]
            assert all(one == [0, 1, 2, 3] for one in rounds)
    assert shares == {"patients": 60, "images": 30}


@pytest.mark.parametrize(("size", "share", "steps"), [(2, 0, 2), (8, 0.5, 1), (1, 0, 3), (2, 1, 0)])
def test_steps_until_every_positive_patient_was_drawn(store, size, share, steps):
    assert sampler(store, size=size, negative_share=share).steps_per_round == steps


def test_messages_name_the_section(store):
    with pytest.raises(ConfigError, match=r"joint\.negative_share is 0\.5.*joint\.negative_share=0"):
        SliceBatches(store, ["A", "B"], BatchConfig(negative_distance=1.0), None, 0, "joint")


@pytest.mark.parametrize(("ids", "owners"), [(("A", "B"), {0, 1}), (("A", "N1", "N2"), {3, 4})])
def test_one_kind_of_negative_fills_in_for_the_other(store, ids, owners):
    distance = 0.25 if ids == ("A", "B") else 1.0
    drawn = sampler(store, ids=ids, size=2, negative_share=1, negative_distance=distance)
    seen = {identify(image)[0] for step in range(40) for image in drawn.batch(step)[0]}
    assert seen == owners


def test_without_negatives_the_message_names_the_way_out(store):
    with pytest.raises(ConfigError, match=r"negative_share is 0\.5.*negative_share=0"):
        sampler(store, ids=["A", "B"], negative_distance=1.0)
    assert len(sampler(store, ids=["A"], size=3, negative_distance=1.0, negative_share=0).batch(0)[1]) == 3


def test_without_lesions_there_is_nothing_to_learn(store):
    with pytest.raises(DatasetError, match="none of the chosen images shows a lesion"):
        sampler(store, ids=["N1", "N2"])


def test_a_slice_must_not_be_both_positive_and_negative(store):
    with pytest.raises(ConfigError, match=r"smaller than batch\.slice_reach"):
        sampler(store, slice_reach=0.3, negative_distance=0.2)


@pytest.mark.parametrize(("size", "share", "negatives"), [(8, 0.5, 4), (8, 0, 0), (3, 0.34, 1), (8, 1, 8)])
def test_the_share_of_negatives(store, size, share, negatives):
    drawn = sampler(store, size=size, negative_share=share)
    assert sum(len(found) == 0 for found in drawn.batch(0)[1]) == negatives


def test_a_lesion_lost_to_the_crop_is_named_and_neither_positive_nor_normal(
    tmp_path, write_dicom, breast, make_manifest
):
    rows = []
    for seed, name in enumerate(("A", "H")):
        path = write_dicom(tmp_path / f"{name}.dcm", np.stack([breast((128, 64), seed=seed)] * SLICES))
        rows.append({"image_id": name, "path": str(path)})
    lesions = [("A", 5, 40, 15, 60, 10), ("H", 60, 0, 64, 5, 10)]
    config = GRID.model_copy(update={"crop_air": True})
    store = prepare(make_manifest(rows, lesions), tmp_path / "store", config, workers=1)
    assert (
        "note: H: the lesion (60.0, 0.0, 64.0, 5.0) on slice 10 lies outside the cropped breast "
        "(0% of its box is left) and cannot be trained on"
    ) in summary(store).splitlines()
    ((lesion, share),) = store.lost_lesions("H")
    assert (lesion.box_xyxy, share) == ((60, 0, 64, 5), 0)
    assert store.lost_lesions("A") == []
    drawn = sampler(store, size=1, negative_share=0)
    assert all(len(drawn.batch(step)[1][0]) == 1 for step in range(20))
    # Only its slices far from the annotation may serve as background, never the whole volume as normal.
    assert set(drawn._background) == {"A", "H"}
    assert not drawn._normal


def test_mammograms_without_lesions_are_the_negatives(tmp_path, write_dicom, breast, make_manifest):
    rows = []
    for seed, name in enumerate(("A", "B", "N1")):
        path = write_dicom(tmp_path / f"{name}.dcm", marked(breast, seed, 1), window=(510.5, 1021))
        rows.append({"image_id": name, "path": str(path), "modality": "mammogram"})
    manifest = make_manifest(rows, [("A", 5, 40, 15, 60, None), ("B", 5, 40, 15, 60, None)])
    store = prepare(manifest, tmp_path / "store", GRID, workers=1)
    drawn = sampler(store, size=4, negative_share=0.5)
    for step in range(10):
        images, boxes = drawn.batch(step)
        assert sorted(identify(image)[0] for image in images[:2]) == [0, 1]
        assert [identify(image)[0] for image in images[2:]] == [2, 2]
        assert [len(found) for found in boxes] == [1, 1, 0, 0]


def test_augmented_lesions_stay_under_their_boxes(tmp_path, write_dicom, breast, make_manifest):
    frames = np.stack([breast((160, 100), tissue=150)] * SLICES)
    frames[:, 60:90, 20:40] = 1000
    path = write_dicom(tmp_path / "a.dcm", frames, window=(500, 1000))
    manifest = make_manifest([{"image_id": "a", "path": str(path)}], [("a", 20, 60, 40, 90, 10)])
    store = prepare(manifest, tmp_path / "store", PreprocessConfig(rows=128, columns=64), workers=1)
    drawn = sampler(store, AugmentConfig(shift=0.2), size=1, negative_share=0)
    places = set()
    for step in range(50):
        images, boxes = drawn.batch(step)
        bright = (images[0, 0] > 0.6).numpy()
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(np.array(found) - boxes[0][0].numpy()).max() <= 1
        places.add(tuple(found))
    assert len(places) > 20


def test_a_share_of_the_normal_slices_is_drawn_from_the_mined_ones(store):
    drawn = sampler(store, size=4, negative_share=0.5, mined_negatives={"share": 0.75})
    steps = range(200)
    before = [drawn.batch(step)[0] for step in steps]
    drawn.mine([("N1", 3), ("N2", 8)])
    after = [drawn.batch(step)[0] for step in steps]
    seen = Counter(identify(images[3]) for images in after)  # normal slices stand last
    assert (seen[(3, 3)] + seen[(4, 8)]) / 200 == pytest.approx(0.75 + 0.25 * 2 / 40, abs=0.08)
    assert seen[(3, 3)] / seen[(4, 8)] == pytest.approx(1, rel=0.4)
    assert all(torch.equal(one[:3], other[:3]) for one, other in zip(before, after, strict=True))
    drawn.mine([])
    assert all(torch.equal(drawn.batch(step)[0], before[step]) for step in range(5))


def test_without_normal_images_all_of_their_share_is_mined(store):
    drawn = sampler(store, size=4, negative_share=0.5, ids=["A", "B"], mined_negatives={"share": 0.1})
    drawn.mine([("N1", 3)])
    for step in range(6):
        images, _ = drawn.batch(step)
        assert [identify(image)[0] == 3 for image in images[2:]] == [False, True]
