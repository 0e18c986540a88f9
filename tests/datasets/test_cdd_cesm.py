"""CDD-CESM: low-energy and subtracted JPEG images, a sheet, and outlines of the VIA tool."""

import json
import math

import numpy as np
import pytest
from releases_cdd_cesm import SQUARE, CesmTree, polygon

from comoto import api
from comoto.datasets.cdd_cesm.outlines import is_compact, read_outlines
from comoto.errors import ConfigError, DatasetError
from comoto.preprocessing.store import PreparedStore
from comoto.records import Laterality, View
from tiny_exams import TINY


@pytest.fixture
def tree(tmp_path):
    return CesmTree(tmp_path / "cesm").write()


def boxes(manifest):
    return {
        record.image_id: [(lesion.box_xyxy, lesion.category) for lesion in record.lesions]
        for record in manifest.records()
    }


def test_images_and_lesions(tree):
    manifest = api.index("cdd-cesm", tree.root)
    assert boxes(manifest) == {
        "P1_L_CM_CC": [((4, 60, 46, 102), "Malignant")],
        "P1_L_DM_CC": [((20, 30, 40, 50), "Malignant"), ((51, 71, 70, 90), "Malignant")],
        "P1_R_DM_MLO": [],
        "P2_R_CM_MLO2": [],
        "P2_R_DM_MLO2": [((35, 50, 66, 71), "Benign")],
    }
    assert manifest.dropped == ()
    record = next(one for one in manifest.records() if one.image_id == "P2_R_DM_MLO2")
    assert (record.patient_id, record.study_id, record.view_key) == ("P2", "P2", "R_DM_MLO2")
    assert (record.laterality, record.view, record.label) == (Laterality.RIGHT, View.MLO, "Benign")
    assert record.path == tree.image("P2_R_DM_MLO2")
    assert manifest.notes == (
        "no official split: every patient is in the training part",
        "the files do not say how large a pixel is: hit radii can be given in pixels only",
        "images: 2 subtracted, 3 low energy",
        "highest BI-RADS of the images: 1 1, 2 1, 4 1, 5 1, not said 1",
        "breast density (ACR) of the images: C 3, not said 2",
        "Malignant or Benign without a box, so no example of healthy tissue: P2_R_CM_MLO2 (1 in all)",
    )


def test_an_image_without_its_outline_is_not_healthy(tree):
    lacking = [one.image_id for one in api.index("cdd-cesm", tree.root).records() if one.lacks_boxes]
    assert lacking == ["P2_R_CM_MLO2"]
    ribbons = list(api.index("cdd-cesm", tree.root, outlines="compact").records())
    assert [one.image_id for one in ribbons if one.lacks_boxes] == ["P1_L_CM_CC", "P2_R_CM_MLO2"]


def test_one_modality(tree):
    low = api.index("cdd-cesm", tree.root, modality="low_energy")
    assert sorted(low.images["image_id"]) == ["P1_L_DM_CC", "P1_R_DM_MLO", "P2_R_DM_MLO2"]
    subtracted = api.index("cdd-cesm", tree.root, modality="subtracted")
    assert sorted(subtracted.images["image_id"]) == ["P1_L_CM_CC", "P2_R_CM_MLO2"]
    with pytest.raises(ConfigError, match="accepted are both, low_energy, subtracted"):
        api.index("cdd-cesm", tree.root, modality="low-energy")


def test_what_is_chosen(tree):
    manifest = api.index("cdd-cesm", tree.root, categories="malignant", outlines="compact", min_size=20)
    assert boxes(manifest)["P1_L_DM_CC"] == [
        ((20, 30, 40, 50), "Malignant"),
        ((50.5, 70.5, 70.5, 90.5), "Malignant"),
    ]
    assert boxes(manifest)["P2_R_DM_MLO2"] == []
    assert tuple(sorted(note for note in manifest.notes if note.startswith("outlines"))) == (
        "outlines on images of category Benign are not taken as lesions: P2_R_DM_MLO2 (1 in all)",
        "outlines that are not compact are not taken as lesions, on images: P1_L_CM_CC (1 in all)",
    )


@pytest.mark.parametrize(
    ("shape", "box", "area"),
    [
        (SQUARE, (20, 30, 40, 50), 19 * 19),
        ({**SQUARE, "name": "polyline"}, (20, 30, 40, 50), 19 * 19),
        ({"name": "circle", "cx": 50, "cy": 40, "r": 8}, (42, 32, 59, 49), 64 * math.pi),
        ({"name": "ellipse", "cx": 50.5, "cy": 40.5, "rx": 20, "ry": 10}, (30, 30, 71, 51), 200 * math.pi),
        (  # a quarter turn exchanges the sides; half of one gives sqrt((20^2 + 10^2) / 2) = 15.8 to each
            {"name": "ellipse", "cx": 50.5, "cy": 40.5, "rx": 20, "ry": 10, "theta": math.pi / 2},
            (40, 20, 61, 61),
            200 * math.pi,
        ),
        (
            {"name": "ellipse", "cx": 50.5, "cy": 40.5, "rx": 20, "ry": 10, "theta": math.pi / 4},
            (34, 24, 67, 57),
            200 * math.pi,
        ),
        ({"name": "rect", "x": 5, "y": 6, "width": 10, "height": 4}, (5, 6, 16, 11), 40),
        ({"name": "point", "cx": 7.5, "cy": 8.5}, (7, 8, 8, 9), 1),
    ],
)
def test_shapes(tree, shape, box, area):
    tree.shapes = [("P1_L_DM_CC.jpg", shape)]
    tree.write_outlines()
    (outline,) = read_outlines(tree.outlines).outlines["P1_L_DM_CC"]
    assert outline.box == box
    assert outline.area == pytest.approx(area)


@pytest.mark.parametrize(
    ("size", "share", "expected"),
    [
        ((20, 20), 1, True),
        ((20, 20), 0.34, False),
        ((160, 8), 1, True),
        ((161, 20), 1, False),
        ((20, 7), 1, False),
    ],
)
def test_compact(size, share, expected):
    width, height = size
    assert is_compact((10, 20, 10 + width, 20 + height), share * width * height, 512) is expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "no shape"),
        ("[]", "no complete shape"),
        (json.dumps({"name": "cloud"}), "no complete shape"),
        (json.dumps({"name": "circle", "cx": 5}), "no complete shape"),
        (json.dumps({"name": "circle", "cx": 5, "cy": 6, "r": -1}), "no complete shape"),
        (json.dumps(polygon()), "no complete shape"),
        (json.dumps({"name": "polygon", "all_points_x": [1], "all_points_y": [1, 2]}), "no complete shape"),
        (json.dumps(polygon((math.nan, 1))), "no complete shape"),
    ],
)
def test_an_outline_that_is_none_takes_its_image_along(tree, text, what):
    quoted = json.dumps(tree.shapes[1][1]).replace('"', '""')
    tree.edit(tree.outlines, quoted, text.replace('"', '""'))
    manifest = api.index("cdd-cesm", tree.root)
    assert manifest.dropped == (
        f"{tree.outlines.name}: region_shape_attributes is {what} in line 3; the image P1_L_DM_CC is left "
        "out with it",
    )
    assert "P1_L_DM_CC" not in boxes(manifest)


def test_outlines_at_and_beyond_the_border(tree):
    tree.shapes = [
        ("P1_L_DM_CC.jpg", polygon((-5, 30), (10, 30), (10, 40))),
        ("P2_R_DM_MLO2.jpg", polygon((97, 5), (99, 9))),
    ]
    tree.write_outlines()
    manifest = api.index("cdd-cesm", tree.root)
    assert boxes(manifest)["P1_L_DM_CC"] == [((0, 30, 11, 41), "Malignant")]
    assert "a box was clipped to the image: P1_L_DM_CC (1 in all)" in manifest.notes
    assert manifest.dropped == (
        "P2_R_DM_MLO2: an outline lies outside of the 128 x 96 pixels; the image is left out with it",
    )


def test_the_sheet_as_it_is_released(tree):
    pytest.importorskip("openpyxl")
    expected = api.index("cdd-cesm", tree.root)
    tree.write_sheet()
    assert boxes(api.index("cdd-cesm", tree.root)) == boxes(expected)


def test_blanks_before_the_ending_on_disk(tree):
    tree.image("P1_R_DM_MLO").rename(tree.image("P1_R_DM_MLO").with_name("P1_R_DM_MLO .jpg"))
    assert len(api.index("cdd-cesm", tree.root)) == 5


def test_missing_images(tree):
    tree.image("P1_R_DM_MLO").unlink()
    with pytest.raises(DatasetError, match=r"1 of 5 images of .* are not on disk, such as P1_R_DM_MLO"):
        api.index("cdd-cesm", tree.root)
    manifest = api.index("cdd-cesm", tree.root, allow_missing=True)
    assert manifest.dropped == (
        "an image of Radiology_manual_annotations.csv is not on disk: P1_R_DM_MLO (1 in all)",
    )


def test_what_has_no_row_is_left_out(tree):
    tree.image("P1_L_DM_CC").with_name("P9_L_DM_CC.jpg").write_bytes(tree.image("P1_L_DM_CC").read_bytes())
    tree.image("P1_L_DM_CC").with_name("cover.jpg").write_bytes(b"x")
    assert api.index("cdd-cesm", tree.root).dropped == (
        "not named as the release names images: cover.jpg (1 in all)",
        "no row in Radiology_manual_annotations.csv: P9_L_DM_CC.jpg (1 in all)",
    )


def test_a_damaged_image_does_not_stop_the_rest(tree):
    tree.image("P1_L_DM_CC").write_bytes(tree.image("P1_L_DM_CC").read_bytes()[:30])
    manifest = api.index("cdd-cesm", tree.root)
    assert len(manifest) == 4
    assert "P1_L_DM_CC.jpg: not a JPEG file, or cut" in manifest.dropped[0]
    for name in tree.images:
        tree.image(name).write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"no image can be used; first: .*not a DICOM file"):
        api.index("cdd-cesm", tree.root)


def test_masks_beside_the_images(tree):
    copy = tree.root / "masks" / "P1_L_DM_CC.jpg"
    copy.parent.mkdir()
    copy.write_bytes(tree.image("P1_L_DM_CC").read_bytes())
    with pytest.raises(DatasetError, match=r"are the same image P1_L_DM_CC; keep one .*masks are called"):
        api.index("cdd-cesm", tree.root)


def test_tables(tree, tmp_path):
    tree.edit(tree.csv, "P2_R_CM_MLO2 ", "P1_L_DM_CC ")
    tree.edit(tree.csv, "P1_R_DM_MLO ", "a name ")
    manifest = api.index("cdd-cesm", tree.root)
    assert "csv: an image has two pathologies, the worse is taken, in line 6" in manifest.notes[0]
    assert boxes(manifest)["P1_L_DM_CC"][0][1] == "Malignant"
    assert "no name of an image, such as P1_L_DM_CC, in line 4" in manifest.dropped[0]
    tree.edit(tree.csv, "Normal", "unclear")
    with pytest.raises(DatasetError, match="is none of Malignant, Benign, Normal in line 4"):
        api.index("cdd-cesm", tree.root)
    tree.outlines.rename(tmp_path / "elsewhere.csv")
    with pytest.raises(DatasetError, match=r"no Radiology_hand_drawn_segmentations_v2\.csv below it"):
        api.index("cdd-cesm", tree.root)
    for path in tree.release.rglob("*.jpg"):
        path.unlink()


def test_cells_of_the_table_are_not_passed_on(tree, tmp_path, comoto):
    """A name in the place of an assessment, a density or a shape stays where it is."""
    tree.edit(tree.csv, ",4$2,", ",Zzyquaint,")
    tree.edit(tree.csv, "44,C,1,", "44,Zzyquaint,1,")
    tree.edit(tree.outlines, '""circle""', '""Zzyquaint""')
    code, out, error = comoto("-v", "index", "cdd-cesm", tree.root, "--out", tmp_path / "m")
    assert code == 0
    assert "highest BI-RADS of the images: 1 1, 2 1, 5 1, not said 1" in out
    written = b"".join(path.read_bytes() for path in (tmp_path / "m").iterdir())
    assert "Zzyquaint" not in out + error
    assert b"Zzyquaint" not in written


def test_two_outline_files(tree):
    tree.outlines.with_name("Radiology_hand_drawn_segmentations.csv").write_text("x")
    with pytest.raises(DatasetError, match="are the same table; keep one"):
        api.index("cdd-cesm", tree.root)


def test_the_chest_wall_comes_to_the_left_with_its_boxes(tree, tmp_path):
    api.index("cdd-cesm", tree.root).save(tmp_path / "m")
    grid = [setting for setting in TINY if setting.startswith("preprocess")]
    api.prepare(tmp_path / "m", tmp_path / "s", preset="demo", overrides=grid, workers=1)
    store = PreparedStore(tmp_path / "s")
    for name in store.image_ids:
        columns = np.asarray(store.pixels(name)[0]).mean(axis=0)
        assert columns[0] > columns[-1], name
        assert store.plan(name).notes == ()


def test_commands(tree, tmp_path, comoto):
    code, out, _ = comoto(
        "index", "cdd-cesm", tree.root, "--out", tmp_path / "m", "--set", "modality=low_energy"
    )
    assert code == 0
    assert out.splitlines()[0] == "cdd-cesm: 3 images, 3 lesions"
    code, _, _ = comoto("inspect", tmp_path / "m", "--out", tmp_path / "look.html")
    assert code == 0
    picture = tmp_path / "look.png"
    code, _, _ = comoto("draw", "--manifest", tmp_path / "m", "--image", "P1_L_DM_CC", "--out", picture)
    assert code == 0
    assert picture.stat().st_size
