"""``comoto draw``: boxes lie where the annotated pixels are, also in volumes that are stored turned."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from comoto import api
from comoto.errors import DatasetError, DicomError
from comoto.records import Laterality
from comoto.report.draw import _CAPTION_ROWS, _COLORS, draw_file, draw_record
from dicom_files import breast, write_dicom
from tiny_releases import VOLUMES

GREEN, ORANGE = _COLORS["lesion"], _COLORS["detection"]
SCALE = 700 / 40
TURNED = "DBT-P00002_DBT-S00002_rmlo"
"""A right breast that is stored touching the left edge."""

HEADER = "PatientID,StudyUID,View,X,Width,Y,Height,Z,Depth,Score\n"
KEY = "DBT-P00002,DBT-S00002,rmlo"


def write_marked_volume(tree):
    """Store volume 2 with a bright patch that lies, once turned, exactly under its first box."""
    volume = VOLUMES[2]
    frames = breast(volume.frames, 40, 20, "R", level=200)
    ramp = np.add.outer(np.arange(40), np.arange(20)) * 5
    frames = np.where(frames > 0, frames + ramp, 0).astype(np.uint16)
    frames[2, 6:13, 5:9] = 900  # box (5, 6, 9, 13) on slice 2
    frames = frames[:, ::-1, ::-1]
    path = tree.root / volume.folder("classic") / "1-1.dcm"
    write_dicom(path, frames, "raw", tags={"SeriesInstanceUID": volume.series_uid}, window=(500, 1000))


@pytest.fixture
def manifest(bcs_tree):
    write_marked_volume(bcs_tree)
    return api.index("bcs-dbt", bcs_tree.root)


def extent(picture, color):
    """(x1, y1, x2, y2) around all pixels of a colour, half-open, below the caption."""
    ys, xs = np.nonzero((np.asarray(picture)[_CAPTION_ROWS:] == color).all(axis=2))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def in_box(picture, box):
    """Grey values strictly inside a box in source pixels."""
    x1, y1, x2, y2 = (round(value * SCALE) for value in box)
    return np.asarray(picture)[_CAPTION_ROWS + y1 + 1 : _CAPTION_ROWS + y2 - 1, x1 + 1 : x2 - 1]


def test_a_turned_volume_is_drawn_with_its_box_around_the_patch(manifest):
    lesions = manifest.lesions[manifest.lesions["slice_index"] == 2]
    only = type(manifest)(manifest.name, manifest.images, lesions)
    picture = draw_record(only, TURNED, 2)
    assert (in_box(picture, (5, 6, 9, 13)) == 230).all()  # 900 of 0 to 1000, on 0 to 255: 229.5
    x1, y1, x2, _ = extent(picture, GREEN)
    assert abs(x1 - 5 * SCALE) <= 3
    assert abs(x2 - 9 * SCALE) <= 3
    assert 6 * SCALE - 30 < y1 < 6 * SCALE  # the label stands above the box


def test_the_turned_breast_touches_the_side_of_the_body(manifest):
    pixels = np.asarray(draw_record(manifest, TURNED, 0).convert("L"))[_CAPTION_ROWS:]
    middle = round(20 * SCALE)
    assert pixels[middle, round(20 * SCALE) - 2] > 0
    assert pixels[middle, 1] == 0


def test_the_first_annotated_slice_is_the_default(manifest):
    """Line 3 of the table comes first: slice 2."""
    assert draw_record(manifest, TURNED).tobytes() == draw_record(manifest, TURNED, 2).tobytes()
    assert draw_record(manifest, TURNED).tobytes() != draw_record(manifest, TURNED, 3).tobytes()


def test_predictions_are_drawn_where_they_reach(manifest, tmp_path):
    """Depth 2 from slice 1 covers slices 1 and 2; a plane of a 5-slice volume reaches 1.25 slices."""
    csv = tmp_path / "p.csv"
    cases = {
        f"{KEY},2,8,20,10,1,2,0.5\n": {1: True, 2: True, 3: False},
        f"{KEY},2,8,20,10,2,0,0.5\n": {0: False, 1: True, 2: True, 3: True, 4: False},
        "DBT-P00004,DBT-S00004,lmlo,2,8,20,10,2,2,0.5\n": {2: False},
    }
    for row, slices in cases.items():
        csv.write_text(HEADER + row)
        for index, shown in slices.items():
            pixels = np.asarray(draw_record(manifest, TURNED, index, csv))
            assert (pixels == ORANGE).all(axis=2).any() == shown, (row, index)


def test_a_predicted_box_lies_at_its_pixels(manifest, tmp_path):
    csv = tmp_path / "p.csv"
    csv.write_text(HEADER + f"{KEY},2,10,20,12,2,1,0.875\n")
    x1, y1, x2, _ = extent(draw_record(manifest, TURNED, 2, csv), ORANGE)
    assert np.abs(np.subtract((x1, y1, x2), (2 * SCALE, 20 * SCALE, 12 * SCALE))).max() <= 3


def test_weak_predictions_can_be_left_out(manifest, tmp_path):
    csv = tmp_path / "p.csv"
    csv.write_text(HEADER + f"{KEY},2,8,20,10,2,1,0.3\n")
    strong = draw_record(manifest, TURNED, 2, csv, min_score=0.4)
    assert strong.tobytes() == draw_record(manifest, TURNED, 2).tobytes()


def test_predictions_of_other_images(manifest, tmp_path):
    """The view in capitals matches nothing, as in the challenge's own evaluator."""
    csv = tmp_path / "p.csv"
    csv.write_text(HEADER + "DBT-P00002,DBT-S00002,RMLO,2,8,20,10,2,1,0.3\n")
    with pytest.raises(DatasetError, match="none of its rows is of an image of this manifest"):
        draw_record(manifest, TURNED, 2, csv)
    csv.write_text(HEADER + f"{KEY},2,8,20,10,2,1,\n")
    with pytest.raises(DatasetError, match=r"p\.csv: a number is missing \(line 2\)"):
        draw_record(manifest, TURNED, 2, csv)


def test_unknown_image_and_slice(manifest):
    with pytest.raises(DatasetError, match=rf"no image '{TURNED}0'; did you mean '{TURNED}"):
        draw_record(manifest, TURNED + "0")
    with pytest.raises(DicomError, match="no frame 5; frames are 0 to 4"):
        draw_record(manifest, TURNED, 5)


def test_a_file_alone(bcs_tree):
    write_marked_volume(bcs_tree)
    path = bcs_tree.root / VOLUMES[2].folder("classic") / "1-1.dcm"
    stored = draw_file(path, 2)
    turned = draw_file(path, 2, Laterality.RIGHT)
    assert (in_box(turned, (5, 6, 9, 13)) == 230).all()
    assert (in_box(stored, (11, 27, 15, 34)) == 230).all()  # 20 - 9, 40 - 13, 20 - 5, 40 - 6


def predicted(folder, path, name=None):
    """A table with a strong box at (5, 6, 9, 13), a weak one, one of another file, and the sidecar."""
    keys = {"PatientID": "p", "StudyUID": "1.2", "View": "rcc"}
    box = {"X": 5, "Width": 4, "Y": 6, "Height": 7, "Z": 0, "Depth": 3, "Score": 0.9}
    rows = [keys | box, keys | box | {"Z": 4, "Score": 0.1}, keys | box | {"View": "lcc", "Score": 0.95}]
    pd.DataFrame(rows).to_csv(folder / "p.csv", index=False)
    image = {"image_id": name or str(path), "path": str(path), "patient_id": "p", "study_id": "1.2"}
    sidecar = {"format": "comoto-predictions-1", "images": [image | {"view_key": "rcc"}]}
    (folder / "p.json").write_text(json.dumps(sidecar), encoding="utf-8")
    return folder / "p.csv"


def test_a_file_alone_with_its_predictions(bcs_tree, tmp_path, monkeypatch, comoto):
    write_marked_volume(bcs_tree)
    path = bcs_tree.root / VOLUMES[2].folder("classic") / "1-1.dcm"
    table = predicted(tmp_path, path)
    picture = draw_file(path, predictions=table)
    assert picture.tobytes() == draw_file(path, 1, None, table).tobytes()  # slices 0 to 2: the middle is 1
    assert picture.tobytes() != draw_file(path, 1).tobytes()
    assert draw_file(path, 1, None, table, min_score=0.92).tobytes() == draw_file(path, 1).tobytes()
    monkeypatch.chdir(path.parent)
    assert draw_file(Path(path.name), predictions=table).tobytes() == picture.tobytes()
    assert comoto("draw", path, "--predictions", table, "--out", tmp_path / "x.png").code == 0
    assert Image.open(tmp_path / "x.png").tobytes() == picture.tobytes()


def test_predictions_that_do_not_say_whose_they_are(bcs_tree, tmp_path):
    write_marked_volume(bcs_tree)
    path, other = (bcs_tree.root / VOLUMES[n].folder("classic") / "1-1.dcm" for n in (2, 0))
    table = predicted(tmp_path, path, "DBT-P1_rcc")
    with pytest.raises(DatasetError, match=r"under the name DBT-P1_rcc.*or give --laterality"):
        draw_file(path, predictions=table)
    turned = draw_file(path, 1, Laterality.RIGHT, table)
    assert turned.tobytes() != draw_file(path, 1, Laterality.RIGHT).tobytes()
    with pytest.raises(DatasetError, match="knows nothing of"):
        draw_file(other, predictions=table)
    (tmp_path / "p.json").write_bytes(b"[")
    with pytest.raises(DatasetError, match="damaged"):
        draw_file(path, predictions=table)
    (tmp_path / "p.json").unlink()
    with pytest.raises(DatasetError, match="keep the two together"):
        draw_file(path, predictions=table)


def test_large_slices_are_reduced(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", breast(2, 2800, 1400, "L"), "raw")
    assert draw_file(path).size[1] == 1400 + _CAPTION_ROWS


def test_command(manifest, tmp_path, comoto):
    manifest.save(tmp_path / "m")
    out = tmp_path / "pictures" / "x.png"
    arguments = ["--manifest", tmp_path / "m", "--image", TURNED, "--slice", 2, "--out", out]
    assert comoto("draw", *arguments).code == 0
    assert Image.open(out).tobytes() == draw_record(manifest, TURNED, 2).tobytes()
    again = comoto("draw", *arguments)
    assert again.code == 2
    assert "x.png: exists" in again.error
    assert comoto("draw", *arguments, "--overwrite").code == 0
    path = next(manifest.records()).path
    assert comoto("draw", path, "--slice", 1, "--out", tmp_path / "y.png").code == 0
    answer = comoto("draw", path, "--manifest", tmp_path / "m", "--out", tmp_path / "z.png")
    assert answer.code == 2
    assert "give either IMAGE" in answer.error
    assert [file.name for file in out.parent.iterdir()] == ["x.png"]
