"""What goes to RJafroc, and what comes from other programs as COCO results."""

import io
import json
import sys

import pytest
from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume
from test_mammogram_froc import detections
from test_mammogram_froc import manifest as mammograms
from test_own_volumes import manifest

from comoto import api
from comoto.errors import ConfigError, DatasetError

A, B, C = (volume(number) for number in (1, 2, 3))
FOUND = predictions(
    prediction(A, 0.6),
    prediction(A, 0.7),
    prediction(B, 0.4),
    false_positive(C, 0.5),
    false_positive(A, 0.2),
    false_positive(C, 0.1),
)
TABLES = labels(A, {**B, "StudyUID": "=S2"}, C), boxes(box(A), box(A, x=2000), box({**B, "StudyUID": "=S2"}))


def workbook():
    openpyxl = pytest.importorskip("openpyxl")
    found = FOUND.replace("S2", "=S2")
    return openpyxl.load_workbook(io.BytesIO(api.evaluate(found, *TABLES).beside.rjafroc()))


def test_the_workbook_has_the_sheets_of_rjafroc():
    """A has two lesions of which the first is hit twice, the best counts; C has none and two marks."""
    book = workbook()
    rows = {sheet.title: [tuple(cell.value for cell in row) for row in sheet] for sheet in book}
    assert list(rows) == ["FP", "TP", "TRUTH"]
    assert rows["FP"] == [
        ("ReaderID", "ModalityID", "CaseID", "FP_Rating"),
        ("1", "1", 1, 0.2),
        ("1", "1", 3, 0.1),  # marks of a case stand together
        ("1", "1", 3, 0.5),
    ]
    assert rows["TP"] == [
        ("ReaderID", "ModalityID", "CaseID", "LesionID", "TP_Rating"),
        ("1", "1", 1, 1, 0.7),
        ("1", "1", 2, 1, 0.4),
    ]
    head, *truth = rows["TRUTH"]
    assert head[:6] == ("CaseID", "LesionID", "Weight", "ReaderID", "ModalityID", "Paradigm")
    assert [row[:6] for row in truth] == [
        (1, 1, 0.5, "1", "1", "FROC"),
        (1, 2, 0.5, "1", "1", "FCTRL"),
        (2, 1, 1.0, "1", "1", None),
        (3, 0, 0.0, "1", "1", None),
    ]
    assert truth[2][6:] == ("P2", "=S2", "lcc")


def test_a_name_is_no_formula():
    assert workbook()["TRUTH"]["H4"].data_type == "s"


def test_what_rjafroc_could_not_read():
    result = api.evaluate(predictions(prediction(A, 0.6)), labels(A), boxes(box(A)))
    with pytest.raises(ConfigError, match="there is no false positive, and RJafroc cannot read"):
        result.beside.rjafroc()


def test_without_openpyxl(monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    result = api.evaluate(FOUND, labels(A, B, C), boxes(box(A)))
    with pytest.raises(ConfigError, match=r"needs the package openpyxl; pip install 'comoto\[xlsx\]'"):
        result.beside.rjafroc()


def test_the_command_writes_it(tmp_path, comoto):
    pytest.importorskip("openpyxl")
    FOUND.to_csv(tmp_path / "p.csv", index=False)
    labels(A, B, C).to_csv(tmp_path / "l.csv", index=False)
    boxes(box(A)).to_csv(tmp_path / "b.csv", index=False)
    given = [f"--{name}={tmp_path / name[0]}.csv" for name in ("predictions", "labels", "boxes")]
    target = tmp_path / "froc.xlsx"
    assert comoto("evaluate", *given, f"--export-rjafroc={target}").code == 0
    assert target.read_bytes()[:2] == b"PK"


def coco(path, *entries):
    path.write_text(json.dumps(list(entries)))
    return path


def entry(image_id, score, x=970, **slices):
    return {"image_id": image_id, "category_id": 1, "bbox": [x, 980, 60, 40], "score": score, **slices}


def test_volumes_as_coco_results(tmp_path):
    """The boxes of ``prediction``: 60 x 40 around (1000, 1000)."""
    table = predictions(prediction(A, 0.9, z=19, depth=2), prediction(B, 0.3, x=400, z=20))
    expected = api.evaluate(table, labels(A, B), boxes(box(A), box(B)))
    entries = entry("S1/lcc", 0.9, first_slice=19, num_spanned=2), entry("S2/lcc", 0.3, 370, slice_index=20)
    found = coco(tmp_path / "found.json", *entries)
    result = api.evaluate(found, labels(A, B), boxes(box(A), box(B)))
    assert result.record() == expected.record()
    own = coco(tmp_path / "own.json", *({**row, "image_id": f"i{k}"} for k, row in enumerate(entries, 1)))
    made = manifest(tmp_path)
    assert api.evaluate(own, manifest=made, split="test").metric == expected.metric
    with pytest.raises(DatasetError, match=r"no image_id, such as S1/lcc, is one of the volumes, such as i1"):
        api.evaluate(found, manifest=made)


def test_mammograms_as_coco_results(tmp_path):
    box_of = {"image_id": "a", "category_id": 1, "bbox": [0, 0, 10, 10], "score": 0.9}
    found = coco(tmp_path / "found.json", box_of)
    expected = api.evaluate_mammograms(detections(("a", 0, 0, 10, 10, 0.9)), mammograms())
    assert api.evaluate_mammograms(found, mammograms()).metric == expected.metric


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": []}', "is no list, as COCO results are"),
        ("[1]", "entry 1: is no object"),
        ('[{"image_id": 1, "score": 1}]', "entry 1: bbox is missing"),
        ('[{"image_id": 1, "score": 1, "bbox": [1, 2, 3]}]', "entry 1: bbox is not x, y, width and height"),
        ('[{"image_id": 1, "score": "x", "bbox": [1, 2, 3, 4]}]', "entry 1: score is no number"),
        (
            '[{"image_id": "S1/lcc", "score": 1, "bbox": [1, 2, 3, 4]}]',
            "entry 1: no slice; a box of a volume",
        ),
        ("[", "is no JSON in UTF-8"),
    ],
)
def test_wrong_coco_results(tmp_path, content, message):
    path = tmp_path / "found.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match=message):
        api.evaluate(path, labels(A), boxes(box(A)))
