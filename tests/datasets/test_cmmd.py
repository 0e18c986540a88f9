"""CMMD and TOMPEI-CMMD: labels of breasts, sides by pixels, lesions on the views that were looked at."""

import sys

import numpy as np
import pytest
from releases_cmmd import LAYOUTS, CmmdTree, Image, outline

from comoto import api
from comoto.datasets.cmmd.files import leaning_side
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, Split, View
from dicom_files import breast

NO_SPLIT = "no official split: every patient is in the training part"


@pytest.fixture
def tree(tmp_path) -> CmmdTree:
    return CmmdTree(tmp_path / "cmmd").write()


@pytest.fixture
def outlined(tree) -> CmmdTree:
    """Two views with lesions, one that was looked at and has none."""
    mass = outline("mass", (3.5, 10.25), (9.0, 8.0), (6.0, 20.9))
    tree.annotate("D1-0002", "L", [mass, outline("calc", (12.0, 30.0), (13.5, 31.0))])
    tree.annotate("D2-0007", "R", [outline("dist", (30, 20), (44.0, 30.0))])
    tree.annotate("D1-0001", "R", [])
    return tree


def labels(manifest):
    return dict(zip(manifest.images["image_id"], manifest.images["label"], strict=True))


def lesions(manifest):
    return {
        record.image_id: [(lesion.box_xyxy, lesion.category) for lesion in record.lesions]
        for record in manifest.records()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_of_breasts_in_every_layout(tmp_path, layout):
    """The right breast of D1-0002 has no row."""
    manifest = api.index("cmmd", CmmdTree(tmp_path / "cmmd", layout=layout).write().root)
    assert labels(manifest) == {
        "D1-0001_R-CC": "Benign",
        "D1-0001_R-MLO": "Benign",
        "D1-0002_L-CC": "Malignant",
        "D1-0002_L-MLO": "Malignant",
        "D1-0002_R-CC": "unlabelled",
        "D1-0002_R-MLO": "unlabelled",
        "D2-0007_L-CC": "Benign",
        "D2-0007_L-MLO": "Benign",
        "D2-0007_R-CC": "Malignant",
        "D2-0007_R-MLO": "Malignant",
    }
    assert manifest.lesions.empty
    assert manifest.dropped == ()
    assert manifest.notes == (
        NO_SPLIT,
        "no annotation files of TOMPEI-CMMD (*_AnnotationFile.json): labels of whole breasts, no lesions; "
        "not to be used as images of healthy tissue",
        "2 images are of a breast without a row in CMMD_clinicaldata_revision.csv: labelled 'unlabelled'",
    )


def test_records(tree):
    records = {record.image_id: record for record in api.index("cmmd", tree.root).records()}
    first = records["D1-0001_R-MLO"]
    assert (first.patient_id, first.view_key) == ("D1-0001", "R-MLO")
    assert (first.laterality, first.view, first.split) == (Laterality.RIGHT, View.MLO, Split.TRAIN)
    assert first.study_id == tree.uids(tree.images[1])[0]
    assert first.path == tree.place(tree.images[1])


def test_the_sheet_as_released(tree):
    pytest.importorskip("openpyxl")
    expected = api.index("cmmd", tree.root)
    tree.write_sheet()
    tree.csv.unlink()
    manifest = api.index("cmmd", tree.root)
    assert manifest.images.equals(expected.images)
    assert manifest.notes[-1].endswith("CMMD_clinicaldata_revision.xlsx: labelled 'unlabelled'")


def test_wrong_rows_of_the_sheet_are_named(tree):
    """A line of a sheet is its row number there; the header is row 1."""
    pytest.importorskip("openpyxl")
    tree.rows[1] = ("D1-0002", "links", "Malignant")
    tree.write_sheet()
    tree.csv.unlink()
    with pytest.raises(DatasetError, match=r"\.xlsx: LeftRight is none of L, R in line 3"):
        api.index("cmmd", tree.root)


def test_without_openpyxl(tree, monkeypatch):
    pytest.importorskip("openpyxl")
    tree.write_sheet()
    tree.csv.unlink()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(
        DatasetError,
        match=r"pip install openpyxl\); or save the sheet as CMMD_clinicaldata_revision\.csv",
    ):
        api.index("cmmd", tree.root)


def test_a_damaged_sheet(tree):
    tree.csv.rename(tree.sheet)
    with pytest.raises(DatasetError, match=r"is no Excel sheet that can be read .*or save the sheet as CSV"):
        api.index("cmmd", tree.root)


def test_lesions(outlined):
    """Boxes cover the pixels of the points; the distortion leaves the image of 60 x 40."""
    manifest = api.index("cmmd", outlined.root)
    assert lesions(manifest) == {
        "D1-0001_R-MLO": [],
        "D1-0002_L-MLO": [((3, 8, 10, 21), "mass Malignant"), ((12, 30, 14, 32), "calc Malignant")],
        "D2-0007_R-MLO": [((30, 20, 40, 31), "dist Malignant")],
    }
    assert manifest.dropped == ()
    assert manifest.notes == (
        NO_SPLIT,
        "1 boxes clipped to the image",
        "images that TOMPEI-CMMD did not look at are not taken, a lesion on them has no box: "
        "5 CC, 2 MLO (images=all takes them as healthy)",
    )


def test_all_images(outlined):
    manifest = api.index("cmmd", outlined.root, images="all")
    assert len(manifest) == 10
    assert len(manifest.lesions) == 3


def test_outlines_and_table_elsewhere(outlined, tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    outlined.csv.rename(tables / outlined.csv.name)
    (outlined.root / "TOMPEI-CMMD_v01_20250123").rename(tables / "TOMPEI")
    assert len(api.index("cmmd", outlined.root, tables=tables).lesions) == 3


def test_pixels_decide_the_side(tmp_path):
    """The left MLO of D1-0002 is tagged R: it keeps the left breast's label and lesion."""
    tree = CmmdTree(tmp_path / "cmmd")
    tree.images[3].tag = "R"
    tree.images[2].tag = None
    tree.write()
    tree.annotate("D1-0002", "L", [outline("mass", (3, 10), (9, 20))])
    manifest = api.index("cmmd", tree.root)
    assert lesions(manifest) == {"D1-0002_L-MLO": [((3, 10, 10, 21), "mass Malignant")]}
    assert manifest.notes[1:3] == (
        "1 images lean on the other side than their laterality tag says, the pixels decide which breast it "
        "is: D1-0002 MLO (tag R)",
        "1 images have no laterality tag, the pixels decide which breast it is",
    )


def test_an_image_that_is_stored_mirrored(tmp_path):
    """By its pixels D2-0007 would have two right CC views and no left one; by the tags one of each."""
    tree = CmmdTree(tmp_path / "cmmd")
    tree.images[6].pixels = "R"
    manifest = api.index("cmmd", tree.write().root)
    assert labels(manifest)["D2-0007_L-CC"] == "Benign"
    assert labels(manifest)["D2-0007_R-CC"] == "Malignant"
    assert manifest.notes[1] == (
        "1 images lean on the other side than their laterality tag says, but the tag alone gives each breast "
        "one image of a view: stored mirrored: D2-0007 CC (tag L)"
    )


def test_one_of_two_images_is_stored_mirrored(tmp_path):
    """Both images of D1-0001 are tagged R, and so is the table: one leaning left makes no left breast."""
    tree = CmmdTree(tmp_path / "cmmd")
    tree.images[0].pixels = "L"
    manifest = api.index("cmmd", tree.write().root)
    assert labels(manifest)["D1-0001_R-CC"] == "Benign"
    assert manifest.notes[1].endswith("stored mirrored: D1-0001 CC (tag R)")


def test_swapped_tags_of_a_pair(tmp_path):
    """Both MLO tags of D2-0007 are swapped: pixels and tags both give one image a view, the pixels win."""
    tree = CmmdTree(tmp_path / "cmmd")
    tree.images[7].tag, tree.images[9].tag = "R", "L"
    tree.write().annotate("D2-0007", "R", [outline("mass", (30, 10), (35, 20))])
    manifest = api.index("cmmd", tree.root)
    record = next(manifest.records())
    assert record.path == tree.place(tree.images[9])
    assert (record.laterality, record.label) == (Laterality.RIGHT, "Malignant")


def test_a_row_that_repeats_the_wrong_tags(tmp_path):
    """All images of D1-0001 are tagged L and show the right breast; the table says L too."""
    tree = CmmdTree(tmp_path / "cmmd")
    tree.rows[0] = ("D1-0001", "L", "Benign")
    tree.images[0].tag = tree.images[1].tag = "L"
    manifest = api.index("cmmd", tree.write().root)
    assert labels(manifest)["D1-0001_R-CC"] == "Benign"
    assert manifest.dropped == ()
    assert any(note.endswith("moved there: D1-0001 L to R") for note in manifest.notes)


def test_views_without_a_lesion(outlined):
    """Normal: looked at, nothing found. Invisible and Exclusion may hide a lesion and stay out."""
    pytest.importorskip("openpyxl")
    readings = [("D1-0002", "L", "Malignant"), ("D1-0002", "R", "Normal"), ("D2-0007", "L", "Invisible")]
    outlined.write_reading(readings)
    manifest = api.index("cmmd", outlined.root)
    assert set(lesions(manifest)) == {"D1-0001_R-MLO", "D1-0002_L-MLO", "D1-0002_R-MLO", "D2-0007_R-MLO"}
    assert lesions(manifest)["D1-0002_R-MLO"] == []
    assert "1 MLO views were read as Normal by TOMPEI-CMMD: no lesion" in manifest.notes
    assert "5 CC, 1 MLO (images=all takes them as healthy)" in manifest.notes[-2]


def test_a_reading_without_known_classes(outlined):
    pytest.importorskip("openpyxl")
    outlined.write_reading([("D1-0002", "L", "Cancer")])
    with pytest.raises(DatasetError, match="no row of 'Imaging Diagnosis Details Sheet' has a"):
        api.index("cmmd", outlined.root)


def test_a_lesion_on_the_breast_without_a_row(outlined):
    outlined.annotate("D1-0002", "R", [outline("calc ", (30, 20), (33, 23))])
    manifest = api.index("cmmd", outlined.root)
    assert lesions(manifest)["D1-0002_R-MLO"] == [((30, 20, 34, 24), "calc")]
    assert any(note.endswith("the row may be of the wrong side: D1-0002 R") for note in manifest.notes)


def test_copies_of_annotations_that_hold_none(outlined):
    """The release's zip unpacks a folder __MACOSX on some systems."""
    copies = outlined.root / "__MACOSX" / "TOMPEI-CMMD_v01_20250123"
    copies.mkdir(parents=True)
    (copies / "._D1-0002_MLO_L_AnnotationFile.json").write_bytes(b"\0\5\x16\7")
    (copies / "D1-0002_MLO_L_AnnotationFile.json").write_bytes(b"\0\5\x16\7")
    assert len(api.index("cmmd", outlined.root).lesions) == 3


def test_tags_may_be_believed(tmp_path):
    tree = CmmdTree(tmp_path / "cmmd")
    tree.images[3].tag = "R"
    tree.images[2].tag = None
    manifest = api.index("cmmd", tree.write().root, side="tag", allow_missing=True)
    assert labels(manifest)["D1-0002_R-MLO1"] == "unlabelled"
    assert manifest.dropped == (
        f"{tree.place(tree.images[2])}: the header does not say which breast it is",
        "CMMD_clinicaldata_revision.csv: 1 breasts have no image on disk: D1-0002 L",
    )
    assert "more than one image of a view: D1-0002 R-MLO" in manifest.notes


def test_an_annotation_named_by_the_tag(tmp_path):
    """No right MLO by pixels, but one by its tag: the outline belongs to it, and that is said."""
    tree = CmmdTree(tmp_path / "cmmd", [("D1-0002", "L", "Benign")], [Image("D1-0002", "L", "MLO", tag="R")])
    tree.write().annotate("D1-0002", "R", [outline("mass", (3, 10), (9, 20))])
    manifest = api.index("cmmd", tree.root)
    assert lesions(manifest) == {"D1-0002_L-MLO": [((3, 10, 10, 21), "mass Benign")]}
    assert any(note.endswith("not its pixels: D1-0002_MLO_R_AnnotationFile.json") for note in manifest.notes)
    tree.annotate("D1-0002", "L", [])
    with pytest.raises(DatasetError, match=r"no image is left \(.*has another annotation file"):
        api.index("cmmd", tree.root)


def test_two_images_of_an_annotated_view(outlined):
    """Nobody knows which of the two was looked at, so both are left out."""
    outlined.images.append(Image("D1-0002", "L", "MLO"))
    outlined.write_image(outlined.images[-1])
    manifest = api.index("cmmd", outlined.root, images="all")
    assert len(manifest) == 9
    assert manifest.dropped == ("D1-0002_MLO_L_AnnotationFile.json: 2 images are of that view, all left out",)


def test_an_annotation_without_image(outlined):
    outlined.annotate("D1-0099", "L", [])
    assert api.index("cmmd", outlined.root).dropped == (
        "D1-0099_MLO_L_AnnotationFile.json: no such image on disk",
    )


def test_the_same_annotation_twice(outlined):
    path = outlined.annotate("D1-0001", "R", [])
    (outlined.root / path.name).write_text("[]")
    with pytest.raises(DatasetError, match="are of the same view; keep one of them"):
        api.index("cmmd", outlined.root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ({"label": "mass"}, "is no list of outlines"),
        ([{"label": "mass"}], "outline 1 has no label or no cgPoints"),
        ([outline("mass")], "outline 1 has no label or no cgPoints"),
        ([{"cgPoints": [{"x": 1, "y": 1}]}], "outline 1 has no label or no cgPoints"),
        (["mass"], "outline 1 has no label or no cgPoints"),
        ([{"label": "mass", "cgPoints": [{"x": 1}]}], "outline 1 has a point that is not x and y"),
        ([{"label": "mass", "cgPoints": [[1, 2]]}], "outline 1 has a point that is not x and y"),
        ('[{"label": "mass", "cgPoints": [{"x": NaN, "y": 1}]}]', "not two numbers"),
        ([outline("mass", (50, 5), (55, 9))], "an outline lies outside of the 60 x 40 pixels"),
    ],
)
def test_outlines_that_are_none_take_their_image_along(outlined, content, message):
    path = outlined.annotate("D1-0002", "L", content)
    manifest = api.index("cmmd", outlined.root)
    assert set(lesions(manifest)) == {"D1-0001_R-MLO", "D2-0007_R-MLO"}
    assert len(manifest.dropped) == 1
    assert manifest.dropped[0].startswith(f"{path}: ")
    assert message in manifest.dropped[0]


def test_missing_breasts(tree):
    for image in tree.images[6:8]:
        tree.place(image).unlink()
    with pytest.raises(DatasetError, match=r"1 of 4 breasts .* such as D2-0007 L; .*--allow-missing"):
        api.index("cmmd", tree.root)
    manifest = api.index("cmmd", tree.root, allow_missing=True)
    assert len(manifest) == 8
    assert manifest.dropped == ("CMMD_clinicaldata_revision.csv: 1 breasts have no image on disk: D2-0007 L",)


def test_damaged_and_foreign_files_do_not_stop_the_rest(tree):
    damaged = tree.place(tree.images[0])
    damaged.write_bytes(b"nothing")
    foreign = Image("XX-0001", "L", "CC")
    tree.images.append(foreign)
    path = tree.write_image(foreign)
    manifest = api.index("cmmd", tree.root)
    assert len(manifest) == 9
    assert len(manifest.dropped) == 2
    assert manifest.dropped[0].startswith(f"{damaged}: not a DICOM file")
    assert manifest.dropped[1] == f"{path}: PatientID 'XX-0001' is not one of CMMD"


def test_no_image_at_all(tree):
    for image in tree.images:
        tree.place(image).write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"no image of CMMD is here; first: .*not a DICOM file"):
        api.index("cmmd", tree.root)


def test_the_same_image_twice(tree):
    path = tree.place(tree.images[0])
    (tree.root / "copy.dcm").write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="are the same image; keep one of them"):
        api.index("cmmd", tree.root)


def test_other_projections_keep_their_word(tree):
    tree.images[0].view = "ML"
    tree.write_image(tree.images[0])
    first = next(api.index("cmmd", tree.root).records())
    assert (first.view, first.view_key) == (View.OTHER, "R-ML")


def test_a_breast_with_two_classes(tree):
    tree.rows.append(("D1-0001", "R", "Malignant"))
    tree.rows.append(("D1-0002", "L", "benign"))
    tree.write_csv()
    manifest = api.index("cmmd", tree.root)
    assert labels(manifest)["D1-0001_R-CC"] == "Malignant"
    assert labels(manifest)["D1-0002_L-CC"] == "Malignant"
    assert manifest.notes[0] == (
        "CMMD_clinicaldata_revision.csv: a breast is both benign and malignant, malignant is taken, "
        "in lines 6, 7"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("D1-0001,R", "D1-0001,B", "LeftRight is none of L, R in line 2"),
        ("D1-0001,R", ",R", "ID1 is empty in line 2"),
        (
            "D1-0001,R,44,2,mass,Benign",
            "D1-0001,R,44,2,mass,?",
            "classification is none of Malignant, Benign",
        ),
        ("classification", "class", "columns are missing: classification"),
    ],
)
def test_wrong_tables_are_named(tree, old, new, message):
    tree.edit(old, new)
    with pytest.raises(DatasetError, match=message):
        api.index("cmmd", tree.root)


def test_missing_table(tree):
    tree.csv.unlink()
    with pytest.raises(DatasetError, match=r"no CMMD_clinicaldata\*\.xlsx or \.csv here; .* --tables"):
        api.index("cmmd", tree.root)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("side", "header", "pixels, tag"),
        ("images", "mlo", "annotated, all"),
        ("workers", "0", "expected whole number, at least 1"),
    ],
)
def test_wrong_options(tree, name, value, accepted):
    with pytest.raises(ConfigError, match=accepted):
        api.index("cmmd", tree.root, **{name: value})


@pytest.mark.parametrize("side", ["L", "R"])
def test_leaning_side(side):
    frame = breast(1, 60, 40, side)[0]
    assert leaning_side(frame) == Laterality(side)
    last = frame[:, ::-1][:, :1] * 0 + 600
    lit = np.where(np.arange(40) == (39 if side == "L" else 0), last, frame)
    assert leaning_side(lit[5:9]) is None
    assert leaning_side(np.zeros_like(frame)) is None
    assert leaning_side(np.full_like(frame, 77)) is None


def test_many_images_in_processes_give_the_same_sides(tmp_path):
    """40 images are more than stay in this process."""
    images = [Image(f"D1-{k:04d}", "LR"[k % 2], "MLO", tag="L") for k in range(40)]
    rows = [(image.patient, image.side, "Benign") for image in images]
    root = CmmdTree(tmp_path / "cmmd", rows, images).write().root
    manifest = api.index("cmmd", root, workers="2")
    assert list(manifest.images["laterality"]) == ["LR"[k % 2] for k in range(40)]


def test_command_line(outlined, tmp_path, comoto):
    outlined.annotate("D1-0002", "L", "[")
    arguments = ["index", "cmmd", outlined.root, "--out", tmp_path / "m", "--set", "images=all"]
    code, _, err = comoto(*arguments, "--strict")
    assert code == 2
    assert "D1-0002_MLO_L_AnnotationFile.json: is no JSON" in err
    assert not (tmp_path / "m").exists()
    code, out, _ = comoto(*arguments)
    assert code == 0
    assert out.splitlines()[0] == "cmmd: 9 images, 1 lesions"
    assert "dropped: " in out
