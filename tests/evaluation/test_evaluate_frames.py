"""Predictions and labels as data frames give what they give as files."""

from pathlib import Path

from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume

import comoto
from comoto.arguments import as_table
from comoto.inference.predict import PredictionFiles
from comoto.tables import read_table


def test_evaluate_takes_data_frames_and_gives_what_files_give(tmp_path: Path) -> None:
    a, b = volume(1), volume(2)
    tables = (
        predictions(prediction(a, 0.9), *[false_positive(b, 0.95)] * 3),
        labels(a, b, volume(3)),
        boxes(box(a), box(b)),
    )
    paths = [str(tmp_path / f"{number}.csv") for number in range(3)]
    for table, path in zip(tables, paths, strict=True):
        table.to_csv(path, index=False)
    of_frames, of_files = comoto.evaluate(*tables), comoto.evaluate(*paths)
    assert of_frames.metric == of_files.metric
    # 3 FP on 2 positive volumes stand above the hit of 1 of 2 lesions: 1/3, then 1/2 three times
    assert repr(of_frames) == (
        "ChallengeResult(mean_sensitivity_positive 0.458: 2 lesions, 3 volumes, 3 patients)"
    )


def test_predictions_become_a_data_frame_whose_names_stay_texts(tmp_path: Path) -> None:
    table = predictions(prediction(volume(1), 0.5), prediction(volume(2), 0.25))
    table["PatientID"], table["StudyUID"] = ["007", "NA"], ["1.20", "1.2"]
    table.to_csv(tmp_path / "p.csv", index=False)
    files = PredictionFiles(tmp_path / "p.csv", tmp_path / "p.json", 2, ())
    frame = files.to_dataframe()
    assert frame[["PatientID", "StudyUID"]].to_numpy().tolist() == [["007", "1.20"], ["NA", "1.2"]]
    assert frame["Score"].tolist() == [0.5, 0.25]
    assert read_table(as_table("predictions", files), "predictions", ("PatientID",), ()).texts == {
        "PatientID": ["007", "NA"]
    }


def test_what_was_found_in_each_volume_is_scored_as_its_table(tmp_path: Path) -> None:
    a, b = volume(1), volume(2)
    predictions(prediction(a, 0.9), *[false_positive(b, 0.95)] * 3).to_csv(tmp_path / "p.csv", index=False)
    truth = labels(a, b, volume(3)), boxes(box(a), box(b))
    found = comoto.Detections.from_csv(tmp_path / "p.csv")
    assert len(found) == 2
    assert comoto.evaluate(found, *truth).metric == comoto.evaluate(tmp_path / "p.csv", *truth).metric
    assert comoto.evaluate([], *truth).mean_sensitivity_positive == 0.0
