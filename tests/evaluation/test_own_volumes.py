"""``comoto evaluate`` on a manifest's volumes, a radius in millimetres, and what the figures say of depth."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from challenge_cases import MEAN, box, boxes, labels, prediction, predictions, volume

from comoto import api
from comoto.errors import ComotoError, ConfigError, DatasetError
from comoto.evaluation import evaluate, own_volumes
from comoto.evaluation.own_volumes import HitRadius
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Manifest

A, B = volume(1), volume(2)


def manifest(tmp_path, splits=("test", "test", "train")):
    """Two volumes with a lesion each, one without, and a mammogram with one."""
    images = [
        (f"i{k}", "tomosynthesis", f"P{k}", f"S{k}", "lcc", "L", "CC", split, "x", str(tmp_path / f"{k}"), 49)
        for k, split in enumerate(splits, start=1)
    ]
    images.append(("m", "mammogram", "P9", "S9", "lcc", "L", "CC", "test", "x", str(tmp_path / "m"), 1))
    lesions = [(f"i{k}", 950.0, 950.0, 1050.0, 1050.0, 20, "mass") for k in (1, 2)]
    lesions.append(("m", 0.0, 0.0, 10.0, 10.0, None, "mass"))
    made = Manifest(
        "own", pd.DataFrame(images, columns=IMAGE_COLUMNS), pd.DataFrame(lesions, columns=LESION_COLUMNS)
    )
    made.save(tmp_path / "manifest")
    return made


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "found.csv"
    predictions(prediction(A, 0.9), prediction(B, 0.3, x=400)).to_csv(path, index=False)
    return path


def test_a_manifest_gives_what_its_tables_give(tmp_path, found):
    by_tables = evaluate(found, labels(A, B), boxes(box(A), box(B)))
    own = api.evaluate(found, manifest=manifest(tmp_path), split="test")
    assert (own.metric, own.num_volumes_all, own.num_lesions) == (by_tables.metric, 2, 2)
    assert own.metric[MEAN] == 0.5
    everything = api.evaluate(found, manifest=str(tmp_path / "manifest"), published_metric=True)
    assert everything.num_volumes_all == 3
    assert everything.published is not None


def test_the_command(tmp_path, found, comoto):
    manifest(tmp_path)
    given = [f"--predictions={found}", f"--manifest={tmp_path / 'manifest'}", "--split=test"]
    code, out, err = comoto("evaluate", *given, "--iou=0.2")
    assert code == 0
    assert "volumes, all       2 (2 with a prediction)" in out
    assert "depth: Z is the first slice of a box" in out
    assert "--iou: for mammograms only, not used here" in err
    code, _, err = comoto("evaluate", *given[:2], "--split=validation")
    assert (code, "no image is in the split validation (there are: test, train)" in err) == (2, True)


def test_the_predictions_are_never_written_over(tmp_path, found, comoto):
    manifest(tmp_path)
    before = found.read_bytes()
    given = [f"--predictions={found}", f"--manifest={tmp_path / 'manifest'}", "--overwrite"]
    for target in (found, tmp_path / "manifest" / "manifest.json"):
        code, _, err = comoto("evaluate", *given, f"--json={target}")
        assert (code, "is one of the inputs and would be lost" in err) == (2, True)
    same = tmp_path / "x.svg"
    code, _, err = comoto("evaluate", *given, f"--json={same}", f"--figure={same}")
    assert (code, "is named for two outputs" in err) == (2, True)
    assert found.read_bytes() == before


def test_incomplete_calls(tmp_path, found):
    made = manifest(tmp_path)
    with pytest.raises(ConfigError, match="give labels and boxes, or a manifest"):
        api.evaluate(found, "labels.csv", manifest=made)
    only_mammograms = made.select(made.images["modality"] == "mammogram")
    with pytest.raises(DatasetError, match=r"no volume here; .*--mammogram-predictions"):
        api.evaluate(found, manifest=only_mammograms)


@pytest.mark.parametrize(
    ("text", "value", "in_mm"),
    [
        ("100", 100.0, False),
        (5.3, 5.3, False),
        ("8.5mm", 8.5, True),
        (" 8.5 MM ", 8.5, True),
        ("12px", 12.0, False),
    ],
)
def test_radii(text, value, in_mm):
    assert HitRadius.parse(text) == HitRadius(value, in_mm)


@pytest.mark.parametrize("text", ["0", "-3", "8.5cm", "", "nan", "mm"])
def test_no_radii(text):
    with pytest.raises(ConfigError, match="expected pixels, such as 100, or millimetres"):
        HitRadius.parse(text)


def headers(monkeypatch, spacings, shape=(2000, 2000)):
    """Let the i-th volume have the i-th spacing."""

    def header(path):
        spacing = spacings[int(path.name) - 1]
        if spacing == "missing":
            raise DatasetError(f"{path}: is missing")
        return SimpleNamespace(spacing_mm=spacing, slice_mm=None, rows=shape[0], columns=shape[1])

    monkeypatch.setattr(own_volumes, "read_source_header", header)


def test_millimetres_become_pixels(tmp_path, found, monkeypatch):
    headers(monkeypatch, [(0.1, 0.1), (0.1, 0.1)])
    made = manifest(tmp_path)
    result = api.evaluate(found, manifest=made, split="test", min_radius="62mm")
    assert (result.min_radius, result.metric[MEAN]) == (pytest.approx(620), 1.0)
    assert "a least hit radius of 620 pixels is more than a tenth" in result.warnings[0]
    assert api.evaluate(found, manifest=made, split="test", min_radius="8.5mm").warnings == ()


@pytest.mark.parametrize(
    ("spacings", "message"),
    [
        ([(0.1, 0.1), (0.2, 0.2)], "is 42.5 to 85 pixels, because the images have pixels of different size"),
        ([(0.1, 0.1), None], "does not say how large a pixel is; give the radius in pixels"),
        (["missing", None], "the size of a pixel cannot be read"),
    ],
)
def test_millimetres_that_cannot_be_pixels(tmp_path, found, monkeypatch, spacings, message):
    headers(monkeypatch, spacings)
    with pytest.raises(ComotoError, match=message):
        api.evaluate(found, manifest=manifest(tmp_path), split="test", min_radius="8.5mm")


def distances(monkeypatch, slices_mm):
    """Let the i-th volume have the i-th distance of slices, and pixels of 0.1 mm."""

    def header(path):
        distance = slices_mm[int(path.name) - 1]
        if distance == "missing":
            raise DatasetError(f"{path}: is missing")
        return SimpleNamespace(spacing_mm=(0.1, 0.1), slice_mm=distance, rows=2000, columns=2000)

    monkeypatch.setattr(own_volumes, "read_source_header", header)


def test_a_tolerance_in_depth_takes_the_distance_of_slices_from_the_files(tmp_path, monkeypatch):
    """Both lesions on slice 20 are found on slice 24: 4 mm off where slices are 1 mm apart, 12 mm where 3."""
    distances(monkeypatch, [1.0, 3.0])
    off = predictions(prediction(A, 0.9, z=24), prediction(B, 0.8, z=24))
    made = manifest(tmp_path)
    result = api.evaluate(off, manifest=made, split="test", depth_tolerance="10mm", by="size")
    kinds = result.beside.whole.kinds
    assert kinds["depth_in_mm"][MEAN].value == 0.5
    assert kinds["depth_error"]["median_mm"].value == 8.0
    assert list(result.beside.groups["size"]) == ["up to 10 mm"]  # 100 pixels
    given = api.evaluate(off, manifest=made, split="test", depth_tolerance="12mm", slice_mm=3.0)
    assert given.beside.whole.kinds["depth_in_mm"][MEAN].value == 1.0  # the limit included


@pytest.mark.parametrize(
    ("slices_mm", "message"),
    [
        ([1.0, None], "2 does not say how far its slices lie apart; add --slice-mm"),
        (["missing", 1.0], r"the distance of slices cannot be read: .* is missing; add --slice-mm"),
    ],
)
def test_distances_that_nobody_knows(tmp_path, found, monkeypatch, slices_mm, message):
    distances(monkeypatch, slices_mm)
    with pytest.raises(ConfigError, match=message):
        api.evaluate(found, manifest=manifest(tmp_path), split="test", depth_tolerance="10mm")


def test_tables_know_no_millimetres(found):
    with pytest.raises(ConfigError, match="tables do not know how large a pixel is"):
        api.evaluate(found, "labels.csv", "boxes.csv", min_radius="8.5mm")


def test_a_radius_that_is_everywhere_is_said():
    small = boxes(box(A, x=60, y=30, size=(10, 10)))
    result = evaluate(predictions(prediction(A, 0.9, x=10, y=10)), labels(A), small)
    assert result.metric[MEAN] == 1.0
    assert "no box lies beyond column 65 and row 35" in result.warnings[0]
    assert (
        evaluate(predictions(prediction(A, 0.9, x=60, y=30)), labels(A), small, min_radius=5).warnings == ()
    )


def test_found_in_the_plane_at_another_depth():
    # 49 slices: a quarter is 12.25 around slice 20. A is met 20 slices too deep by the best score, B is hit.
    rows = [
        prediction(A, 0.4, z=0, depth=0),
        prediction(A, 0.8, z=30, depth=20),
        prediction(B, 0.9),
        prediction(B, 0.95, z=48),
    ]
    result = evaluate(predictions(*rows), labels(A, B), boxes(box(A), box(B)))
    assert result.depth.slices_off.tolist() == [20.0, pytest.approx(np.nan, nan_ok=True)]
    assert result.depth.in_plane.tolist() == [0, 0, 1, 1]
    assert "1 never, of these 1 found in the plane at another depth" in result.summary()
    content = json.loads(result.to_json())
    assert [lesion.get("slices_off") for lesion in content["lesions"]] == [20.0, None]
    assert content["depth"]["lesions_at_other_depth"] == 1


def test_boxes_that_span_the_stack_say_little_about_depth():
    whole = evaluate(predictions(prediction(A, 0.9, z=0, depth=48)), labels(A), boxes(box(A)))
    assert "The boxes span 98 % of their volume's slices in the median" in whole.summary()
    assert "span 98 %" in json.loads(whole.to_json())["depth"]["note"]
    thin = evaluate(predictions(prediction(A, 0.9, depth=3)), labels(A), boxes(box(A)))
    assert "in the median" not in thin.summary()
    assert "Z alone" not in thin.summary()


def test_boxes_without_depth_are_compared_by_their_first_slice():
    flat = evaluate(predictions(prediction(A, 0.9, z=0, depth=0)), labels(A), boxes(box(A)))
    assert "Boxes of Depth 0 are compared by their Z alone" in flat.summary()


def test_a_picture_over_its_own_predictions(tmp_path, found, comoto):
    before = found.read_bytes()
    drawn = ("--manifest", tmp_path / "manifest", "--image", "i1", "--predictions", found)
    answer = comoto("draw", "--out", found, "--overwrite", *drawn)
    assert answer.code == 2
    assert "one of the inputs" in answer.error
    assert found.read_bytes() == before
