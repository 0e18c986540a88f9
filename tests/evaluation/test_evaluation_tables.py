"""Reading the three tables: what is tolerated, and which file, line and remedy an error names."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from challenge_cases import MEAN, box, boxes, labels, prediction, predictions, volume

from comoto.errors import DatasetError
from comoto.evaluation import ChallengeResult, challenge_metric, challenge_tables, evaluate
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Manifest

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"

PREDICTIONS = """PatientID,StudyUID,View,X,Width,Y,Height,Z,Depth,Score
P1,S1,lcc,970,60,980,40,20,0,0.9
P1,S1,lmlo,10,60,980,40,20,0,0.30000000000000004
"""
LABELS = """PatientID,StudyUID,View,Normal,Actionable,Benign,Cancer
P1,S1,lcc,0,0,1,0
P1,S1,lmlo,1,0,0,0
"""
BOXES = """PatientID,StudyUID,View,Subject,Slice,X,Y,Width,Height,Class,AD,VolumeSlices
P1,S1,lcc,0,20,950,950,100,100,benign,0,49
"""


@pytest.fixture
def files(tmp_path):
    paths = {}
    for name, text in (("predictions", PREDICTIONS), ("labels", LABELS), ("boxes", BOXES)):
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text(text, encoding="utf-8")
    return paths


def change(path, old, new, encoding="utf-8"):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding=encoding)


def test_files_and_frames_give_the_same(files):
    frames = {name: pd.read_csv(path) for name, path in files.items()}
    from_files, from_frames = evaluate(**files), evaluate(**frames)
    assert isinstance(from_files, ChallengeResult)
    assert from_files.metric == from_frames.metric == challenge_metric(**files)
    assert set(from_files.metric.values()) == {1.0}
    assert evaluate(**{name: str(path) for name, path in files.items()}).metric == from_files.metric


def test_thresholds_are_the_stored_scores_to_the_last_bit(files):
    change(files["boxes"], "lcc,0,20,950", "lmlo,0,20,0")
    content = json.loads(evaluate(**files).to_json())
    assert content["froc"]["all"]["threshold"][1] == 0.30000000000000004
    assert content["thresholds"]["sensitivity_at_2_fps_all"] == pytest.approx(0.3 - 1)
    assert content["lesions"] == [{"StudyUID": "S1", "View": "lmlo", "best_score": 0.30000000000000004}]


def test_a_missed_lesion_is_written_as_null(files):
    change(files["predictions"], "lcc,970", "lcc,0")
    content = json.loads(evaluate(**files).to_json())
    assert content["lesions"] == [{"StudyUID": "S1", "View": "lcc", "best_score": None}]
    assert (content["num_lesions"], content["num_volumes_all"], content["num_volumes_positive"]) == (1, 2, 1)
    assert content[MEAN] == 0.0


def test_byte_order_mark_index_column_and_column_order_are_tolerated(files):
    frame = pd.read_csv(files["predictions"])
    frame[frame.columns[::-1]].to_csv(files["predictions"], encoding="utf-8-sig")
    assert files["predictions"].read_bytes().startswith(b"\xef\xbb\xbf,Score")
    assert evaluate(**files).metric[MEAN] == 1.0


def test_blank_lines_and_windows_line_ends_are_tolerated(files):
    files["labels"].write_bytes(b"\r\n".join(LABELS.encode().split(b"\n")) + b"\r\n,,,,,,\r\n")
    assert evaluate(**files).num_volumes_all == 2


def test_a_header_without_rows_is_no_prediction(files):
    files["predictions"].write_text(PREDICTIONS.split("\n")[0], encoding="utf-8")
    result = evaluate(**files)
    assert set(result.metric.values()) == {0.0}
    assert result.num_predictions == 0


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        (
            "predictions",
            "Score",
            "Scores",
            r"predictions.csv: column 'Score' is missing; rename 'Scores' to 'Score'",
        ),
        ("predictions", "StudyUID", "study", r"column 'StudyUID' is missing; rename 'study' to 'StudyUID'"),
        ("labels", "PatientID", "Name", r"labels.csv: column 'PatientID' is missing"),
        (
            "boxes",
            ",VolumeSlices",
            ",Slices",
            r"column 'VolumeSlices' is missing .*; rename 'Slices' to 'VolumeSlices'",
        ),
        (
            "predictions",
            "10,60,980",
            "10,wide,980",
            r"predictions.csv: line 3: Width is 'wide', which is not a number",
        ),
        ("predictions", "0.9", "0,9", r"line 2 has 11 cells, the header has 10"),
        ("predictions", ",0.9", "", r"line 2 has 9 cells, the header has 10"),
        ("predictions", "10,60,980", ",60,980", r"X is empty or infinite \(line 3\)"),
        ("predictions", "0.9", "inf", r"Score is infinite \(line 2\)"),
        ("predictions", "PatientID", "Z", r"column 'Z' stands twice in the header"),
        ("labels", "lmlo", "lcc", r"labels.csv: a volume \(StudyUID, View\) stands twice \(line 3\)"),
        (
            "boxes",
            "lcc",
            "rcc",
            r"boxes.csv: boxes on volumes that .*labels.csv does not name \(line 2\); .*same split",
        ),
        ("boxes", "100,100", "100,0", r"Height is empty, infinite or not above 0 \(line 2\)"),
        ("boxes", ",49", ",", r"VolumeSlices is empty, infinite or not above 0 \(line 2\)"),
        ("boxes", "0,20,950", "0,,950", r"Slice is empty or infinite \(line 2\)"),
    ],
)
def test_errors_name_the_file_the_line_and_the_way_out(files, table, old, new, message):
    change(files[table], old, new)
    with pytest.raises(DatasetError, match=message):
        evaluate(**files)


def test_unreadable_files(files, tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere\.csv: cannot be read"):
        evaluate(tmp_path / "nowhere.csv", files["labels"], files["boxes"])
    with pytest.raises(DatasetError, match="cannot be read"):
        evaluate(tmp_path, files["labels"], files["boxes"])
    files["boxes"].write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="not UTF-16"):
        evaluate(**files)
    files["boxes"].write_text("", encoding="utf-8")
    with pytest.raises(DatasetError, match="is empty; a line with the column names"):
        evaluate(**files)
    files["boxes"].write_text(BOXES + 'P1,"S1\n', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"boxes\.csv: line 3"):
        evaluate(**files)


def test_what_spreadsheets_write_is_read_as_by_index(files):
    expected = evaluate(**files).metric
    for name, form in (("predictions", ";"), ("labels", "\t"), ("boxes", "|")):
        frame = pd.read_csv(files[name], dtype=str)
        frame.to_csv(files[name], sep=form, index=False, encoding="utf-16")
    assert evaluate(**files).metric == expected
    text = files["predictions"].read_text(encoding="utf-16").replace("0.9", "0,9").replace("\t", ";")
    files["predictions"].write_text("sep=;\n" + text, encoding="utf-8")
    assert evaluate(**files).metric == expected
    files["labels"].write_bytes(
        files["labels"].read_text(encoding="utf-16").replace("P1", "Mü").encode("cp1252")
    )
    assert evaluate(**files).metric == expected
    assert "is not UTF-8 text; read as cp1252" in evaluate(**files).warnings[0]


def test_missing_columns_are_never_guessed_among_the_wanted_ones(files):
    change(files["boxes"], ",VolumeSlices", ",AnyThing")
    with pytest.raises(DatasetError, match=r"'VolumeSlices' is missing .slices of the.*header has: Pat"):
        evaluate(**files)


def test_labels_without_rows_are_refused(files):
    files["labels"].write_text(LABELS.split("\n")[0] + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="names no volume"):
        evaluate(**files)


def test_many_bad_lines_are_cut_short(files):
    rows = "".join(f"P1,S1,v{number},0,20,950,950,100,100,benign,0,49\n" for number in range(10))
    files["boxes"].write_text(BOXES + rows, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"\(lines 3, 4, 5, 6, 7, 8 and 4 more\)"):
        evaluate(**files)


def test_line_numbers_survive_blank_lines_and_quoted_breaks(files):
    rows = '\n\nP1,"S1\nodd",lcc,0,60,980,40,20,0,0.5\nP1,S1,lcc,0,60,980,40,none?,0,0.5\n'
    files["predictions"].write_text(PREDICTIONS + rows, encoding="utf-8")
    # Lines: header 1, rows 2 and 3, blank 4 and 5, a row on 6 and 7, the bad one on 8.
    with pytest.raises(DatasetError, match=r"line 8: Z is 'none\?'"):
        evaluate(**files)


def test_frames_with_text_and_missing_numbers():
    where = volume()
    frame = predictions(prediction(where, 0.5)).astype({"X": "string", "Z": "Int64"})
    assert challenge_metric(frame, labels(where), boxes(box(where)))[MEAN] == 1.0
    frame["Z"] = pd.array([None], dtype="Int64")
    with pytest.raises(DatasetError, match=r"predictions table: Z is empty or infinite \(row 0\)"):
        challenge_metric(frame, labels(where), boxes(box(where)))
    frame = predictions(prediction(where, 0.5)).astype({"X": object})
    frame.loc[0, "X"] = "left"
    with pytest.raises(DatasetError, match="predictions table: row 0: X is 'left'"):
        challenge_metric(frame, labels(where), boxes(box(where)))


def manifest(num_slices=49):
    images = pd.DataFrame(
        [
            {
                "image_id": f"i{number}",
                "modality": "tomosynthesis",
                "patient_id": "P1",
                "study_id": "S1",
                "view_key": view,
                "laterality": "L",
                "view": "CC",
                "split": "test",
                "label": "benign",
                "path": "x.dcm",
                "num_slices": num_slices,
            }
            for number, view in enumerate(("lcc", "lmlo"))
        ],
        columns=list(IMAGE_COLUMNS),
    )
    lesion = pd.DataFrame([["i0", 950, 950, 1050, 1050, 20, "benign"]], columns=list(LESION_COLUMNS))
    return Manifest("made", images, lesion)


def test_a_manifest_gives_the_same_tables(files):
    volumes, lesions = challenge_tables(manifest())
    assert challenge_metric(files["predictions"], volumes, lesions) == challenge_metric(**files)
    assert lesions.iloc[0][["Slice", "X", "Y", "Width", "Height", "VolumeSlices"]].tolist() == [
        20,
        950,
        950,
        100,
        100,
        49,
    ]
    assert volumes[["PatientID", "StudyUID", "View"]].values.tolist() == [
        ["P1", "S1", "lcc"],
        ["P1", "S1", "lmlo"],
    ]
    with pytest.raises(DatasetError, match="no slice or number of slices for the lesions of i0"):
        challenge_tables(manifest(None))


@pytest.mark.skipif(not REAL.is_dir(), reason="the released tables are not beside the repository")
def test_released_training_tables():
    volumes, lesions = REAL / "BCS-DBT labels-train-v2.csv", REAL / "BCS-DBT boxes-train-v2.csv"
    table = pd.read_csv(lesions)
    perfect = table.rename(columns={"Slice": "Z"}).assign(Depth=0, Score=np.arange(len(table)) + 1.0)
    result = evaluate(perfect, volumes, lesions)
    # Counted from the released files: 224 boxes in 200 of 19,148 volumes of 4,362 patients.
    assert (result.num_lesions, result.num_volumes_positive, result.num_volumes_all) == (224, 200, 19148)
    assert result.num_patients == 4362
    assert result.warnings == ()
    assert set(result.metric.values()) == {1.0}
