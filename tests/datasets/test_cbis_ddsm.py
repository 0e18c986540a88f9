"""CBIS-DDSM: masks found by content, boxes worked out by hand, splits without a leak, everything said."""

import re

import numpy as np
import pytest
from releases_cbis_ddsm import LAYOUTS, ROOT_UID, SHAPE, CbisTree, Finding, everyday

from comoto import api
from comoto.datasets.cbis_ddsm.masks import MaskJob, find_mask
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, Split, View
from dicom_files import write_dicom

MASS_TRAIN = "mass_case_description_train_set.csv"


@pytest.fixture
def tree(tmp_path) -> CbisTree:
    return CbisTree(tmp_path / "cbis", everyday()).write()


def one(tmp_path, **deviation) -> CbisTree:
    """A release of one mass and one ordinary film beside it, so that something remains."""
    findings = [
        Finding("mass", "train", "P_00009", "LEFT", "CC", 1, "BENIGN", (4, 10, 12, 22)),
        Finding("mass", "train", "P_00010", "LEFT", "CC", 1, "BENIGN", (4, 10, 12, 22), **deviation),
    ]
    return CbisTree(tmp_path / "cbis", findings).write()


def lesions(manifest):
    return {
        record.image_id: [(lesion.box_xyxy, lesion.category) for lesion in record.lesions]
        for record in manifest.records()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(tmp_path, layout):
    root = CbisTree(tmp_path / "cbis", everyday(), layout).write().root
    manifest = api.index("cbis-ddsm", root)
    assert manifest.dropped == ()
    assert lesions(manifest) == {
        "Mass-Training_P_00001_LEFT_CC": [
            ((4, 10, 12, 22), "mass MALIGNANT"),
            ((1, 30, 8, 36), "calc BENIGN"),
        ],
        "Mass-Training_P_00001_LEFT_MLO": [((3, 8, 10, 18), "mass MALIGNANT")],
        "Mass-Training_P_00002_RIGHT_CC": [
            ((12, 5, 20, 15), "mass BENIGN"),
            ((20, 25, 26, 34), "mass BENIGN_WITHOUT_CALLBACK"),
        ],
        "Mass-Test_P_00003_RIGHT_MLO": [((15, 6, 25, 16), "mass BENIGN_WITHOUT_CALLBACK")],
        "Calc-Training_P_00004_LEFT_CC": [((2, 2, 9, 9), "calc BENIGN")],
    }


def test_records(tree):
    records = {record.image_id: record for record in api.index("cbis-ddsm", tree.root).records()}
    first = records["Mass-Training_P_00001_LEFT_CC"]
    assert (first.patient_id, first.study_id, first.view_key) == ("P_00001", "P_00001", "LEFT_CC")
    assert (first.laterality, first.view, first.label) == (Laterality.LEFT, View.CC, "MALIGNANT")
    assert first.path.parent.name == tree.uid("Mass-Training_P_00001_LEFT_CC")
    assert first.num_slices == 1
    assert records["Mass-Training_P_00002_RIGHT_CC"].label == "BENIGN"
    assert records["Mass-Test_P_00003_RIGHT_MLO"].split is Split.TEST


def test_a_patient_of_both_parts_is_test(tree):
    """P_00001: mass training, calc test. Its two films of the mass training set move."""
    manifest = api.index("cbis-ddsm", tree.root)
    splits = dict(zip(manifest.images["patient_id"], manifest.images["split"], strict=True))
    assert splits == {"P_00001": "test", "P_00002": "train", "P_00003": "test", "P_00004": "train"}
    assert manifest.notes[0] == (
        "1 patients are in the training set of one kind and in the test set of the other: "
        "all of their mammograms are test here, 2 of them moved there"
    )
    mass = api.index("cbis-ddsm", tree.root, kind="mass")
    splits = dict(zip(mass.images["patient_id"], mass.images["split"], strict=True))
    assert splits == {"P_00001": "train", "P_00002": "train", "P_00003": "test"}
    assert mass.notes == ("only the mass tables are read: calcifications on these films are not marked",)


def test_a_film_of_both_kinds_is_one_image(tree):
    manifest = api.index("cbis-ddsm", tree.root)
    assert len(manifest) == 5
    assert manifest.notes[1] == (
        "1 films are in both the mass and the calcification tables: one image each, with the lesions of both"
    )


def test_the_same_view_in_two_sizes_stays_two_images(tmp_path):
    findings = everyday()
    findings[-1].image_shape = (50, 30)
    manifest = api.index("cbis-ddsm", CbisTree(tmp_path / "cbis", findings).write().root)
    keys = dict(zip(manifest.images["image_id"], manifest.images["view_key"], strict=True))
    assert keys["Mass-Training_P_00001_LEFT_CC"] == "LEFT_CC"
    assert keys["Calc-Test_P_00001_LEFT_CC"] == "LEFT_CC1"
    assert manifest.notes[1].endswith("stays an image with its own lesions: Calc-Test_P_00001_LEFT_CC")


@pytest.mark.parametrize(
    ("deviation", "misnamed"),
    [
        ({}, False),
        ({"mask_first": True}, False),
        ({"apart": True}, False),
        ({"descriptions": ("", "ROI mask images")}, False),
        ({"descriptions": ("cropped images", "")}, True),
        ({"descriptions": ("", "")}, True),
        ({"descriptions": ("", ""), "mask_first": True}, True),
        ({"descriptions": ("ROI mask images", "ROI mask images")}, True),
        ({"descriptions": ("cropped images", "cropped images"), "mask_first": True}, True),
        ({"descriptions": ("ROI mask images", "cropped images")}, True),
    ],
)
def test_the_content_tells_mask_and_crop_apart(tmp_path, deviation, misnamed):
    """Wrong descriptions too: the grey crop that is called a mask has more than two values."""
    manifest = api.index("cbis-ddsm", one(tmp_path, **deviation).root, kind="mass")
    assert lesions(manifest)["Mass-Training_P_00010_LEFT_CC"] == [((4, 10, 12, 22), "mass BENIGN")]
    said = "Series Descriptions do not tell mask and crop apart, size and pixel values do, in line 5"
    assert (f"{MASS_TRAIN}: {said}" in manifest.notes) is misnamed


@pytest.mark.parametrize(
    ("described", "chosen"),
    [(("", "cropped images"), 0), (("ROI mask images", ""), 0), (("", ""), 1), (("cropped images",) * 2, 1)],
)
def test_description_before_size(tmp_path, described, chosen):
    """Two files that could both be masks: 36 x 27 with a box at 9, and of the film's size with one at 20."""
    tree = one(tmp_path)
    film, finding = tree.write_image(tree.findings[1]), tree.findings[1]
    files = []
    for number, (shape, left) in enumerate((((36, 27), 9), (SHAPE, 20))):
        mask = np.zeros(shape, np.uint8)
        mask[10:20, left : left + 5] = 255
        tags = {"SeriesInstanceUID": tree.uid(finding.roi_case), "SeriesDescription": described[number]}
        path = tmp_path / f"{number}.dcm"
        files.append(
            (write_dicom(path, mask, "implicit", bits_stored=8, tags=tags), tags["SeriesInstanceUID"])
        )
    found = find_mask(MaskJob(tree.uid(finding.case), (film,), tuple(files)))
    assert found.box[0] == pytest.approx((9 * 30 / 27, 20)[chosen])


def test_series_of_one_case_with_the_same_tail(tmp_path):
    """Crop and mask in two series whose UIDs end in the same five digits: the headers tell them apart."""
    findings = [Finding("mass", "train", "P_00010", "LEFT", "CC", 1, "BENIGN", (4, 10, 12, 22), apart=True)]
    tree = CbisTree(tmp_path / "cbis", findings, "descriptive")
    tree.uids = {
        findings[0].roi_case: f"{ROOT_UID}.111112345",
        "crop " + findings[0].roi_case: f"{ROOT_UID}.212345",
    }
    tree.write_tables()
    tree.write_image(findings[0])
    _, mask = tree.write_rois(findings[0])
    crop = mask.parent.parent / "2.000000-cropped images-12345" / "1-1.dcm"
    crop.parent.mkdir()
    grey = np.arange(96, dtype=np.uint16).reshape(12, 8)
    tags = {"SeriesInstanceUID": tree.uids["crop " + findings[0].roi_case]}
    write_dicom(crop, grey, "implicit", bits_stored=16, tags=tags)
    manifest = api.index("cbis-ddsm", tree.root, kind="mass")
    assert lesions(manifest) == {findings[0].case: [((4, 10, 12, 22), "mass BENIGN")]}


def test_only_the_chosen_file_is_decoded(tmp_path):
    """The crop's pixels are cut off; the header still says that it is the crop."""
    tree = one(tmp_path)
    crop, _ = tree.write_rois(tree.findings[1])
    mask = [path for path in crop.parent.iterdir() if path != crop]
    job = MaskJob(
        tree.uid(tree.findings[1].case),
        (tree.write_image(tree.findings[1]),),
        ((crop, tree.uid(tree.findings[1].roi_case)), (mask[0], tree.uid(tree.findings[1].roi_case))),
    )
    assert find_mask(job).reason == ""
    crop.write_bytes(crop.read_bytes()[:-100])
    assert find_mask(job).box == (4, 10, 12, 22)


def test_a_mask_of_another_size_is_scaled_per_axis(tmp_path):
    """Mask 400 x 300 for a film of 440 x 331: factors 1.1 and 1.1033, an aspect 0.3 % apart."""
    tree = one(tmp_path, image_shape=(440, 331), mask_shape=(400, 300))
    manifest = api.index("cbis-ddsm", tree.root, kind="mass")
    box, _ = lesions(manifest)["Mass-Training_P_00010_LEFT_CC"][0]
    assert box == pytest.approx((4 * 331 / 300, 11, 12 * 331 / 300, 24.2))
    assert any(note.startswith(MASS_TRAIN) and "are scaled, in line 5" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        ({"mask_shape": (40, 31)}, "its mask of 40 x 31 pixels does not fit the image of 40 x 30"),
        ({"image_shape": (100, 75), "mask_shape": (40, 30)}, "does not fit the image of 100 x 75"),
        ({"image_shape": (120, 90), "mask_shape": (40, 30)}, "its mask of 40 x 30 pixels does not fit"),
        ({"box": (4, 10, 5, 11)}, r"its mask .* is empty"),
    ],
)
def test_what_has_no_box_is_left_out_and_listed(tmp_path, deviation, reason):
    """A mask of three times less than the film is not a mask of it, whatever its aspect."""
    findings = [
        Finding("mass", "train", "P_00009", "LEFT", "CC", 1, "BENIGN", (4, 10, 12, 22)),
        Finding("mass", "train", "P_00010", "LEFT", "CC", 1, "BENIGN", (4, 10, 12, 22)),
        Finding("mass", "train", "P_00010", "LEFT", "CC", 2, "BENIGN", (4, 10, 12, 22)),
    ]
    for name, value in deviation.items():
        setattr(findings[2], name, value)
    findings[1].image_shape = findings[2].image_shape
    root = CbisTree(tmp_path / "cbis", findings).write().root
    manifest = api.index("cbis-ddsm", root, kind="mass")
    assert set(lesions(manifest)) == {"Mass-Training_P_00009_LEFT_CC"}
    dropped = [line for line in manifest.dropped if "not in" not in line]
    first = f"{MASS_TRAIN}: line 7: Mass-Training_P_00010_LEFT_CC left out, abnormality 2 has no box: "
    assert len([line for line in dropped if line.startswith(first)]) == 1
    assert re.search(reason, next(line for line in dropped if line.startswith(first)))


def test_files_of_which_none_is_a_mask(tmp_path):
    tree = one(tmp_path)
    _, mask = tree.write_rois(tree.findings[1])
    grey = np.arange(1200, dtype=np.uint16).reshape(40, 30)
    tags = {"SeriesInstanceUID": mask.parent.name, "SeriesDescription": "ROI mask images"}
    write_dicom(mask, grey, "implicit", bits_stored=16, tags=tags)
    dropped = api.index("cbis-ddsm", tree.root, kind="mass").dropped
    assert dropped[-1].endswith("abnormality 1 has no box: none of its 2 files is a mask")
    write_dicom(mask, np.full((40, 30), 255, np.uint8), "implicit", bits_stored=8, tags=tags)
    assert (
        api.index("cbis-ddsm", tree.root, kind="mass").dropped[-1].endswith("none of its 2 files is a mask")
    )


def test_one_damaged_file_does_not_stop_the_rest(tmp_path):
    tree = one(tmp_path)
    _, mask = tree.write_rois(tree.findings[1])
    mask.write_bytes(b"not a DICOM file")
    manifest = api.index("cbis-ddsm", tree.root, kind="mass")
    assert len(manifest) == 1
    assert "none of its 2 files is a mask (" in manifest.dropped[-1]
    assert f"{mask}: not a DICOM file" in manifest.dropped[-1]


def test_a_file_in_the_folder_of_another_series(tmp_path):
    tree = one(tmp_path)
    image = tree.write_image(tree.findings[1])
    image.write_bytes(tree.write_image(tree.findings[0]).read_bytes())
    assert "but its folder is that of" in api.index("cbis-ddsm", tree.root, kind="mass").dropped[-1]


def test_two_files_where_one_mammogram_belongs(tmp_path):
    tree = one(tmp_path)
    image = tree.write_image(tree.findings[1])
    image.with_name("000007.dcm").write_bytes(image.read_bytes())
    assert "holds 2 files, its mammogram is one" in api.index("cbis-ddsm", tree.root, kind="mass").dropped[-1]


def test_the_same_series_twice(tree):
    image = tree.write_image(tree.findings[0])
    copy = tree.root / "copy" / image.parent.name / "1.dcm"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(image.read_bytes())
    with pytest.raises(DatasetError, match=r"hold the same series .*; keep one of them"):
        api.index("cbis-ddsm", tree.root)


def test_missing_files(tree):
    crop, mask = tree.write_rois(tree.findings[4])
    crop.unlink()
    mask.unlink()
    with pytest.raises(
        DatasetError, match=r"1 of 6 mammograms .* such as Mass-Test_P_00003_RIGHT_MLO; .*--allow-missing"
    ):
        api.index("cbis-ddsm", tree.root)
    manifest = api.index("cbis-ddsm", tree.root, allow_missing=True)
    assert len(manifest) == 4
    assert manifest.dropped == (
        "mass_case_description_test_set.csv: mammogram or mask not on disk, in line 3",
    )
    for path in tree.root.rglob("*.dcm"):
        path.unlink()
    with pytest.raises(DatasetError, match="6 of 6 mammograms"):
        api.index("cbis-ddsm", tree.root, allow_missing=True)


def test_the_series_of_the_mask_alone_is_missing(tmp_path):
    tree = one(tmp_path, apart=True)
    _, mask = tree.write_rois(tree.findings[1])
    mask.unlink()
    dropped = api.index("cbis-ddsm", tree.root, kind="mass").dropped
    assert dropped[-1].endswith(f"none of its 1 files is a mask (series {mask.parent.name} is not on disk)")


def test_without_the_crops(tree):
    """Crops are not needed; a download may leave them out."""
    for finding in tree.findings:
        tree.write_rois(finding)[0].unlink()
    assert len(api.index("cbis-ddsm", tree.root).lesions) == 7


def test_missing_tables(tree):
    tree.table("mass", "test").unlink()
    manifest = api.index("cbis-ddsm", tree.root)
    assert manifest.dropped == (
        f"mass_case_description_test_set.csv: not in {tree.root}; its cases are left out",
    )
    with pytest.raises(DatasetError, match="--strict, and 1 would be left out: mass_case"):
        api.index("cbis-ddsm", tree.root, strict=True)
    for path in tree.root.glob("*.csv"):
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(DatasetError, match=r"no mass_case_description_\*_set.csv and calc_case_.* --tables"):
        api.index("cbis-ddsm", tree.root)


def test_tables_elsewhere(tree, tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    for path in tree.root.glob("*.csv"):
        path.rename(tables / path.name)
    assert len(api.index("cbis-ddsm", tree.root, tables=tables)) == 5


@pytest.mark.parametrize(
    ("word", "categories"),
    [
        (
            "keep",
            {"mass BENIGN_WITHOUT_CALLBACK": 2, "mass BENIGN": 1, "mass MALIGNANT": 2, "calc BENIGN": 2},
        ),
        ("benign", {"mass BENIGN": 3, "mass MALIGNANT": 2, "calc BENIGN": 2}),
        ("drop", {"mass BENIGN": 1, "mass MALIGNANT": 2, "calc BENIGN": 2}),
    ],
)
def test_benign_without_callback(tree, word, categories):
    manifest = api.index("cbis-ddsm", tree.root, without_callback=word)
    assert manifest.lesions["category"].value_counts().to_dict() == categories
    assert len(manifest) == 5
    said = "2 abnormalities are BENIGN_WITHOUT_CALLBACK and not taken as lesions"
    assert (said in manifest.notes) is (word == "drop")


def test_a_row_twice_is_one_lesion(tmp_path):
    findings = everyday()
    manifest = api.index("cbis-ddsm", CbisTree(tmp_path / "cbis", [*findings, findings[2]]).write().root)
    assert len(manifest.lesions) == 7
    assert manifest.notes[-1] == "1 abnormalities have the box and the category of another one: taken once"


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("kind", "masses", "mass, calc, both"),
        ("without_callback", "no", "keep, benign, drop"),
        ("workers", "0", "expected whole number, at least 1"),
        ("workers", "two", "expected whole number, at least 1"),
    ],
)
def test_wrong_options(tree, name, value, accepted):
    with pytest.raises(ConfigError, match=accepted):
        api.index("cbis-ddsm", tree.root, **{name: value})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("P_00001,3,LEFT,MLO", "P_00001,3,L,MLO", "left or right breast is none of LEFT, RIGHT in line 5"),
        ("P_00001,3,LEFT,MLO", "P_00001,3,LEFT,LM", "image view is none of CC, MLO in line 5"),
        ("P_00001,3,LEFT,MLO", ",3,LEFT,MLO", "patient_id is empty in line 5"),
        ("P_00001,3,LEFT,MLO,1", "P_00001,3,LEFT,MLO,one", "abnormality id is no number in line 5"),
        (
            ",4,BENIGN,",
            ",4,HARMLESS,",
            "pathology is none of MALIGNANT, BENIGN, BENIGN_WITHOUT_CALLBACK in line 7",
        ),
        (
            "P_00002,3,RIGHT,CC,2",
            "P_00002,3,LEFT,CC,2",
            "one mammogram is of more than one patient.* lines 7, 9",
        ),
        ("breast_density", "breast_density,", "line 3 has 14 cells, the header has 15"),
        ("ROI mask file path", "mask", "columns are missing: ROI mask file path"),
    ],
)
def test_wrong_tables_are_named(tree, old, new, message):
    tree.edit("mass", "train", old, new)
    with pytest.raises(DatasetError, match=message):
        api.index("cbis-ddsm", tree.root)


def test_a_path_without_series(tree):
    case = "Mass-Training_P_00001_LEFT_MLO"
    path = f"{case}/{tree.uid('study ' + case)}/{tree.uid(case)}/000000.dcm"
    tree.edit("mass", "train", path, f"{case}.dcm")
    with pytest.raises(DatasetError, match="image file path is not case/study/series/file in line 5"):
        api.index("cbis-ddsm", tree.root)


def test_many_masks_in_processes_give_the_same_boxes(tmp_path):
    """40 masks are more than stay in this process."""
    findings = [
        Finding("calc", "train", f"P_{k:05d}", "LEFT", "CC", 1, "BENIGN", (k % 20, 3, k % 20 + 5, 9))
        for k in range(40)
    ]
    root = CbisTree(tmp_path / "cbis", findings).write().root
    manifest = api.index("cbis-ddsm", root, kind="calc", workers="2")
    assert list(manifest.lesions["x1"]) == [k % 20 for k in range(40)]
    assert list(manifest.lesions["x2"]) == [k % 20 + 5 for k in range(40)]


def test_command_line(tmp_path, comoto):
    root = one(tmp_path, mask_shape=(40, 31)).root
    arguments = ["index", "cbis-ddsm", root, "--out", tmp_path / "m", "--set", "kind=mass"]
    code, _, error = comoto(*arguments, "--strict")
    assert code == 2
    assert "does not fit the image" in error
    assert not (tmp_path / "m").exists()
    code, said, _ = comoto(*arguments)
    assert code == 0
    assert said.splitlines()[0] == "cbis-ddsm: 1 images, 1 lesions"
    assert f"dropped: {MASS_TRAIN}: line 5: Mass-Training_P_00010_LEFT_CC left out" in said
