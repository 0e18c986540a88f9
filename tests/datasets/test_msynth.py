"""M-SYNTH: doses, boxes from centres and projected masks, and the pairs that it makes with T-SYNTH."""

import numpy as np
import pytest
from releases_tsynth import Cohort, Mass, MsynthTree, TsynthTree, breast_picture

from comoto import api
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, Manifest, Modality, View
from comoto.sources import open_source

MASS = Mass(140, 190, 160, 215)
FATTY = Cohort("fatty", "5.0", "1.06")


@pytest.fixture
def tree(tmp_path) -> MsynthTree:
    """400 x 300 pixels, so that a square of 110 pixels a half-side fits."""
    return MsynthTree(tmp_path / "msynth", rows=400, columns=300)


def boxes(manifest):
    return {
        record.image_id: [(lesion.box_xyxy, lesion.slice_index) for lesion in record.lesions]
        for record in manifest.records()
    }


def test_squares_about_the_centre(tree):
    """The centre of the mass is (150, 202); the file says y = 400 - 202 = 198."""
    header = tree.dm(1, MASS)
    tree.dm(2)
    assert header.with_suffix(".loc").read_text() == "150 198 2\n"
    manifest = api.index("msynth", tree.root)
    assert boxes(manifest) == {
        "msynth-dm-fatty-5.0-1.06-001-2.22e10": [((40, 92, 260, 312), None)],
        "msynth-dm-fatty-5.0-1.06-002-2.22e10": [],
    }
    first = next(manifest.records())
    assert (first.modality, first.num_slices) == (Modality.MAMMOGRAM, 1)
    assert (first.patient_id, first.study_id) == ("fatty-001", "fatty-5.0-1.06-001")
    assert (first.laterality, first.view, first.label) == (Laterality.LEFT, View.CC, "lesion")
    assert manifest.dropped == ()


@pytest.mark.parametrize(("size", "half"), [("5.0", 110), ("7.0", 150), ("9.0", 195)])
def test_half_sides_of_the_release(tmp_path, size, half):
    tree = MsynthTree(tmp_path, rows=500, columns=500)
    tree.dm(1, Mass(240, 240, 260, 260), Cohort("fatty", size, "1.0"))
    (found,) = boxes(api.index("msynth", tmp_path)).values()
    assert found == [((250 - half, 250 - half, 250 + half, 250 + half), None)]


@pytest.mark.parametrize("inside", [200.0, 60.0])
def test_boxes_of_masks(tree, inside):
    """A label image and a projection of the mass; the first plane counts."""
    tree.dm(1, MASS)
    tree.mask(1, FATTY, MASS, inside)
    manifest = api.index("msynth", tree.root)
    assert boxes(manifest) == {"msynth-dm-fatty-5.0-1.06-001-2.22e10": [((140, 190, 160, 215), None)]}
    assert manifest.notes == ()
    squares = api.index("msynth", tree.root, boxes="loc")
    assert boxes(squares) == {"msynth-dm-fatty-5.0-1.06-001-2.22e10": [((40, 92, 260, 312), None)]}


@pytest.mark.parametrize(
    "shown",
    [Mass(10, 10, 30, 30), Mass(0, 0, 290, 390), Mass(0, 0, 0, 0)],
    ids=["elsewhere", "the whole breast", "nothing"],
)
def test_masks_that_show_something_else_are_not_believed(tree, shown):
    tree.dm(1, MASS)
    tree.mask(1, FATTY, shown)
    manifest = api.index("msynth", tree.root)
    assert boxes(manifest) == {"msynth-dm-fatty-5.0-1.06-001-2.22e10": [((40, 92, 260, 312), None)]}
    assert manifest.notes[0].startswith(
        "the mask shows no lesion where the .loc file says; the box is a square"
    )
    with pytest.raises(DatasetError, match=r"no image is left .boxes=mask, but the mask shows no lesion"):
        api.index("msynth", tree.root, boxes="mask")


def test_a_mask_of_another_size(tree):
    tree.dm(1, MASS)
    tree.dm(2)
    path = tree.mask(1, FATTY, MASS)
    path.write_bytes(b"1234")
    assert api.index("msynth", tree.root).dropped == (
        f"{path}: 4 bytes are no mask of 300 x 400 float values",
    )


def test_the_boxes_lie_on_the_masses_of_the_pictures(tree):
    """The first of two planes, tissue bright, chest wall at the left."""
    header = tree.dm(1, MASS, mask=True)
    with open_source(header) as image:
        frame = image.frame(0)
        assert (image.num_frames, image.header.photometric) == (1, "MONOCHROME2")
    assert frame.shape == (400, 300)
    ((x1, y1, x2, y2), _) = boxes(api.index("msynth", tree.root))["msynth-dm-fatty-5.0-1.06-001-2.22e10"][0]
    tissue = breast_picture(400, 300, None, 1)
    around = frame[tissue > 0.4]
    assert frame[int(y1) : int(y2), int(x1) : int(x2)].min() > np.median(around)
    assert frame[int(y1) : int(y2), int(x2)].max() < frame[int(y1) : int(y2), int(x1) : int(x2)].mean()
    assert frame[:, 0].sum() > frame[:, -1].sum()


def test_bright_air_of_the_first_pipeline_is_turned_over(tree):
    header = tree.dm(1, MASS)
    with open_source(header) as image:
        bright = image.frame(0)
    tree.raw(header, 100 - (1 + 40 * breast_picture(400, 300, MASS, 1)))
    with open_source(header) as image:
        assert image.header.photometric == "MONOCHROME1"
        np.testing.assert_allclose(image.frame(0).astype(int), bright.astype(int), atol=1)


def test_doses(tree):
    """Full dose by default; the others are the same breast with the same mass."""
    tree.dm(1, MASS)
    tree.dm(1, MASS, dose="4.44e09")
    tree.dm(1, MASS, dose="8.88e09")
    tree.dm(3, MASS, Cohort("dense", "5.0", "1.0"))
    full = api.index("msynth", tree.root)
    assert set(boxes(full)) == {
        "msynth-dm-fatty-5.0-1.06-001-2.22e10",
        "msynth-dm-dense-5.0-1.0-003-8.67e09",
    }
    assert full.notes[0] == "2 images of lower doses are left out, as chosen (dose=full)"
    everything = api.index("msynth", tree.root, dose="all")
    assert len(everything) == 4
    assert everything.images["study_id"].nunique() == 2
    assert set(boxes(api.index("msynth", tree.root, dose="4.44e09,8.88e09"))) == {
        "msynth-dm-fatty-5.0-1.06-001-4.44e09",
        "msynth-dm-fatty-5.0-1.06-001-8.88e09",
    }
    with pytest.raises(ConfigError, match=r"msynth: dose=1e10: accepted are 2\.22e10, 4\.44e09"):
        api.index("msynth", tree.root, dose="1e10")


def test_an_odd_case_without_a_centre_is_dropped_even_with_a_mask(tree):
    """A projected mask needs the centre to be told from anything else."""
    tree.dm(1, MASS, mask=True).with_suffix(".loc").unlink()
    tree.dm(2)
    assert api.index("msynth", tree.root).dropped == (
        "an odd case has a lesion, but no file says where: fatty-5.0-1.06-001 (1 in all)",
    )


def test_a_breast_is_one_patient_over_cohorts_and_both_sets(tmp_path):
    volumes, mammograms = TsynthTree(tmp_path / "tsynth"), MsynthTree(tmp_path / "msynth")
    deep = Mass(5, 30, 11, 38, 1, 4)
    for number, cohort in ((1, FATTY), (1, Cohort("fatty", "7.0", "1.0")), (201, FATTY)):
        volumes.volume(number, deep, cohort)
        mammograms.dm(number, deep, cohort, mask=True)
    three, two = api.index("tsynth", volumes.root), api.index("msynth", mammograms.root)
    assert set(three.images["patient_id"]) == set(two.images["patient_id"]) == {"fatty-001", "fatty-201"}
    assert sorted(three.images["study_id"]) == sorted(two.images["study_id"])
    for record in (*three.records(), *two.records()):
        assert record.split == ("train" if record.patient_id == "fatty-001" else "validation")
        assert [lesion.box_xyxy for lesion in record.lesions] == [(5, 30, 11, 38)]


def test_command_line(tree, tmp_path, comoto):
    tree.dm(1, MASS)
    tree.dm(3, MASS).with_suffix(".loc").unlink()
    out = tmp_path / "manifest"

    arguments = ["index", "msynth", tree.root, "--out", out, "--set", "label=density"]
    answer = comoto(*arguments, "--strict")
    assert (answer.code, answer.out) == (2, "")
    assert "an odd case has a lesion, but no file says where" in answer.err
    assert not out.exists()
    answer = comoto(*arguments)
    assert answer.code == 0
    assert answer.out.startswith("msynth: 1 images, 1 lesions\n")
    assert "dropped: an odd case has a lesion" in answer.out
    assert Manifest.load(out).images["label"].tolist() == ["fatty"]
