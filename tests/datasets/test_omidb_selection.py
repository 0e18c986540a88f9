"""The flat extract of OMI-DB: text of boxes, crop offset, folders, rows that cannot be used."""

import pytest
from releases_omidb import Selection, bounding_box, write_png

from comoto import api
from comoto.errors import ConfigError, DatasetError
from comoto.records import Laterality, View

CROP = (5, 10, 45, 90)
GOOD = bounding_box(15, 30, 25, 50)
INSIDE = (10, 20, 20, 40)


@pytest.fixture
def selection(tmp_path) -> Selection:
    """A row of each type, in its folder."""
    extract = Selection(tmp_path / "selection")
    extract.row("M", GOOD)
    extract.row("MU", GOOD, subtype="")
    extract.row("B", GOOD, subtype="0")
    extract.row("N", GOOD, subtype="")
    return extract


def index(extract, **options):
    extract.write()
    return api.index("omidb-selection", extract.root, **options)


def test_every_type(selection):
    """A box minus the origin of its crop; a row of type N holds healthy tissue, never a lesion."""
    manifest = index(selection)
    records = list(manifest.records())
    assert [record.label for record in records] == [
        "malignant",
        "malignant, subtype unknown",
        "benign",
        "normal",
    ]
    assert [[lesion.box_xyxy for lesion in record.lesions] for record in records] == [[INSIDE]] * 3 + [[]]
    folders = [record.path.parent.name for record in records]
    assert folders == ["st011", "stu", "benign", "normal"]
    first = records[0]
    assert (first.patient_id, first.study_id, first.image_id) == (
        "demd0",
        "demd0_9968",
        "demd0_9968_1.2.0_CC",
    )
    assert (first.view, first.laterality, first.view_key) == (View.CC, Laterality.RIGHT, "rcc")
    assert manifest.dropped == ()


def test_the_box_lies_on_its_pixels(selection):
    """The writer's PNG holds its own column numbers."""
    from comoto.sources import open_source

    record = next(index(selection).records())
    x1, _, x2, _ = map(int, record.lesions[0].box_xyxy)
    with open_source(record.path) as image:
        assert list(image.frame(0)[25, x1:x2]) == list(range(10, 20))


@pytest.mark.parametrize("written", ["11", "011", "11.0", "[0 1 1]"])
def test_subtypes_in_any_form(tmp_path, written):
    """Receptors 011 become 11 in a table that was read as numbers."""
    extract = Selection(tmp_path)
    extract.row("M", GOOD, subtype=written)
    assert len(index(extract)) == 1


def test_no_type_and_no_side(tmp_path):
    """One reader of the extract knows neither column: every row is malignant, in its subtype's folder."""
    header = ("client", "subtype", "filename", "scanner", "bbox", "bbox_roi")
    extract = Selection(tmp_path, header=header)
    extract.row("M", GOOD)
    manifest = index(extract)
    assert (manifest.images["label"][0], manifest.images["laterality"][0]) == ("malignant", "L")
    assert manifest.notes == (
        "1 images do not say their side; they count as left, as the extract mirrors right breasts",
    )


def test_class_column_and_rows_of_one_image(tmp_path):
    """Two lesions and a healthy region of one image are one image with two lesions."""
    extract = Selection(tmp_path)
    extract.header = tuple("class" if name == "type" else name for name in extract.header)
    name = extract.row("M", GOOD, client="demd1", image="1.2")
    extract.row("M", bounding_box(6, 11, 8, 14), client="demd1", image="1.2")
    extract.row("N", bounding_box(30, 30, 40, 40), client="demd1", image="1.2", png=False)
    for row in extract.rows:
        row["class"] = row["type"]
    manifest = index(extract)
    assert list(manifest.images["image_id"]) == [name]
    assert list(manifest.images["label"]) == ["malignant"]
    assert [tuple(box) for box in manifest.lesions[["x1", "y1", "x2", "y2"]].to_numpy()] == [
        INSIDE,
        (1, 1, 3, 4),
    ]


@pytest.mark.parametrize(
    ("roi", "expected"),
    [
        (bounding_box(-2, 30, 25, 50), (0, 20, 20, 40)),
        (bounding_box(3, 30, 25, 50), (0, 20, 20, 40)),
        (bounding_box(25, 60, 50, 95), (20, 50, 40, 80)),
        ("BoundingBox(x1=np.int64(15), y1=30, x2=25, y2=50)", INSIDE),
    ],
)
def test_clipped(tmp_path, roi, expected):
    """Negative coordinates and boxes over the edge of the crop: clipped, not left out by row number."""
    extract = Selection(tmp_path)
    extract.row("M", roi)
    manifest = index(extract)
    (box,) = manifest.lesions[["x1", "y1", "x2", "y2"]].to_numpy()
    assert tuple(box) == expected
    clipped = [note for note in manifest.notes if "clipped to the crop (line 2)" in note]
    assert len(clipped) == (expected != INSIDE)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"roi": "BoundingBox(x1=1)"}, "bbox_roi is no BoundingBox"),
        ({"roi": ""}, "bbox_roi is no BoundingBox"),
        ({"roi": "__import__('os').getcwd()"}, "bbox_roi is no BoundingBox"),
        ({"roi": bounding_box(25, 30, 15, 50)}, "bbox_roi is empty or reversed"),
        ({"roi": bounding_box(15, 30, 15, 50)}, "bbox_roi is empty or reversed"),
        ({"roi": bounding_box(-90, 30, 25, 50)}, "for the greater part outside"),
        ({"roi": bounding_box(0, 0, 400, 400)}, "for the greater part outside"),
        ({"roi": bounding_box(95, 95, 99, 99)}, "for the greater part outside"),
        ({"roi": GOOD, "bbox": "(5, 10, 45, 90)"}, "bbox is no BoundingBox"),
        ({"roi": GOOD, "bbox": bounding_box(5, 10, 5, 90)}, "bbox, the crop, is empty"),
        ({"roi": GOOD, "subtype": "luminal"}, "subtype is no number of up to three digits"),
        ({"roi": GOOD, "client": "", "filename": "x_1_2_CC.png"}, "client or filename is empty"),
    ],
)
def test_rows_that_cannot_be_used_are_listed(selection, cells, reason):
    """Reversed corners come from a fault in mirroring and are not sorted: sorted, they mark another place."""
    selection.row("M", **cells)
    manifest = index(selection)
    assert len(manifest) == 4
    (line,) = manifest.dropped
    assert line.startswith("omidb-selection.csv: ")
    assert reason in line
    assert line.endswith("in line 6")
    with pytest.raises(DatasetError, match="--strict, and 1 would be left out"):
        index(selection, strict=True)


def test_an_image_with_one_bad_row_is_left_out_whole(tmp_path):
    extract = Selection(tmp_path)
    extract.row("M", GOOD, client="demd1", image="1.2")
    extract.row("M", "", client="demd1", image="1.2")
    extract.row("M", GOOD)
    manifest = index(extract)
    assert list(manifest.images["patient_id"]) == ["demd2"]
    assert len(manifest.dropped) == 2
    assert manifest.dropped[1].endswith("another row of the same image cannot be used, in line 2")


def test_a_png_of_another_size_is_left_out(selection):
    """A downsampled copy of the extract: boxes would not fit."""
    name = selection.row("M", GOOD)
    write_png(selection.root / "HOLOGIC" / "ffdm" / "st011" / f"{name}.png", 40, 20)
    broken = selection.row("M", GOOD)
    (selection.root / "HOLOGIC" / "ffdm" / "st011" / f"{broken}.png").write_bytes(b"no PNG")
    dropped = index(selection).dropped
    assert len(dropped) == 2
    assert any("line 7" in line and "PNG" in line for line in dropped)
    assert any(
        line.endswith("the PNG has not the size of bbox, so boxes would not fit, in line 6")
        for line in dropped
    )


def test_folders(tmp_path):
    """Also found: in the folder of the subtype for every type, in ffdm itself, and without its ending."""
    extract = Selection(tmp_path)
    extract.row("B", GOOD, folder="st011")
    name = extract.row("M", GOOD, folder="", filename="demd1_1_1.2_MLO.png")
    extract.rows[-1]["filename"] = name
    assert [path.rsplit("/", 2)[1] for path in index(extract).images["path"]] == ["st011", "ffdm"]


def test_missing(selection):
    selection.row("M", GOOD, png=False)
    selection.row("M", GOOD, scanner="GE", png=False)
    with pytest.raises(
        DatasetError, match=r"2 of 6 images are not on disk.* \(line 6\), .* \(line 7\); .*scanner=HOLOGIC"
    ):
        index(selection)
    manifest = index(selection, scanner="HOLOGIC", allow_missing=True)
    assert manifest.dropped == ("omidb-selection.csv: 1 of 5 images are not on disk, in line 6",)
    assert manifest.notes == ("omidb-selection.csv: 1 rows of other scanners or types left out",)


def test_options(selection):
    assert list(index(selection, types="B,N").images["label"]) == ["benign", "normal"]
    with pytest.raises(ConfigError, match="omidb-selection: types=X: accepted are M, MU, B, N"):
        index(selection, types="X")
    with pytest.raises(DatasetError, match="it has the scanners HOLOGIC"):
        index(selection, scanner="Siemens")


def test_wrong_tables(selection):
    path = selection.write()
    text = path.read_text()
    path.write_text(text.replace("bbox_roi", "roi"))
    with pytest.raises(DatasetError, match="columns are missing: bbox_roi"):
        api.index("omidb-selection", selection.root)
    path.write_text(text.replace('"MU"', '"X"'))
    with pytest.raises(DatasetError, match="type is none of M, MU, B, N in line 3"):
        api.index("omidb-selection", selection.root)
    path.rename(selection.root / "other.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        api.index("omidb-selection", selection.root)


def test_command_line(selection, tmp_path, comoto):
    table = selection.write().rename(tmp_path / "moved.csv")
    arguments = ["index", "omidb-selection", selection.root, "--tables", table, "--out", tmp_path / "m"]
    code, said, _ = comoto(*arguments, "--strict")
    assert code == 0
    assert "omidb-selection: 4 images, 3 lesions" in said
