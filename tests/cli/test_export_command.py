"""``comoto export onnx`` and ``comoto predict`` with what it wrote."""

import json

import numpy as np
import pandas as pd

from command_calls import predict_words


def test_an_exported_student_predicts_the_same_table(comoto, exams, student_run, tmp_path):
    volume = sorted(exams.bcs_dbt.rglob("*.dcm"))[0]
    file = tmp_path / "exports" / "student.onnx"
    answer = comoto("export", "onnx", "--model", student_run, "--out", file)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{file}: differs from torch by ")
    assert "not a medical device" in answer.out
    assert [path.name for path in file.parent.iterdir()] == ["student.onnx"]

    assert comoto(*predict_words(student_run, tmp_path, volume)).code == 0
    words = ("predict", "--model", file, "--out", tmp_path / "onnx.csv", volume)
    answer = comoto(*words)
    assert answer.code == 0, answer.err
    ours, theirs = pd.read_csv(tmp_path / "p.csv"), pd.read_csv(tmp_path / "onnx.csv")
    assert list(ours.columns) == list(theirs.columns)
    assert len(ours) == len(theirs) > 0
    pd.testing.assert_frame_equal(ours.drop(columns="Score"), theirs.drop(columns="Score"))
    np.testing.assert_allclose(ours["Score"], theirs["Score"], atol=1e-4)
    sidecar = json.loads((tmp_path / "onnx.json").read_text())
    assert "student.onnx" in json.dumps(sidecar)


def test_an_existing_file_stays(refused, student_run, tmp_path):
    (tmp_path / "mine.onnx").write_text("mine")
    words = ("export", "onnx", "--model", student_run, "--out", tmp_path / "mine.onnx")
    refused(words, f"{tmp_path / 'mine.onnx'}: exists", "--overwrite")


def test_a_folder_without_a_run(refused, tmp_path):
    words = ("export", "onnx", "--model", tmp_path / "nowhere", "--out", tmp_path / "model.onnx")
    refused(words, tmp_path / "nowhere", "'comoto train'")


def test_prediction_with_a_file_that_is_no_model(refused, volume, tmp_path):
    (tmp_path / "model.onnx").write_bytes(bytes(5000))
    words = predict_words(tmp_path / "model.onnx", tmp_path, volume)
    refused(words, tmp_path / "model.onnx", "is not what 'comoto export onnx' wrote", "export it again")


def test_prediction_with_a_missing_file(refused, volume, tmp_path):
    words = predict_words(tmp_path / "model.onnx", tmp_path, volume)
    refused(words, f"{tmp_path / 'model.onnx'}: no such file", "'comoto export onnx'")
