"""The prepared store: contents, resuming, refusals, and broken files."""

import json
import sys

import numpy as np
import pytest

from comoto.checksums import read_json_object, write_sealed_json
from comoto.config import PreprocessConfig
from comoto.dicom.read import DicomImage
from comoto.errors import ConfigError, DatasetError, OutputExistsError
from comoto.preprocessing import Plan, PreparedStore, PrepareOptions, plan_image, prepare
from comoto.preprocessing.slices import (
    distance_to_nearest,
    near_lesions,
    slices_to_prepare,
)
from comoto.records import Laterality, Lesion, Modality, Split

SMALL = PreprocessConfig(rows=128, columns=64)


@pytest.fixture
def volumes(tmp_path, write_dicom, breast, make_manifest):
    """Three volumes of 12 slices: a left and a right one with a lesion, and a normal one."""
    rows, lesions = [], [("left", 20, 60, 40, 90, 5), ("right/1", 60, 60, 80, 90, 2)]
    for name, side in (("left", "L"), ("right/1", "R"), ("normal", "L")):
        frames = np.stack([breast(side=side, seed=k) for k in range(12)])
        path = write_dicom(tmp_path / "files" / f"{name[:4]}.dcm", frames, window=(450, 500))
        rows.append({"image_id": name, "path": str(path), "laterality": side, "num_slices": 12})
    return make_manifest(rows, lesions)


def test_other_lesions_on_the_same_planes(tmp_path, volumes):
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    mine = Lesion((30.0, 70.0, 50.0, 100.0), 7, "pseudo")
    other = store.relabelled({"normal": (mine,), "left": ()})
    assert set(other.image_ids) == set(other.manifest.images["image_id"]) == {"normal", "left"}
    boxes, slices = other.lesions_on_grid("normal")
    assert boxes == pytest.approx(store.plan("normal").boxes_to_grid([mine.box_xyxy]))
    assert slices.tolist() == [7]
    assert len(other.lesions_on_grid("left")[0]) == 0
    assert np.array_equal(other.pixels("normal"), store.pixels("normal"))
    assert list(next(iter(other.manifest.split(Split.TRAIN).records())).lesions) in ([], [mine])
    with pytest.raises(DatasetError, match="holds no image 'right/1'"):
        other.record("right/1")
    assert [len(store.record(name).lesions) for name in store.image_ids] == [1, 1, 0]  # untouched


def damage(manifest, image_id):
    path = next(record.path for record in manifest.records() if record.image_id == image_id)
    path.write_bytes(path.read_bytes()[:-5000])
    return path


def test_planes_are_the_rendered_frames(tmp_path, volumes):
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    assert store.image_ids == ("left", "right/1", "normal")
    for record in volumes.records():
        with DicomImage(record.path) as image:
            plan = plan_image(image, record.laterality, record.modality, SMALL)
            expected = np.stack([plan.render(frame) for frame in image.frames()])
        assert store.plan(record.image_id) == plan
        assert np.array_equal(store.pixels(record.image_id), expected)
        assert isinstance(store.pixels(record.image_id), np.memmap)
        assert store.num_slices(record.image_id) == 12
        assert store.slice_indices(record.image_id).tolist() == list(range(12))


def test_lesions_come_on_the_grid(tmp_path, volumes):
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    boxes, slices = store.lesions_on_grid("right/1")
    crop, _mirror, resize = store.plan("right/1").to_grid.steps
    # Source columns 60..80 of 100, rows 60..90: crop, then mirror by hand, then scale by hand.
    width = crop.right - crop.left
    x = np.array([width - (80 - crop.left), width - (60 - crop.left)]) * resize.to_columns / resize.columns
    y = np.array([60 - crop.top, 90 - crop.top]) * resize.to_rows / resize.rows
    assert boxes[0] == pytest.approx([x[0], y[0], x[1], y[1]], abs=1e-4)
    assert boxes.dtype == np.float32
    assert slices.tolist() == [2]
    empty, none = store.lesions_on_grid("normal")
    assert empty.shape == (0, 4)
    assert none.shape == (0,)


def test_a_store_opens_again(tmp_path, volumes):
    prepare(volumes, tmp_path / "store", SMALL, workers=1)
    store = PreparedStore(tmp_path / "store")
    assert store.config == SMALL
    assert store.manifest.images.equals(volumes.images)
    assert store.manifest.lesions.equals(volumes.lesions)
    with pytest.raises(DatasetError, match="no image 'other'"):
        store.pixels("other")


def test_two_processes_make_the_same_store(tmp_path, volumes):
    one = prepare(volumes, tmp_path / "one", SMALL, workers=1)
    two = prepare(volumes, tmp_path / "two", SMALL, workers=2)
    for path in sorted(one.folder.rglob("*.*")):
        if path.is_file():
            assert path.read_bytes() == (two.folder / path.relative_to(one.folder)).read_bytes(), path


def stamps(store):
    """When each image's record and planes were written."""
    images = {path.name: path.stat().st_mtime_ns for path in (store.folder / "images").iterdir()}
    planes = {name: store.planes_path(name).stat().st_mtime_ns for name in store.image_ids}
    return images | planes


def test_finished_images_are_not_rendered_again(tmp_path, volumes):
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    before = stamps(store)
    records = ("left.json", "normal.json", "right%2F1.json")
    assert sorted(before) == sorted([*records, "left", "normal", "right/1"])
    store.planes_path("left").unlink()
    with pytest.raises(DatasetError, match="1 prepared images are missing, first left"):
        PreparedStore(store.folder)
    after = stamps(prepare(volumes, tmp_path / "store", SMALL, workers=1))
    assert {name for name in after if after[name] != before.get(name)} == {"left"}


def test_planes_that_were_cut_are_rendered_again(tmp_path, volumes):
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    whole = store.planes_path("left").read_bytes()
    store.planes_path("left").write_bytes(whole[:-100])
    prepare(volumes, tmp_path / "store", SMALL, workers=1)
    assert store.planes_path("left").read_bytes() == whole


def test_a_changed_source_file_is_rendered_again(tmp_path, volumes, write_dicom, breast):
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    old = store.pixels("left").copy()
    path = store.record("left").path
    write_dicom(path, np.stack([breast(seed=k + 50) for k in range(12)]), window=(450, 600))
    new = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    assert new.plan("left").window == (150, 750)
    assert not np.array_equal(new.pixels("left"), old)


def test_an_image_interrupted_while_it_is_rendered_again_does_not_pass_for_finished(
    tmp_path, volumes, write_dicom, breast, monkeypatch
):
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    write_dicom(store.record("left").path, np.stack([breast(seed=k + 50) for k in range(12)]))

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # The package exports the function of the module's name, so the module is taken from its table.
        patch.setattr(sys.modules["comoto.preprocessing.render"], "write_planes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(volumes, tmp_path / "store", SMALL, workers=1)
    with pytest.raises(DatasetError, match="not finished"):
        PreparedStore(tmp_path / "store")
    assert len(prepare(volumes, tmp_path / "store", SMALL, workers=1)) == 3


def test_other_settings_in_the_same_folder_are_refused_by_name(tmp_path, volumes):
    prepare(volumes, tmp_path / "store", SMALL, workers=1)
    other = SMALL.model_copy(update={"rows": 256})
    with pytest.raises(ConfigError, match="rows 128 there, 256 asked"):
        prepare(volumes, tmp_path / "store", other, workers=1)
    with pytest.raises(ConfigError, match="slices all there, sampled asked"):
        prepare(volumes, tmp_path / "store", SMALL, PrepareOptions(slices="sampled"), workers=1)


def test_foreign_folders_are_left_alone(tmp_path, volumes, make_manifest):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(OutputExistsError, match="not empty"):
        prepare(volumes, tmp_path / "mine", SMALL, workers=1)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(OutputExistsError, match="is a file"):
        prepare(volumes, tmp_path / "mine" / "thesis.txt", SMALL, workers=1)
    prepare(volumes, tmp_path / "store", SMALL, workers=1)
    other = make_manifest([{"image_id": "a", "path": "nowhere"}], name="other set")
    with pytest.raises(OutputExistsError, match="holds images of 'made', not of 'other set'"):
        prepare(other, tmp_path / "store", SMALL, workers=1)


def test_a_broken_file_does_not_stop_the_others(tmp_path, volumes):
    path = damage(volumes, "left")
    with pytest.raises(DatasetError, match="1 of 3 images cannot be prepared") as caught:
        prepare(volumes, tmp_path / "store", SMALL, workers=2)
    assert str(path) in str(caught.value)
    assert "--skip-broken" in str(caught.value)
    done = sorted(file.name for file in (tmp_path / "store" / "images").iterdir())
    assert done == ["normal.json", "right%2F1.json"]
    assert list(json.loads((tmp_path / "store" / "broken.json").read_text())) == ["left"]
    with pytest.raises(DatasetError, match="not finished"):
        PreparedStore(tmp_path / "store")


def test_broken_files_can_be_left_out_with_a_note(tmp_path, volumes):
    damage(volumes, "left")
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1, skip_broken=True)
    assert store.image_ids == ("right/1", "normal")
    assert len(store.manifest.lesions) == 1
    assert store.manifest.notes[-1].startswith("left out left: ")
    damage(volumes, "right/1")
    damage(volumes, "normal")
    with pytest.raises(DatasetError, match="none of 3"):
        prepare(volumes, tmp_path / "new", SMALL, workers=1, skip_broken=True)


@pytest.mark.parametrize(
    ("row", "lesion", "what"),
    [
        ({"num_slices": 13}, None, "holds 12 slices, the table says 13"),
        ({}, ("bad", 20, 60, 40, 90, 12), "slice 12, but .* has slices 0 to 11"),
        ({}, ("bad", 20, 60, 40, 90, None), "names no slice"),
        ({}, ("bad", 100, 60, 140, 90, 3), "outside the image of 100 x 160"),
        ({"path": "/nowhere/x.dcm"}, None, "/nowhere/x.dcm: no such file"),
        ({"modality": "mammogram"}, None, "mammogram was expected"),
    ],
)
def test_a_table_that_contradicts_the_file_is_refused(tmp_path, volumes, make_manifest, row, lesion, what):
    path = str(next(volumes.records()).path)
    manifest = make_manifest([{"image_id": "bad", "path": path} | row], [lesion] if lesion else [])
    with pytest.raises(DatasetError, match=what):
        prepare(manifest, tmp_path / "store", SMALL, workers=1)


def test_damaged_stores_are_refused(tmp_path, volumes):
    with pytest.raises(DatasetError, match=r"no store\.json"):
        PreparedStore(tmp_path)
    store = prepare(volumes, tmp_path / "store", SMALL, workers=1)
    settings = read_json_object(store.folder / "store.json", DatasetError, "")
    write_sealed_json(store.folder / "store.json", settings | {"format": "comoto-store-0"})
    with pytest.raises(DatasetError, match="comoto-store-0"):
        PreparedStore(store.folder)
    (store.folder / "store.json").write_text("{")
    with pytest.raises(DatasetError, match="JSON"):
        PreparedStore(store.folder)


def test_sampled_slices_by_hand():
    options = PrepareOptions(slices="sampled", step=10, reach=0.1)
    # Of 40 slices every tenth from 5 on, and 4 slices on either side of the lesion on 17.
    assert slices_to_prepare(40, [17], options).tolist() == [5, *range(13, 22), 25, 35]
    assert slices_to_prepare(40, [], options).tolist() == [5, 15, 25, 35]
    assert slices_to_prepare(1, [0], options).tolist() == [0]
    assert len(slices_to_prepare(3, [], options)) == 1
    assert slices_to_prepare(3, [1], PrepareOptions()).tolist() == [0, 1, 2]


def test_slice_distances_by_hand():
    assert distance_to_nearest([0, 5, 9], [2, 8]).tolist() == [2, 3, 1]
    assert near_lesions([0, 4, 6, 8, 9], [2, 8], 20, 0.1).tolist() == [True, True, True, True, True]
    assert near_lesions([5, 11], [2, 8], 20, 0.1).tolist() == [False, False]
    assert near_lesions([0, 12, 13, 14], [8], 20, 0.25).tolist() == [False, True, True, False]
    assert near_lesions([3, 4], [], 20, 0.25).tolist() == [False, False]
    assert near_lesions([3, 4], [], 20, 1.0).tolist() == [False, False]


def test_a_sampled_store_knows_the_slice_of_each_plane(tmp_path, volumes):
    options = PrepareOptions(slices="sampled", step=6, reach=0.1)
    store = prepare(volumes, tmp_path / "store", SMALL, options, workers=1)
    assert store.slice_indices("left").tolist() == [3, 4, 5, 6, 9]
    assert store.slice_indices("normal").tolist() == [3, 9]
    every = prepare(volumes, tmp_path / "all", SMALL, workers=1)
    assert np.array_equal(store.pixels("left"), every.pixels("left")[[3, 4, 5, 6, 9]])
    assert store.num_slices("left") == 12
    assert store.regular_planes("left").tolist() == [0, 4]  # slices 3 and 9, with or without a lesion
    assert store.regular_planes("normal").tolist() == [0, 1]
    assert every.regular_planes("left").tolist() == list(range(12))


def test_a_new_lesion_adds_its_slices_to_a_sampled_store(tmp_path, volumes, make_manifest):
    options = PrepareOptions(slices="sampled", step=6, reach=0.0)
    prepare(volumes, tmp_path / "store", SMALL, options, workers=1)
    rows = volumes.images.to_dict("records")
    more = make_manifest(rows, [("normal", 20, 60, 40, 90, 0)])
    store = prepare(more, tmp_path / "store", SMALL, options, workers=1)
    assert store.slice_indices("normal").tolist() == [0, 3, 9]
    assert store.slice_indices("left").tolist() == [3, 9]


def test_a_lesion_outside_the_crop_is_not_on_the_grid(tmp_path, volumes, make_manifest):
    path = str(next(volumes.records()).path)
    manifest = make_manifest([{"image_id": "a", "path": path}], [("a", 90, 0, 100, 10, 5)])
    store = prepare(manifest, tmp_path / "store", SMALL, workers=1)
    assert store.lesions_on_grid("a")[0].shape == (0, 4)


def test_mammograms_are_volumes_of_one_plane(tmp_path, write_dicom, breast, make_manifest):
    path = write_dicom(tmp_path / "m.dcm", breast(side="R")[None])
    row = {"image_id": "m", "path": str(path), "modality": "mammogram", "laterality": "R", "num_slices": 1}
    store = prepare(make_manifest([row], [("m", 60, 60, 80, 90, None)]), tmp_path / "s", SMALL, workers=1)
    assert store.pixels("m").shape == (1, *store.plan("m").grid_shape)
    assert store.lesions_on_grid("m")[1].tolist() == [0]
    assert store.record("m").modality is Modality.MAMMOGRAM
    assert store.plan("m").laterality is Laterality.RIGHT
    assert isinstance(store.plan("m"), Plan)
