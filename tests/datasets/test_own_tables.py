"""The generic tables: what is filled from headers, how boxes are understood, what is refused and how."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from releases_own_tables import COLUMNS, ROWS, Hospital

from comoto import api
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, Modality, Split, View

IMAGES = "path,patient_id,study_id,view,laterality,modality"
LESIONS = "path,x1,y1,x2,y2,slice_index,category"
PAGE = Path(__file__).parents[2] / "docs" / "datasets" / "csv.md"


@pytest.fixture
def hospital(tmp_path) -> Hospital:
    """Two mammograms of one patient, two volumes of another, and the tables that say so."""
    place = Hospital(tmp_path / "hospital")
    place.mammogram("a/l.dcm", "L")
    place.mammogram("a/r.dcm", "R")
    place.volume("b/l.dcm", "L")
    place.volume("b/turned.dcm", "L")
    place.table(
        "images.csv",
        IMAGES,
        "a/l.dcm,A,A1,CC,L,mammogram",
        "a/r.dcm,A,A1,MLO,R,mammogram",
        "b/l.dcm,B,B1,CC,L,tomosynthesis",
        "b/turned.dcm,B,B1,CC,R,tomosynthesis",
    )
    place.table("lesions.csv", LESIONS, "a/l.dcm,2,3,7.5,9,,mass", "b/l.dcm,1,2,5,8,3,mass")
    return place


def index(place, **options):
    return api.index("csv", place.root, **options)


def lesions(manifest):
    return {
        record.image_id: [(lesion.box_xyxy, lesion.slice_index) for lesion in record.lesions]
        for record in manifest.records()
        if record.lesions
    }


def test_the_kind_that_the_file_is_not_is_dropped(hospital):
    """Preparation would refuse them later: a folder of 8 slices as a mammogram, one frame as a volume."""
    hospital.stack("stack", frames=8)
    hospital.table(
        "images.csv",
        IMAGES,
        "a/l.dcm,A,A1,CC,L,mammogram",
        "stack,C,C1,CC,L,mammogram",
        "a/r.dcm,A,A1,MLO,R,tomosynthesis",
        "b/l.dcm,B,B1,CC,L,tomosynthesis",
    )
    hospital.table("lesions.csv", LESIONS, "a/r.dcm,2,3,7.5,9,0,mass", "stack,2,3,7,9,,mass")
    manifest = index(hospital)
    root, way_out = hospital.root, "correct the cell, or leave it empty for the file to decide"
    assert manifest.dropped == (
        f"images.csv: line 3: {root / 'stack'}: modality is mammogram, but there are 8 slices; {way_out}",
        f"images.csv: line 4: {root / 'a/r.dcm'}: modality is tomosynthesis, but there is one frame only; "
        f"{way_out}",
    )
    assert list(manifest.images["path"]) == [str(root / "a/l.dcm"), str(root / "b/l.dcm")]
    assert list(manifest.images["modality"]) == ["mammogram", "tomosynthesis"]
    assert lesions(manifest) == {}
    hospital.table("lesions.csv", LESIONS)
    assert len(index(hospital).dropped) == 1  # nothing else asks for the header of a/r.dcm
    assert index(hospital, headers="never").dropped == ()
    with pytest.raises(DatasetError, match=r"line 3: .* modality is mammogram, but there are 8 slices"):
        index(hospital, strict=True)


def test_images_and_lesions(hospital):
    records = {record.image_id: record for record in index(hospital).records()}
    first = records["a/l.dcm"]
    assert (first.patient_id, first.study_id, first.view_key) == ("A", "A1", "lcc")
    assert (first.view, first.laterality, first.modality) == (View.CC, Laterality.LEFT, Modality.MAMMOGRAM)
    assert (first.split, first.label, first.num_slices) == (Split.TRAIN, "lesion", 1)
    assert first.path == hospital.root / "a" / "l.dcm"
    assert records["a/r.dcm"].label == "no lesion"
    assert records["b/l.dcm"].modality is Modality.TOMOSYNTHESIS
    assert lesions(index(hospital)) == {"a/l.dcm": [((2, 3, 7.5, 9), None)], "b/l.dcm": [((1, 2, 5, 8), 3)]}


def test_path_alone_is_enough(tmp_path):
    """Everything else stands in the headers."""
    place = Hospital(tmp_path)
    place.mammogram(
        "x.dcm", "R", PatientID="P7", StudyInstanceUID="1.2.7", ImageLaterality="R", ViewPosition="ML"
    )
    place.volume("y.dcm", frames=3, PatientID="P7", StudyInstanceUID="1.2.7", ImageLaterality="L")
    place.table("images.csv", "path", "x.dcm", "y.dcm")
    manifest = index(place)
    first, second = manifest.records()
    assert (first.patient_id, first.study_id, first.view_key) == ("P7", "1.2.7", "rml")
    assert (first.view, first.modality, first.num_slices) == (View.OTHER, Modality.MAMMOGRAM, 1)
    assert (second.laterality, second.view, second.num_slices) == (Laterality.LEFT, View.CC, 3)
    assert second.modality is Modality.TOMOSYNTHESIS
    assert "no table of lesions: every image counts as without lesion" in manifest.notes


def test_complete_tables_open_no_file(tmp_path):
    """The files are not even DICOM."""
    place = Hospital(tmp_path)
    place.table("x.dcm", "no image")
    place.table("images.csv", f"{IMAGES},rows,columns,num_slices", "x.dcm,A,A1,MLO,R,DBT,100,80,9")
    place.table("lesions.csv", LESIONS, "x.dcm,1,2,3,4,8,")
    assert lesions(index(place, boxes_on="corrected")) == {"x.dcm": [((1, 2, 3, 4), 8)]}


def test_long_paths_and_paths_written_in_two_ways(tmp_path):
    """Stores make file names of image ids, and a file name has at most 255 characters."""
    place = Hospital(tmp_path)
    folders = ["/".join(f"1.2.840.{k}{'1' * 50}" for k in range(4)) + f"/{name}" for name in "ab"]
    for folder in folders:
        place.mammogram(f"{folder}/1-1.dcm")
    place.table("images.csv", "path,patient_id,view,side", *(f"./{name}/1-1.dcm,A,CC,L" for name in folders))
    place.table("lesions.csv", "path,x1,y1,x2,y2", f"{folders[1]}/1-1.dcm".replace("/", "\\") + ",1,2,3,4")
    manifest = index(place)
    names = list(manifest.images["image_id"])
    assert [len(name) for name in names] == [160, 160]
    assert len(set(names)) == 2
    assert lesions(manifest) == {names[1]: [((1, 2, 3, 4), None)]}


def test_mg_says_neither(tmp_path):
    """DICOM's Modality is MG for mammograms and tomosynthesis alike."""
    place = Hospital(tmp_path)
    place.mammogram("m.dcm")
    place.volume("v.dcm")
    place.table("images.csv", IMAGES, "m.dcm,A,A1,CC,L,MG", "v.dcm,A,A1,CC,L,MG")
    assert list(index(place).images["modality"]) == ["mammogram", "tomosynthesis"]


def test_a_folder_of_slices_and_a_folder_of_one_file(tmp_path):
    place = Hospital(tmp_path)
    place.stack("stack", frames=5)
    place.volume("series/1-1.dcm", frames=3)
    place.table("images.csv", "path,patient_id,view,laterality", "stack,A,CC,L", "series,A,MLO,L")
    place.table("lesions.csv", LESIONS, "stack,1,2,5,8,4,mass")
    images = index(place).images
    assert list(images["num_slices"]) == [5, 3]
    assert [Path(path).name for path in images["path"]] == ["stack", "1-1.dcm"]


def test_boxes_turn_with_their_volume(hospital):
    """The right breast touches the left side: the volume is turned, and (1, 2, 5, 8) with it."""
    hospital.table("lesions.csv", LESIONS, "b/turned.dcm,1,2,5,8,3,mass", "b/l.dcm,1,2,5,8,3,mass")
    turned = (COLUMNS - 5, ROWS - 8, COLUMNS - 1, ROWS - 2)
    manifest = index(hospital)
    assert lesions(manifest) == {"b/turned.dcm": [(turned, 3)], "b/l.dcm": [((1, 2, 5, 8), 3)]}
    assert any("1 boxes turned with their volumes" in note and "line 2" in note for note in manifest.notes)
    assert lesions(index(hospital, boxes_on="corrected"))["b/turned.dcm"] == [((1, 2, 5, 8), 3)]


def test_turned_boxes_lie_on_the_same_pixels(hospital, tmp_path):
    """What the box holds in the stored frame is what it holds on the prepared grid's source."""
    from comoto.config import load_train_config
    from comoto.preprocessing.plan import plan_image
    from comoto.sources import open_source

    hospital.table("lesions.csv", LESIONS, "b/turned.dcm,1,12,9,30,3,mass")
    record = next(record for record in index(hospital).records() if record.image_id == "b/turned.dcm")
    (box,) = (lesion.box_xyxy for lesion in record.lesions)
    config = load_train_config("demo", ()).preprocess
    with open_source(record.path) as image:
        plan = plan_image(image, record.laterality, record.modality, config)
        stored = image.frame(3)
    x1, y1, x2, y2 = map(int, box)
    assert (plan.orient.image(stored)[y1:y2, x1:x2][::-1, ::-1] == stored[12:30, 1:9]).all()


@pytest.mark.parametrize(
    ("header", "row", "options", "expected"),
    [
        ("path,x,y,width,height", "a/l.dcm,2,3,5,6", {}, (2, 3, 7, 9)),
        ("path,X,Y,W,H", "a/l.dcm,2,3,5,6", {}, (2, 3, 7, 9)),
        ("path,xmin,ymin,xmax,ymax", "a/l.dcm,2,3,7,9", {}, (2, 3, 7, 9)),
        ("path,left,top,right,bottom", "a/l.dcm,2,3,7,9", {}, (2, 3, 7, 9)),
        ("path,x1,y1,x2,y2", "a/l.dcm,2,3,7,9", {"corners": "pixels"}, (2, 3, 8, 10)),
        ("path,x1,y1,x2,y2", "a/l.dcm,-3,3,30,9", {}, (0, 3, COLUMNS, 9)),
        ("file,A,B,C,D", "a/l.dcm,2,3,7,9", {"columns": "x1:A,y1:B,x2:C,y2:D"}, (2, 3, 7, 9)),
        ("path,x1,y1,x2,y2", 'a/l.dcm,"2,25",3,"7,5",9', {}, (2.25, 3, 7.5, 9)),
    ],
)
def test_forms_of_boxes(hospital, header, row, options, expected):
    hospital.table("lesions.csv", header, row)
    assert lesions(index(hospital, **options)) == {"a/l.dcm": [(expected, None)]}


def test_slices_from_one(hospital):
    hospital.table("lesions.csv", LESIONS, "b/l.dcm,1,2,5,8,4,mass")
    with pytest.raises(DatasetError, match=r"beyond the last slice in line 2.*add --set first-slice=1"):
        index(hospital)
    assert lesions(index(hospital, first_slice="1")) == {"b/l.dcm": [((1, 2, 5, 8), 3)]}


def test_one_table_for_both(hospital):
    one = hospital.table(
        "one.tsv",
        "ImageID\tfile\tPatient\tview\tx1\ty1\tx2\ty2\tclass",
        "i1\ta\\l.dcm\tA\tLeft Cranio-Caudal\t1\t2\t3\t4\tmass",
        "i1\ta\\l.dcm\tA\tLeft Cranio-Caudal\t5\t6\t7\t8\tcalc",
        "i2\ta\\r.dcm\tA\tR MLO\t\t\t\t\t",
    )
    manifest = index(hospital, tables=one)
    assert lesions(manifest) == {"i1": [((1, 2, 3, 4), None), ((5, 6, 7, 8), None)]}
    assert list(manifest.images["view_key"]) == ["lcc", "rmlo"]
    assert list(manifest.lesions["category"]) == ["mass", "calc"]


def test_one_table_must_agree_with_itself(hospital):
    one = hospital.table("one.csv", "path,patient_id,x1,y1,x2,y2", "a/l.dcm,A,1,2,3,4", "a/l.dcm,B,5,6,7,8")
    with pytest.raises(
        DatasetError, match="patient_id is not that of an earlier row of the same path in line 3"
    ):
        index(hospital, tables=one)


def test_words(tmp_path):
    place = Hospital(tmp_path)
    for name in "abcde":
        place.mammogram(f"{name}.dcm")
    place.table(
        "images.csv",
        "path,patient_id,study_id,view,side,set",
        "a.dcm,1,s,Kranial,links,training",
        "b.dcm,2,s,r-mlo1,,VAL",
        "c.dcm,3,s,LXCCL,left,Test",
        "d.dcm,4,s,cc,I,",
        "e.dcm,4,s,CC,I,train",
    )
    manifest = index(place, words="Kranial:CC,I:L")
    pd.testing.assert_frame_equal(index(place, words={"Kranial": "CC", "I": "L"}).images, manifest.images)
    assert list(manifest.images["view_key"]) == ["lcc", "rmlo1", "lxccl", "lcc1", "lcc2"]
    assert list(manifest.images["split"]) == ["train", "validation", "test", "train", "train"]
    with pytest.raises(
        DatasetError, match=r"laterality 'I' is not understood in lines 5, 6; write L or R, or .*I:OUR_WORD"
    ):
        index(place, words="Kranial:CC")


def test_table_and_file_disagree(tmp_path):
    """The table wins for the side, the file for the number of slices."""
    place = Hospital(tmp_path)
    place.volume("v.dcm", frames=4, ImageLaterality="L")
    place.table("images.csv", f"{IMAGES},num_slices", "v.dcm,A,A1,CC,R,DBT,7")
    assert index(place).images["num_slices"][0] == 7
    manifest = index(place, headers="all")
    assert (manifest.images["laterality"][0], manifest.images["num_slices"][0]) == ("R", 4)
    assert [note for note in manifest.notes if "is not that of the file" in note] == [
        "images.csv: laterality is not that of the file in line 2; the table wins",
        "images.csv: num_slices is not that of the file in line 2; the file wins",
    ]


def test_one_broken_file_is_listed_and_the_rest_goes_on(hospital):
    hospital.table("a/l.dcm", "this is no DICOM file")
    manifest = index(hospital)
    assert list(manifest.images["image_id"]) == ["a/r.dcm", "b/l.dcm", "b/turned.dcm"]
    assert len(manifest.dropped) == 1
    assert re.match(r"images\.csv: line 2: .*a/l\.dcm: .*DICOM", manifest.dropped[0])
    with pytest.raises(DatasetError, match="--strict, and 1 would be left out"):
        index(hospital, strict=True)


def test_missing_files(hospital):
    (hospital.root / "b" / "l.dcm").rename(hospital.root / "b" / "L.dcm")
    with pytest.raises(
        DatasetError, match=r"1 of 4 images are not on disk.* \(line 4\).*there is a 'L.dcm'.*ROOT"
    ):
        index(hospital)
    manifest = index(hospital, allow_missing=True)
    assert manifest.dropped == ("images.csv: 1 of 4 images are not on disk, in line 4",)
    assert len(manifest) == 3
    assert set(lesions(manifest)) == {"a/l.dcm"}


def test_a_missing_folder_is_named(hospital):
    with pytest.raises(DatasetError, match=r"4 of 4 .*there is no 'a' in .*; relative paths start from ROOT"):
        api.index("csv", hospital.root / "b", tables=hospital.root)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a/l.dcm,A,A1,CC,L,m", ",A,A1,CC,L,m", r"images\.csv: path is empty in line 2; name the file"),
        ("a/r.dcm,A", "a/l.dcm,A", r"the same image_id stands more than once in lines 2, 3"),
        (
            "A1,CC,L,mammogram",
            "A1,CX,L,mammogram",
            r"view 'CX' is not understood in line 2.*words=CX:OUR_WORD",
        ),
        ("CC,L,mammogram", "CC,B,mammogram", r"laterality 'B' is not understood in line 2"),
        ("CC,L,mammogram", "RCC,L,mammogram", r"laterality is not the side that view names in line 2"),
        ("CC,L,mammogram", "CC,L,MRI", r"modality 'MRI' is not understood in line 2"),
        ("a/l.dcm,A,A1,CC,L,mammogram", "a/l.dcm,A,A1,CC,L", r"line 2 has 5 cells, the header has 6"),
        ("patient_id", "view ", r"the column view stands twice in the header"),
        (
            ",laterality",
            ",sidee",
            r"laterality is neither in the table nor in the file in lines 2, 3.*columns=laterality",
        ),
        ("path,", "location,", r"no column path.*--set columns=path:YOUR_NAME"),
        ("study_id", "patient", r"the columns client and patient may both be patient_id"),
    ],
)
def test_wrong_images_are_named(hospital, old, new, message):
    path = hospital.root / "images.csv"
    text = path.read_text()
    if "both" in message:
        text = text.replace("patient_id", "client")
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DatasetError, match=message):
        index(hospital)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a/l.dcm,2,3,2,9,,m"], r"lesions\.csv: the box is empty in line 2"),
        (["a/l.dcm,7,3,2,9,,m"], r"lesions\.csv: the box is empty in line 2"),
        (["a/l.dcm,24,3,30,9,,m"], r"wholly outside of its image in line 2"),
        (["a/l.dcm,two,3,4,9,,m"], r"x1 is no number in line 2"),
        (["a/l.dcm,,3,4,9,,m"], r"part of the box is missing in line 2"),
        (["a/l.dcm,inf,3,4,9,,m"], r"x1 is no number in line 2"),
        (["a/l.dcm,1,3,4,9,,m", "z.dcm,1,3,4,9,,m"], r"path is not in images\.csv in line 3"),
        (["b/l.dcm,1,3,4,9,,m"], r"a lesion of a volume has no slice_index in line 2"),
        (["b/l.dcm,1,3,4,9,-1,m"], r"slice_index is no whole number from 0 in line 2"),
        (["b/l.dcm,1,3,4,9,1.5,m"], r"slice_index is no whole number from 0 in line 2"),
        (['a/l.dcm,"1,000",3,"4,000",9,,m'], r"the comma in x1 may mark decimals or thousands in line 2"),
    ],
)
def test_wrong_lesions_are_named(hospital, rows, message):
    hospital.table("lesions.csv", LESIONS, *rows)
    with pytest.raises(DatasetError, match=message):
        index(hospital)


def test_lesions_under_another_name_are_not_overlooked(hospital):
    """Silently without lesions, every image would pass for healthy."""
    (hospital.root / "lesions.csv").rename(hospital.root / "rois.csv")
    with pytest.raises(
        DatasetError, match=r"no lesions\.csv beside images\.csv, but rois\.csv; .*lesions=rois\.csv"
    ):
        index(hospital)
    assert len(index(hospital, lesions="rois.csv").lesions) == 2
    assert len(index(hospital, lesions="none").lesions) == 0


def test_no_key_no_box_no_table(hospital):
    hospital.table("lesions.csv", "name,x1,y1,x2,y2", "a/l.dcm,1,2,3,4")
    with pytest.raises(DatasetError, match="no column image_id or path"):
        index(hospital)
    hospital.table("lesions.csv", "path,x1,y1,x2", "a/l.dcm,1,2,3")
    with pytest.raises(DatasetError, match=r"no box: the columns x1, y1, x2, y2 or x, y, width, height"):
        index(hospital)
    (hospital.root / "images.csv").unlink()
    (hospital.root / "lesions.csv").unlink()
    with pytest.raises(DatasetError, match=r"no images\.csv .*--tables FILE"):
        index(hospital)


def test_columns_that_are_not_used_are_told(hospital):
    hospital.table("lesions.csv", "path,x1,y1,x2,y2,slice_index,reader", "a/l.dcm,1,2,3,4,,me")
    assert "lesions.csv: columns not used: reader" in index(hospital).notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corners": "inclusive"}, "csv: corners=inclusive: accepted are edges, pixels"),
        ({"first_slice": "2"}, "csv: first-slice=2: expected whole number, at least 0, at most 1"),
        ({"columns": "patient_id"}, "expected our_name:your_name"),
        ({"columns": "patientid:MRN"}, "'patientid' is no column; did you mean 'patient_id'"),
        ({"columns": "patient_id:MRN"}, "no table has a column 'MRN'"),
        ({"words": "D"}, "expected your_word:our_word"),
        ({"encoding": "klingon"}, "no such encoding"),
    ],
)
def test_wrong_options(hospital, options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        index(hospital, **options)


def test_headers_never(hospital):
    """Sizes are not known then, so boxes cannot be checked."""
    with pytest.raises(DatasetError, match=r"the size of the image is not known in lines 2, 3"):
        index(hospital, headers="never")
    assert len(index(hospital, headers="never", lesions="none")) == 4


def test_a_patient_in_two_splits(hospital):
    path = hospital.root / "images.csv"
    lines = path.read_text().splitlines()
    words = ["split", "train", "test", "train", "train"]
    path.write_text("\n".join(f"{line},{word}" for line, word in zip(lines, words, strict=True)))
    with pytest.raises(DatasetError, match="patients stand in more than one split: A"):
        index(hospital)


def fences(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)


def test_the_example_of_the_page(tmp_path, monkeypatch, comoto):
    """The tables of the page are written, its commands run, and they say what the page says."""
    page = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    place = Hospital(tmp_path / "hospital")
    place.mammogram("P001/left_cc.dcm", "L", StudyInstanceUID="1.2.1")
    place.volume("P001/left_tomo.dcm", "L")
    place.mammogram("P002/right_mlo.dcm", "R", StudyInstanceUID="1.2.2", ViewPosition="MLO")
    place.stack("P002/right_tomo", "R", ViewPosition="MLO")
    for name in ("images.csv", "lesions.csv"):
        (content,) = fences(page, f"csv {name}")
        place.table(name, content)
    blocks = [block for block in fences(page, "console") if "comoto index" in block]
    assert len(blocks) == 2
    for block in blocks:
        if "one.csv" in block:
            place.table("one.csv", *fences(page, "csv one.csv"))
        command, _, said = block.partition("\n")
        code, output, error = comoto(*shlex.split(command)[2:])
        assert (code, output) == (0, said), error
    (look,) = [block for block in fences(page, "console") if "comoto inspect" in block]
    code, output, error = comoto(*shlex.split(look)[2:])
    assert (code, output) == (0, "hospital.html\n"), error
    shown = Path("hospital.html").read_text(encoding="utf-8")
    assert all(name in shown for name in ("P001/left_cc.dcm", "P001/left_tomo.dcm", "P002/right_tomo"))


def test_the_page_names_every_column():
    from comoto.datasets.own_tables.columns import BOX_NAMES, IMAGE_NAMES

    page = PAGE.read_text(encoding="utf-8")
    for word in (*IMAGE_NAMES, *BOX_NAMES):
        assert f"`{word}`" in page


def test_command_line_strict(hospital, tmp_path, comoto):
    """One broken file: listed, or refused and nothing written."""
    hospital.table("a/l.dcm", "this is no DICOM file")
    arguments = ["index", "csv", hospital.root, "--out", tmp_path / "m", "--set", "first-slice=0"]
    code, said, error = comoto(*arguments, "--strict")
    assert (code, said) == (2, "")
    assert "images.csv: line 2" in error
    assert not (tmp_path / "m").exists()
    code, said, _ = comoto(*arguments)
    assert code == 0
    assert "dropped: images.csv: line 2" in said
