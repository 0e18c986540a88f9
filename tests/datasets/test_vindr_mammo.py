"""VinDr-Mammo: joins by image, literal lists, clips and refusals, on a tiny release worked out by hand."""

import pytest

from comoto import api
from comoto.datasets.vindr_mammo import LESION_CATEGORIES, OTHER_CATEGORIES
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, Modality, Split, View

FIRST = "s1,e1,a2,R,MLO,40,20,BI-RADS 4,DENSITY C,['Mass']"


def lesions(manifest):
    return {
        record.image_id: [(lesion.box_xyxy, lesion.category) for lesion in record.lesions]
        for record in manifest.records()
    }


def test_images_and_lesions(vindr_tree):
    manifest = api.index("vindr-mammo", vindr_tree.root)
    records = {record.image_id: record for record in manifest.records()}
    assert list(records) == ["a1", "a2", "b1", "c1"]
    second = records["a2"]
    assert second.modality is Modality.MAMMOGRAM
    assert (second.patient_id, second.study_id, second.view_key) == ("s1", "s1", "R-MLO")
    assert (second.laterality, second.view, second.split) == (Laterality.RIGHT, View.MLO, Split.TRAIN)
    assert (second.label, second.num_slices) == ("BI-RADS 4", 1)
    assert second.path == vindr_tree.root / "images" / "s1" / "a2.dicom"
    assert records["b1"].split is Split.TEST
    assert lesions(manifest) == {
        "a1": [],
        "a2": [((2.5, 3.25, 8.75, 9.5), "Mass"), ((0, 0, 4, 5), "Focal Asymmetry")],
        "b1": [
            ((20.5, 50.25, 30, 60), "Suspicious Calcification, Mass"),
            ((1, 2, 3, 4), "Skin Thickening, Mass"),
        ],
        "c1": [],
    }
    assert all(lesion.slice_index is None for record in records.values() for lesion in record.lesions)


def test_notes(vindr_tree):
    """Lines 2 and 5 leave the image; line 6 is a nipple retraction alone."""
    notes = api.index("vindr-mammo", vindr_tree.root).notes
    assert notes[0] == "finding_annotations.csv: 2 boxes clipped to the image (lines 2, 5)"
    assert notes[1].startswith("1 boxes that are only Nipple Retraction, Skin Retraction")
    assert notes[1].endswith("as chosen; 1 images have no other box")
    assert len(notes) == 2
    assert api.index("vindr-mammo", vindr_tree.root).dropped == ()


def test_the_default_is_every_finding_inside_the_breast():
    assert len({*LESION_CATEGORIES, *OTHER_CATEGORIES}) == 10
    assert OTHER_CATEGORIES == (
        "Skin Thickening",
        "Skin Retraction",
        "Nipple Retraction",
        "Suspicious Lymph Node",
    )


@pytest.mark.parametrize(
    ("categories", "counts"),
    [
        (["Mass"], {"a1": 0, "a2": 1, "b1": 2, "c1": 0}),
        (["Nipple Retraction"], {"a1": 0, "a2": 0, "b1": 0, "c1": 1}),
        ([*LESION_CATEGORIES, *OTHER_CATEGORIES], {"a1": 0, "a2": 2, "b1": 2, "c1": 1}),
    ],
)
def test_other_categories_can_be_asked_for(vindr_tree, categories, counts):
    manifest = api.index("vindr-mammo", vindr_tree.root, categories=categories)
    assert {name: len(found) for name, found in lesions(manifest).items()} == counts


def test_unknown_category(vindr_tree):
    with pytest.raises(ConfigError, match=r"categories=Mas: accepted are Mass, .*; did you mean 'Mass'\?"):
        api.index("vindr-mammo", vindr_tree.root, categories=["Mas"])


def test_dcm_suffix(vindr_tree):
    path = vindr_tree.root / "images" / "s1" / "a1.dicom"
    path.rename(path.with_suffix(".dcm"))
    assert next(api.index("vindr-mammo", vindr_tree.root).records()).path.name == "a1.dcm"


def test_missing_images(vindr_tree):
    (vindr_tree.root / "images" / "s1" / "a2.dicom").unlink()
    with pytest.raises(DatasetError, match=r"1 of 4 images .* not on disk, such as a2; .*--allow-missing"):
        api.index("vindr-mammo", vindr_tree.root)
    manifest = api.index("vindr-mammo", vindr_tree.root, allow_missing=True)
    assert set(lesions(manifest)) == {"a1", "b1", "c1"}
    assert manifest.dropped == ("breast-level_annotations.csv: 1 of 4 images, because they are not on disk",)
    assert len(manifest.lesions) == 2


def test_files_that_are_in_no_table_are_said(vindr_tree):
    (vindr_tree.root / "images" / "s1" / "a9.dicom").write_bytes(b"")
    (vindr_tree.root / "images" / "s1" / "index.html").write_bytes(b"")
    assert api.index("vindr-mammo", vindr_tree.root).dropped == (
        f"{vindr_tree.root / 'images'}: 1 file is not in breast-level_annotations.csv, such as s1/a9.dicom",
    )


def test_the_folders_of_a_recursive_download(vindr_tree, tmp_path):
    target = tmp_path / "downloads" / "physionet.org" / "files" / "vindr-mammo" / "1.0.0"
    target.parent.mkdir(parents=True)
    vindr_tree.root.rename(target)
    manifest = api.index("vindr-mammo", tmp_path / "downloads")
    assert len(manifest) == 4
    assert next(manifest.records()).path == target / "images" / "s1" / "a1.dicom"


def test_a_study_with_two_images_of_one_side_and_view(vindr_tree):
    """One study of the release has three CC and one MLO."""
    vindr_tree.edit(vindr_tree.images, "a2,R,MLO", "a2,L,CC")
    vindr_tree.findings.write_text(vindr_tree.findings.read_text().replace("a2,R,MLO", "a2,L,CC"))
    records = {record.image_id: record for record in api.index("vindr-mammo", vindr_tree.root).records()}
    assert [records[name].view_key for name in ("a1", "a2")] == ["L-CC", "L-CC1"]
    assert len(records["a2"].lesions) == 2
    manifest = api.index("vindr-mammo", vindr_tree.root)
    assert list(manifest.images["view_key"]) == ["L-CC", "L-CC1", "R-CC", "L-MLO"]
    assert "1 views are in their study more than once and get a number, such as L-CC1 of s1" in manifest.notes


def test_no_images_at_all(vindr_tree):
    for path in vindr_tree.root.glob("images/*/*"):
        path.unlink()
    with pytest.raises(DatasetError, match="4 of 4 images"):
        api.index("vindr-mammo", vindr_tree.root, allow_missing=True)


@pytest.mark.parametrize("name", ["images", "findings"])
def test_missing_table(vindr_tree, name):
    getattr(vindr_tree, name).unlink()
    with pytest.raises(DatasetError, match=r"annotations\.csv: cannot be read: no such file"):
        api.index("vindr-mammo", vindr_tree.root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (FIRST, "s9" + FIRST[2:], r"study_id is not that of breast-level_annotations\.csv in line 4"),
        (FIRST, FIRST.replace("a2", "a9"), r"the image has no row in breast-level.* in line 4"),
        ("2.5,3.25,8.75,9.5,training", "2.5,3.25,8.75,9.5,test", r"split is not that of .* in line 4"),
        ("2.5,3.25,8.75,9.5", "2.5,,8.75,9.5", r"a finding has no box in line 4"),
        ("2.5,3.25,8.75,9.5", "2.5,nan,8.75,9.5", r"ymin is no number in line 4"),
        ("2.5,3.25,8.75,9.5", "8.75,3.25,2.5,9.5", r"the box is empty in line 4"),
        ("2.5,3.25,8.75,9.5", "2.5,3.25,2.5,9.5", r"the box is empty in line 4"),
        ("2.5,3.25,8.75,9.5", "20,3.25,28.75,9.5", r"wholly outside of its image in line 4"),
        ("['No Finding'],,,,,,", "['No Finding'],,1,2,3,4,", r"'No Finding' has a box in line 3"),
        ("['Focal Asymmetry']", "Focal Asymmetry", r"no list of known categories in line 5"),
        ("['Focal Asymmetry']", "['Lump']", r"no list of known categories in line 5"),
        ("['Focal Asymmetry']", "__import__('os').getcwd()", r"no list of known categories in line 5"),
        ("['Focal Asymmetry']", "['No Finding'; 1]", r"no list of known categories in line 5"),
        ("['Focal Asymmetry']", "\"['No Finding', 'Mass']\"", r"no list of known categories in line 5"),
        ("['Focal Asymmetry']", "[]", r"no list of known categories in line 5"),
    ],
)
def test_wrong_findings_are_named(vindr_tree, old, new, message):
    vindr_tree.edit(vindr_tree.findings, old, new)
    with pytest.raises(DatasetError, match=message):
        api.index("vindr-mammo", vindr_tree.root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("e1,a1,L", "e1,a2,L", r"the same image_id stands more than once in lines 2, 3"),
        ("a1,L,CC", "a1,left,CC", r"laterality is none of L, R in line 2"),
        ("a1,L,CC", "a1,L,ML", r"view_position is none of CC, MLO in line 2"),
        ("b1,R,CC,60", "b1,R,CC,sixty", r"height is no number in line 4"),
        (
            "BI-RADS 3,DENSITY A,training",
            "BI-RADS 3,DENSITY A,dev",
            r"split is none of training, test in line 5",
        ),
    ],
)
def test_wrong_images_are_named(vindr_tree, old, new, message):
    vindr_tree.edit(vindr_tree.images, old, new)
    with pytest.raises(DatasetError, match=message):
        api.index("vindr-mammo", vindr_tree.root)
