"""T-SYNTH: C-views and volumes, boxes from masks and from centres, what is dropped."""

import sys

import numpy as np
import pytest
from releases_tsynth import Cohort, Mass, TsynthTree

from comoto import api
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, Manifest, Modality, Split, View
from comoto.sources import open_source

MASS = Mass(6, 10, 12, 20)
DEEP = Mass(5, 30, 11, 38, first=1, last=4)


@pytest.fixture
def tree(tmp_path) -> TsynthTree:
    """Cases 1 and 2 as C-views, case 3 as a volume, case 201 and 251 of another cohort."""
    tree = TsynthTree(tmp_path / "tsynth")
    tree.cview(1, MASS)
    tree.cview(2)
    tree.volume(3, DEEP)
    other = Cohort("dense", "7.0", "1.1")
    tree.cview(201, MASS, other)
    tree.cview(252, cohort=other)
    return tree


def boxes(manifest):
    return {
        record.image_id: [(lesion.box_xyxy, lesion.slice_index, lesion.category) for lesion in record.lesions]
        for record in manifest.records()
    }


def test_images_and_boxes(tree):
    manifest = api.index("tsynth", tree.root)
    assert boxes(manifest) == {
        "tsynth-cview-fatty-5.0-1.06-001": [((6, 10, 12, 20), None, "mass")],
        "tsynth-cview-fatty-5.0-1.06-002": [],
        "tsynth-volume-fatty-5.0-1.06-003": [((5, 30, 11, 38), 3, "mass")],
        "tsynth-cview-dense-7.0-1.1-201": [((6, 10, 12, 20), None, "mass")],
        "tsynth-cview-dense-7.0-1.1-252": [],
    }
    records = {record.image_id: record for record in manifest.records()}
    volume = records["tsynth-volume-fatty-5.0-1.06-003"]
    assert (volume.modality, volume.num_slices, volume.label) == (Modality.TOMOSYNTHESIS, 6, "lesion")
    assert (volume.patient_id, volume.study_id) == ("fatty-003", "fatty-5.0-1.06-003")
    assert (volume.laterality, volume.view, volume.view_key) == (Laterality.LEFT, View.CC, "lcc")
    flat = records["tsynth-cview-fatty-5.0-1.06-002"]
    assert (flat.modality, flat.num_slices, flat.label) == (Modality.MAMMOGRAM, 1, "no lesion")
    assert [records[name].split for name in sorted(records)] == [
        Split.VALIDATION,
        Split.TEST,
        Split.TRAIN,
        Split.TRAIN,
        Split.TRAIN,
    ]
    assert manifest.notes == ()
    assert manifest.dropped == ()


def test_the_boxes_lie_on_the_masses_of_the_pictures(tree):
    """The pixels inside of every box are brighter than the tissue around it, in the annotated slice."""
    for record in api.index("tsynth", tree.root).records():
        for lesion in record.lesions:
            with open_source(record.path) as image:
                frame = image.frame(lesion.slice_index or 0)
                tissue = frame[:, 0:3].mean()
            x1, y1, x2, y2 = (int(value) for value in lesion.box_xyxy)
            assert frame[y1:y2, x1:x2].min() > 1.2 * tissue
            assert frame[y1:y2, x2 : x2 + 2].max() < frame[y1:y2, x1:x2].min()


def test_centres_are_counted_from_the_bottom(tmp_path):
    """400 rows: y = 400 - 330 = 70, x = 150; the square is cut at the top."""
    tree = TsynthTree(tmp_path, rows=400, columns=300, slices=3)
    header = tree.cview(1, Mass(140, 60, 160, 80), mask=False)
    assert header.with_suffix(".loc").read_text() == "330 150 0 2\n"
    tree.volume(5, Mass(140, 190, 160, 210, 1, 1), Cohort("fatty", "7.0"), mask=False)
    manifest = api.index("tsynth", tree.root)
    assert boxes(manifest) == {
        "tsynth-cview-fatty-5.0-1.06-001": [((40, 0, 260, 180), None, "mass")],
        "tsynth-volume-fatty-7.0-1.06-005": [((0, 50, 300, 350), 1, "mass")],
    }
    assert manifest.notes == (
        "no mask; the box is a square about the centre in the .loc file: fatty-5.0-1.06-001, "
        "fatty-7.0-1.06-005 (2 in all)",
        "a box was clipped to the image: fatty-5.0-1.06-001 (1 in all)",
    )


def test_squares_instead_of_masks_on_request(tree):
    manifest = api.index("tsynth", tree.root, boxes="loc", images="volumes")
    assert boxes(manifest) == {"tsynth-volume-fatty-5.0-1.06-003": [((0, 0, 32, 48), 2, "mass")]}


def test_several_masses_and_places_without_one(tmp_path):
    tree = TsynthTree(tmp_path, rows=800, columns=500)
    header = tree.cview(1, Mass(0, 0, 10, 10), mask=False)
    tree.loc(header, [(120, 130, 0), (300, 600, 0)])
    with header.with_suffix(".loc").open("a") as file:
        file.write("\n500 100 0 -2\n")
    (found,) = boxes(api.index("tsynth", tree.root)).values()
    assert [box for box, _, _ in found] == [(10, 20, 230, 240), (190, 490, 410, 710)]


def test_a_file_of_only_places_without_a_mass_is_a_healthy_case(tmp_path):
    tree = TsynthTree(tmp_path)
    tree.loc(tree.cview(2), [(5, 5, 0)], kind=-2)
    manifest = api.index("tsynth", tree.root)
    assert [record.label for record in manifest.records()] == ["no lesion"]
    assert manifest.notes == ()


@pytest.mark.parametrize(
    ("options", "labels", "categories"),
    [
        ({"label": "density", "category": "size"}, {"fatty", "dense"}, {"5.0", "7.0"}),
        ({"label": "mass-density", "category": "density"}, {"1.06", "1.1"}, {"fatty", "dense"}),
        ({"label": "size", "category": "mass-density"}, {"5.0", "7.0"}, {"1.06", "1.1"}),
        (
            {"label": "cohort", "category": "cohort"},
            {"fatty-5.0-1.06", "dense-7.0-1.1"},
            {"fatty-5.0-1.06", "dense-7.0-1.1"},
        ),
    ],
)
def test_facts_of_the_cohort_as_label_and_category(tree, options, labels, categories):
    manifest = api.index("tsynth", tree.root, **options)
    assert set(manifest.images["label"]) == labels
    assert set(manifest.lesions["category"]) == categories


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"density": "dense"}, 2),
        ({"density": "dense,fatty", "images": "cview"}, 4),
        ({"size": "5.0"}, 3),
        ({"mass_density": "1.1"}, 2),
        ({"images": "volumes"}, 1),
    ],
)
def test_chosen_cohorts(tree, options, count):
    assert len(api.index("tsynth", tree.root, **options)) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": "medium"}, "tsynth: density=medium: accepted are dense, fatty"),
        ({"images": "slices"}, "tsynth: images=slices: accepted are all, cview, volumes"),
        ({"boxes": "any"}, "tsynth: boxes=any: accepted are auto, mask, loc"),
        ({"label": "birads"}, "tsynth: label=birads: accepted are lesion, density"),
        ({"category": "birads"}, "tsynth: category=birads: accepted are mass, density"),
        ({"dose": "all"}, "data set 'tsynth' takes no 'dose'"),
    ],
)
def test_wrong_options(tree, options, message):
    with pytest.raises(ConfigError, match=message):
        api.index("tsynth", tree.root, **options)


# contradictions


def test_an_odd_case_that_no_file_explains_is_dropped(tmp_path):
    """It would pass for healthy, and the release says that it is not."""
    tree = TsynthTree(tmp_path)
    tree.cview(2)
    tree.cview(3, mask=False)
    manifest = api.index("tsynth", tree.root)
    assert list(boxes(manifest)) == ["tsynth-cview-fatty-5.0-1.06-002"]
    assert manifest.dropped == (
        "an odd case has a lesion, but no file says where: fatty-5.0-1.06-003 (1 in all)",
    )
    with pytest.raises(DatasetError, match="--strict, and 1 would be left out: an odd case has a lesion"):
        api.index("tsynth", tree.root, strict=True)


def test_lesions_are_read_and_not_assumed_from_the_number(tmp_path):
    tree = TsynthTree(tmp_path)
    tree.cview(1)
    tree.cview(2, MASS)
    tree.cview(4, MASS).with_suffix(".loc").unlink()
    manifest = api.index("tsynth", tree.root)
    assert [len(found) for found in boxes(manifest).values()] == [0, 1, 1]
    assert manifest.notes == (
        "a case of odd number has no lesion, which the release denies; it is kept: "
        "fatty-5.0-1.06-001 (1 in all)",
        "a case of even number has a lesion, which the release denies; it is kept: "
        "fatty-5.0-1.06-002 (1 in all)",
        "the mask shows a lesion, but there is no .loc file; the mask is believed: "
        "fatty-5.0-1.06-004 (1 in all)",
    )


def test_mask_and_centre_that_disagree_are_said(tmp_path):
    tree = TsynthTree(tmp_path)
    header = tree.cview(1, MASS)
    tree.loc(header, [(20, 40, 0)])
    manifest = api.index("tsynth", tree.root)
    assert boxes(manifest)["tsynth-cview-fatty-5.0-1.06-001"] == [((6, 10, 12, 20), None, "mass")]
    assert manifest.notes[0].startswith("the centre in the .loc file lies outside of the mask's box")


def test_a_mask_without_the_mass(tmp_path):
    tree = TsynthTree(tmp_path)
    header = tree.cview(1, MASS)
    tree.mask(header, np.zeros((48, 32), np.uint8))
    manifest = api.index("tsynth", tree.root)
    assert boxes(manifest)["tsynth-cview-fatty-5.0-1.06-001"] == [((0, 0, 32, 48), None, "mass")]
    assert manifest.notes[0].startswith(
        "the mask shows no lesion where the .loc file says; the box is a square"
    )
    with pytest.raises(DatasetError, match=r"no image is left .boxes=mask, but the mask shows no lesion"):
        api.index("tsynth", tree.root, boxes="mask")


def test_a_mask_of_another_size(tree):
    header = tree.cview(5, MASS)
    path = tree.mask(header, np.zeros((32, 48), np.uint8))
    manifest = api.index("tsynth", tree.root)
    assert manifest.dropped == (f"{path}: the mask is of size (32, 48), the image (1, 48, 32)",)
    path.write_bytes(b"no HDF5")
    (line,) = api.index("tsynth", tree.root).dropped
    assert "no readable HDF5 file with a data set 'dbt'" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("12 x 3", "line 1 is '12 x 3'; whole numbers were expected"),
        ("12 4", "line 1 is '12 4'; 3 numbers were expected"),
        ("49 4 0", "which lies outside of the image"),
        ("12 33 0", "which lies outside of the image"),
    ],
)
def test_wrong_centres(tree, text, message):
    header = tree.cview(5, MASS)
    header.with_suffix(".loc").write_text(text)
    (line,) = api.index("tsynth", tree.root).dropped
    assert line.startswith(f"{header.with_suffix('.loc')}: ")
    assert message in line


def test_a_slice_that_the_volume_does_not_have(tree):
    header = tree.volume(7, DEEP)
    header.with_suffix(".loc").write_text("18 8 6 2")
    assert "lies outside of the image" in api.index("tsynth", tree.root).dropped[0]


def test_without_h5py(tree, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"need the package h5py .pip install h5py.*--set boxes=loc"):
        api.index("tsynth", tree.root)
    assert len(api.index("tsynth", tree.root, boxes="loc")) == 5


# files


def test_missing_raw_files(tree):
    header = tree.cview(5, MASS)
    header.with_suffix(".raw").unlink()
    with pytest.raises(
        DatasetError,
        match=r"1 of \d+ raw files of the headers are not on disk.*reconstruction5\.mhd.*--allow-missing",
    ):
        api.index("tsynth", tree.root)
    manifest = api.index("tsynth", tree.root, allow_missing=True)
    assert len(manifest) == 5
    assert manifest.dropped == ("no raw file beside the header: fatty-5.0-1.06-005 (1 in all)",)


def test_a_cut_raw_file(tree):
    header = tree.cview(5, MASS)
    raw = header.with_suffix(".raw")
    raw.write_bytes(raw.read_bytes()[:-4])
    (line,) = api.index("tsynth", tree.root).dropped
    assert line.startswith(f"{raw}: 6140 bytes are neither")


def test_packed_archives_and_odd_folders_are_said(tree):
    sim = tree.folder(1, Cohort(), "data/cview/output_cview_det_Victre").parents[1]
    (sim.parent / "SIM.zip").write_bytes(b"unpacked already")
    packed = tree.root / "data/cview/output_cview_det_Victre/device_data_VICTREPhantoms_spic_1.0/fatty/2/9.0"
    packed.mkdir(parents=True)
    (packed / "SIM.zip").write_bytes(b"")
    tree.cview(301, MASS)
    wrong = tree.cview(7)
    wrong.rename(wrong.with_name("reconstruction8.mhd"))
    dropped = api.index("tsynth", tree.root).dropped
    assert dropped == (
        f"archives that are still packed: {(packed / 'SIM.zip').relative_to(tree.root)}",
        "the folders and the file do not say the same number: "
        f"{wrong.with_name('reconstruction8.mhd').relative_to(tree.root)}",
        "cases beyond 300, which are in no split: fatty-5.0-1.06-301",
    )


def test_a_deeper_folder_of_the_release(tree):
    folder = tree.folder(1, Cohort(), "data/cview/output_cview_det_Victre")
    assert len(api.index("tsynth", folder)) == 1
    assert len(api.index("tsynth", folder.parents[1])) == 2


def test_nothing_there(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        api.index("tsynth", tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"no T-SYNTH case .*is it the right folder"):
        api.index("tsynth", tmp_path)
    (tmp_path / "SIM.zip").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"SIM\.zip is still packed, unzip it where it lies"):
        api.index("tsynth", tmp_path)


def test_command_line(tree, tmp_path, comoto):
    out = tmp_path / "manifest"
    arguments = ["index", "tsynth", tree.root, "--out", out, "--strict", "--set", "mass-density=1.06"]
    answer = comoto(*arguments)
    assert answer.code == 0
    assert answer.out.startswith("tsynth: 3 images, 2 lesions\n")
    assert len(Manifest.load(out)) == 3
