"""Boxes that nobody could have drawn on the image they are given for: refused, or once counted, and told."""

import numpy as np
import pandas as pd
import pytest
from releases_own_tables import COLUMNS, ROWS, Hospital

from comoto import api
from comoto.errors import ConfigError, DatasetError
from comoto.records import LESION_COLUMNS, Manifest
from dicom_files import write_dicom

HEALTHY = "an image whose lesion row is taken away counts as healthy"
BOX = "2.5,3.25,8.75,9.5"


def table_of(place, boxes, header="path,x1,y1,x2,y2,category"):
    """Write lesions.csv; ``boxes`` are rows without the path, the first of image 0."""
    place.table("lesions.csv", header, *(f"{n}.dcm,{row}" for n, row in enumerate(boxes)))


def hospital(tmp_path, sides="LLLLLLLL", shape=(ROWS, COLUMNS)):
    """A mammogram a patient: 12 x 8 pixels of tissue at the chest wall, lesions anywhere in it."""
    place = Hospital(tmp_path)
    rows = ["path,patient_id,study_id,view,laterality"]
    for n, side in enumerate(sides):
        y, x = np.mgrid[: shape[0], : shape[1]]
        tissue = (x < shape[1] // 2) & (y >= 2)
        frame = np.where(tissue if side == "L" else tissue[:, ::-1], 500, 10).astype(np.uint16)
        write_dicom(place.root / f"{n}.dcm", frame, "raw", tags={"SOPInstanceUID": f"1.2.{n}"})
        rows.append(f"{n}.dcm,P{n},S{n},CC,{side}")
    place.table("images.csv", *rows)
    return place


def index(place, **options):
    return api.index("csv", place.root, **options)


def corners(manifest):
    return manifest.lesions[["x1", "y1", "x2", "y2"]].to_numpy().tolist()


# ---- sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("2,3,2,9", "the box is empty in line 2"),
        ("7,3,2,9", "the box is empty in line 2"),
        ("2,3,2.1,3.1", "the box is smaller than a pixel in line 2"),
        ("2,3,9,3.5", "the box is smaller than a pixel in line 2"),
        ("2,3,1e9,1e9", "for the greater part outside of its image in line 2"),
        ("-30,3,7,9", "for the greater part outside of its image in line 2"),
        ("23.5,3,24.6,9", "for the greater part outside of its image in line 2"),
        ("24,3,30,9", "wholly outside of its image in line 2"),
        ("0,0,inf,inf", "x2 is no number in line 2"),
        ("nan,3,7,9", "part of the box is missing in line 2; correct these rows"),
        (",,,", "a finding has no box in line 2"),
    ],
)
def test_impossible_boxes_are_refused_with_a_way_out_that_does_no_harm(tmp_path, box, message):
    place = hospital(tmp_path, "LL")
    table_of(place, [f"{box},mass", "2,3,7,9,mass"])
    with pytest.raises(DatasetError, match=message) as error:
        index(place)
    assert "remove" not in str(error.value)
    manifest = index(place, exclude="0.dcm")
    assert list(manifest.images["image_id"]) == ["1.dcm"]
    assert "left out wholly, as asked for: 0.dcm" in manifest.notes
    assert corners(manifest) == [[2, 3, 7, 9]]


def test_the_remedy_says_what_a_missing_row_means(tmp_path):
    place = hospital(tmp_path, "LL")
    table_of(place, ["2,3,2,9,mass", "2,3,7,9,mass"])
    with pytest.raises(DatasetError, match=rf"or leave out their images wholly \(--set exclude=.*{HEALTHY}"):
        index(place)


def test_possible_boxes_are_taken_as_they_are(tmp_path):
    """One pixel, exponents, the whole image, a finding that says that it is none."""
    place = hospital(tmp_path)
    table_of(
        place,
        [
            *("2,3,3,4,mass", "2.5e0,3.0e0,7e0,9e0,mass", f"0,0,{COLUMNS},{ROWS},mass", "-3,3,7,9,mass"),
            *(",,,,", ",,,,normal", ",,,,No Finding"),
        ],
    )
    manifest = index(place)
    assert corners(manifest) == [[2, 3, 3, 4], [2.5, 3, 7, 9], [0, 0, COLUMNS, ROWS], [0, 3, 7, 9]]
    assert "lesions.csv: 1 box clipped to the image (line 5)" in manifest.notes
    assert "lesions.csv: the box covers the whole image in line 4; is it a lesion?" in manifest.notes
    assert "lesions.csv: 3 rows have no box and count as no lesion" in manifest.notes


def test_a_table_without_rows_is_told(tmp_path):
    place = hospital(tmp_path, "L")
    table_of(place, [])
    assert "lesions.csv: has no rows: every image counts as without lesion" in index(place).notes


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("9.dcm", r"exclude=9\.dcm: no image of that name .*\(there is a '0\.dcm'\)"),
        (" , ", "exclude= , : expected text"),
    ],
)
def test_an_excluded_image_that_is_none(tmp_path, value, message):
    place = hospital(tmp_path, "L")
    table_of(place, ["2,3,7,9,mass"])
    with pytest.raises(ConfigError, match=message):
        index(place, exclude=value)


# ---- twice ------------------------------------------------------------------------------------------------


def test_the_same_box_twice_is_one_lesion(tmp_path):
    place = hospital(tmp_path, "LL")
    place.table(
        "lesions.csv",
        "path,x1,y1,x2,y2,category",
        "0.dcm,2,3,7,9,mass",
        "1.dcm,2,3,7,9,mass",
        "0.dcm,2,3,7,9,mass",
        "0.dcm,2,3,7.0,9,calcification",
    )
    manifest = index(place)
    assert corners(manifest) == [[2, 3, 7, 9], [2, 3, 7, 9]]
    assert list(manifest.lesions["category"]) == ["mass, calcification", "mass"]
    assert (
        "lesions.csv: 2 rows have the box of another row of the same image and are counted once with it "
        "(lines 2, 4, 5)"
    ) in manifest.notes


def test_boxes_that_are_almost_the_same_are_named(tmp_path):
    """IoU of (2, 3, 10, 13) and the same one pixel on: 7 x 9 of 160 - 63, 0.65; half a pixel on: 0.83."""
    place = hospital(tmp_path, "L")
    header, first = "path,x1,y1,x2,y2,category", "0.dcm,2,3,10,13,mass"
    place.table("lesions.csv", header, first, "0.dcm,3,4,11,14,asymmetry")
    assert len(index(place).lesions) == 2
    assert not [note for note in index(place).notes if "almost the same" in note]
    place.table("lesions.csv", header, first, "0.dcm,2.5,3,10.5,13.5,asymmetry")
    manifest = index(place)
    assert len(manifest.lesions) == 2
    assert (
        "lesions.csv: boxes of one image are almost the same in lines 2, 3; each counts as a lesion"
        in manifest.notes
    )


def test_the_same_box_twice_in_releases(bcs_tree, vindr_tree):
    line = "DBT-P00002,DBT-S00002,rmlo,0,2,5,6,4,7,cancer,0,5\n"
    before = api.index("bcs-dbt", bcs_tree.root)
    bcs_tree.edit("boxes", line, line + line)
    manifest = api.index("bcs-dbt", bcs_tree.root)
    assert corners(manifest) == corners(before)
    assert (
        "BCS-DBT-boxes-train-v2.csv: 1 row has the box of another row of the same image and is counted once "
        "with it (lines 3, 4)"
    ) in manifest.notes
    bcs_tree.edit("boxes", line + line, line + line.replace("cancer", "benign"))
    with pytest.raises(DatasetError, match="the same box is benign and cancer in lines 3, 4"):
        api.index("bcs-dbt", bcs_tree.root)

    before = api.index("vindr-mammo", vindr_tree.root)
    finding = next(row for row in vindr_tree.findings.read_text().splitlines() if BOX in row)
    vindr_tree.edit(vindr_tree.findings, finding, f"{finding}\n{finding}")
    manifest = api.index("vindr-mammo", vindr_tree.root)
    assert corners(manifest) == corners(before)
    assert any("counted once with it (lines 4, 5)" in note for note in manifest.notes)


def test_no_reader_gives_a_lesion_twice(tmp_path, monkeypatch):
    """The net under all readers, also of outside code, which name no lines."""
    place = hospital(tmp_path, "LL")
    table_of(place, ["2,3,7,9,mass", "4,5,9,9,mass"])
    once = index(place)

    def careless(root):
        lesions = once.lesions.loc[[0, 0, 1, 0]]
        return Manifest("own", once.images, lesions[list(LESION_COLUMNS)])

    monkeypatch.setattr("comoto.datasets.resolve", lambda table, name: careless)
    manifest = api.index("my_lab:careless", place.root)
    assert corners(manifest) == corners(once)
    assert manifest.notes == ("2 lesions are given twice and counted once, on 0.dcm",)


def test_repeated_views_of_a_study_get_a_number(tmp_path, monkeypatch):
    """Two images of one study and key would be one image to every table of predictions."""
    place = hospital(tmp_path, "LLLL")
    found = index(place)
    images = found.images.assign(
        study_id="s", view_key=pd.array(["lcc", "lcc", "lcc1", "lcc"], dtype="string")
    )
    own = Manifest("own", images, found.lesions)
    monkeypatch.setattr("comoto.datasets.resolve", lambda table, name: lambda root: own)
    manifest = api.index("my_lab:careless", place.root)
    assert list(manifest.images["view_key"]) == ["lcc", "lcc2", "lcc1", "lcc3"]
    assert manifest.notes == (
        "2 views are in their study more than once and get a number, such as lcc2 of s",
    )


def test_images_of_nobody_are_left_out_and_told(tmp_path, monkeypatch):
    """Blank ids would make one patient of many people."""
    place = hospital(tmp_path, "LL")
    table_of(place, ["2,3,7,9,mass", "4,5,9,9,mass"])
    found = index(place)

    def reader_of(ids):
        images = found.images.assign(patient_id=pd.array(ids, dtype="string"))
        return lambda root: Manifest("own", images, found.lesions)

    monkeypatch.setattr("comoto.datasets.resolve", lambda table, name: reader_of(["P0", " "]))
    manifest = api.index("my_lab:careless", place.root)
    assert list(manifest.images["image_id"]) == ["0.dcm"]
    assert manifest.dropped == (f"1 images have no patient, such as {place.root / '1.dcm'}",)
    monkeypatch.setattr("comoto.datasets.resolve", lambda table, name: reader_of(["", ""]))
    with pytest.raises(DatasetError, match=r"2 images have no patient, such as .*; give each a patient_id"):
        api.index("my_lab:careless", place.root)


def test_rows_of_one_volume_that_differ_are_not_chosen_between(bcs_tables):
    """Keeping either row of a volume that is normal and cancer would be a guess."""
    row = "DBT-P00002,DBT-S00002,rmlo1,0,0,0,1\n"
    bcs_tables.edit("labels", row, row + row.replace("0,0,0,1", "1,0,0,0"))
    with pytest.raises(DatasetError, match="more than once in lines 2, 3; the rows differ: find out which"):
        api.index("bcs-dbt", bcs_tables.root)


@pytest.mark.parametrize("kind", ["labels", "boxes", "file-paths"])
def test_a_volume_whose_row_is_wrong_can_be_left_out_wholly(bcs_tree, kind):
    bcs_tree.edit("boxes", "rmlo1,0,5,0,0,6,8", "rmlo1,0,99,0,0,6,8")
    image = "DBT-P00002_DBT-S00002_rmlo1"
    with pytest.raises(DatasetError, match=rf"Slice is not between .* in line 2; .*exclude=.*{HEALTHY}"):
        api.index("bcs-dbt", bcs_tree.root)
    manifest = api.index("bcs-dbt", bcs_tree.root, exclude=image)
    assert image not in set(manifest.images["image_id"])
    assert len(manifest) == 5
    assert f"left out wholly, as asked for: {image}" in manifest.notes
    with pytest.raises(ConfigError, match=f"there is a '{image}'"):
        api.index("bcs-dbt", bcs_tree.root, exclude=f"{image}9")


def test_an_image_of_vindr_can_be_left_out_wholly(vindr_tree):
    vindr_tree.edit(vindr_tree.findings, BOX, "2.5,3.25,2.5,9.5")
    with pytest.raises(DatasetError, match=rf"the box is empty in line 4; .*exclude=IMAGE_ID.*{HEALTHY}"):
        api.index("vindr-mammo", vindr_tree.root)
    assert list(api.index("vindr-mammo", vindr_tree.root, exclude="a2").images["image_id"]) == [
        "a1",
        "b1",
        "c1",
    ]


# ---- another coordinate system ----------------------------------------------------------------------------


def test_shares_are_refused_and_read_where_they_are_announced(tmp_path):
    place = hospital(tmp_path, "LR", shape=(40, 20))
    table_of(place, ["0.1,0.25,0.3,0.5,mass", "0.6,0.25,0.8,0.75,mass"])
    message = (
        r"these look normalised: every box lies between 0 and 1 \(lines 2, 3\).*boxes=yolo.*boxes=pixels"
    )
    with pytest.raises(DatasetError, match=message):
        index(place)
    expected = [[2, 10, 6, 20], [12, 10, 16, 30]]
    assert np.allclose(corners(index(place, boxes="normalised")), expected)
    with pytest.raises(DatasetError, match="smaller than a pixel in lines 2, 3"):
        index(place, boxes="pixels")
    centres = ["0,0.2,0.375,0.2,0.25", "0,0.7,0.5,0.2,0.5"]
    for names in ("x_center,y_center", "x,y", "cx,cy", "X_Centre,Y_Centre"):
        table_of(place, centres, f"path,class,{names},width,height")
        assert np.allclose(corners(index(place, boxes="yolo")), expected)
        with pytest.raises(DatasetError, match="boxes=yolo"):
            index(place)


def test_pixels_are_no_shares(tmp_path):
    place = hospital(tmp_path, "LR")
    table_of(place, ["0.1,0.25,0.3,0.5,mass", "12,3,18,9,mass"])
    with pytest.raises(DatasetError, match="not between 0 and 1, as boxes=normalised are in line 3"):
        index(place, boxes="normalised")
    with pytest.raises(DatasetError, match="smaller than a pixel in line 2"):  # not all of them look so
        index(place)
    with pytest.raises(DatasetError, match="boxes=yolo needs the columns x"):
        index(place, boxes="yolo")
    with pytest.raises(ConfigError, match="have no last pixel"):
        index(place, boxes="normalised", corners="pixels")
    with pytest.raises(ConfigError, match="accepted are pixels, normalised, yolo"):
        index(place, boxes="coco")


def test_boxes_of_smaller_copies_are_suspected(tmp_path):
    place = hospital(tmp_path)
    table_of(place, [f"{1 + n / 10},{2 + n},{5 + n / 10},{8 + n},mass" for n in range(8)])
    with pytest.raises(DatasetError, match="all 8 boxes lie in the upper left quarter of their images"):
        index(place)
    assert len(index(place, boxes="pixels").lesions) == 8
    table_of(place, [f"1,{2 + 4 * n},5,{8 + 4 * n},mass" for n in range(8)])
    assert len(index(place).lesions) == 8


def test_boxes_on_mirrored_copies_are_suspected(tmp_path):
    """Right breasts lean right, here in columns 12 to 23; a box at 2 to 7 was drawn on a mirrored copy."""
    place = hospital(tmp_path, "RRRL")
    table_of(place, ["2,3,7,9,mass", "3,20,8,30,mass", "10,20,14,30,mass", "2,3,7,9,mass"])
    message = (
        r"lesions\.csv: a box of a right breast lies on air, and its mirror image on the breast, in lines 2, "
        r"3; with 0 boxes it is the other way round: .*--set boxes-on=mirrored.*--set boxes-on=stored"
    )
    with pytest.raises(DatasetError, match=message):
        index(place)
    mirrored = index(place, boxes_on="mirrored")
    assert corners(mirrored) == [[17, 3, 22, 9], [16, 20, 21, 30], [10, 20, 14, 30], [2, 3, 7, 9]]
    assert "lesions.csv: 3 boxes of right breasts mirrored (lines 2, 3, 4)" in mirrored.notes
    believed = index(place, boxes_on="stored")
    assert corners(believed)[0] == [2, 3, 7, 9]
    assert any("in lines 2, 3; look at them with 'comoto inspect'" in note for note in believed.notes)


def test_boxes_that_are_right_must_not_be_read_as_mirrored(tmp_path):
    place = hospital(tmp_path, "RL")
    table_of(place, ["16,3,21,9,mass", "2,3,7,9,mass"])
    assert corners(index(place)) == [[16, 3, 21, 9], [2, 3, 7, 9]]
    with pytest.raises(DatasetError, match=r"in line 2; .*leave boxes-on=mirrored out"):
        index(place, boxes_on="mirrored")


def test_one_odd_box_among_right_ones_is_a_note(tmp_path):
    place = hospital(tmp_path, "LLL")
    table_of(place, ["2,3,7,9,mass", "3,20,8,30,mass", "17,20,22,30,mass"])
    manifest = index(place)
    assert any(
        "a box of a left breast lies on air" in note and "in line 4" in note for note in manifest.notes
    )


def test_other_meanings_of_empty_boxes_are_told(tmp_path):
    """Read as left upper corner and size, boxes given by their centre would be moved without a word."""
    place = hospital(tmp_path, "LL")
    table_of(place, ["9,15,5,6,mass", "9,23,4,6,mass"])
    with pytest.raises(
        DatasetError, match=r"are the centre, take half .* are exchanged, exchange their names"
    ):
        index(place)


def test_sizes_under_the_names_of_corners(tmp_path):
    place = hospital(tmp_path, "LL")
    table_of(place, ["6,12,5,6,mass", "7,20,4,6,mass"])
    with pytest.raises(DatasetError, match="and x2 and y2 width and height, name them: --set columns=x:"):
        index(place)
    columns = "x:x1,y:y1,width:x2,height:y2"
    assert corners(index(place, columns=columns)) == [[6, 12, 11, 18], [7, 20, 11, 26]]


def test_exchanged_axes(tmp_path):
    place = hospital(tmp_path, "L")
    table_of(place, ["30,2,36,8,mass"])
    with pytest.raises(DatasetError, match="they fit with x and y, or rows and columns, exchanged"):
        index(place)
