"""A hospital's own volumes by two tables: index, evaluate and report as docs/datasets/csv.md promises."""

import csv
import json

import pytest

from comoto.records import PREDICTION_COLUMNS, Manifest, Modality
from dicom_files import breast, write_dicom

LEFT, RIGHT = "20,90,35,104", "45,90,60,104"


@pytest.fixture
def hospital(tmp_path):
    """Five patients with a volume and a mammogram of one view each, names of columns that are aliases."""
    images, lesions = ["File;Patient;Exam;ViewPosition;Side;Subset"], ["file,xmin,ymin,xmax,ymax,slice,class"]
    folder = tmp_path / "hospital"
    spacing = {"PixelSpacing": [0.5, 0.5]}
    for number in range(1, 6):
        side = "RL"[number % 2]
        for name, frames in (("tomo", breast(8, 160, 80, side)), ("mammo", breast(1, 160, 80, side)[0])):
            write_dicom(folder / f"P{number}/{name}.dcm", frames, tags=spacing)
            images.append(
                f"P{number}/{name}.dcm;P{number};S{number};CC;{side};{'test' if number > 1 else 'train'}"
            )
            if number < 5:
                box, where = (LEFT, RIGHT)[side == "R"], "3" if name == "tomo" else ""
                lesions.append(f"P{number}/{name}.dcm,{box},{where},mass")
    (folder / "images.csv").write_text("\n".join(images) + "\n")
    (folder / "lesions.csv").write_text("\n".join(lesions) + "\n")
    return folder


def test_from_two_tables_to_a_report(comoto, hospital, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert comoto("index", "csv", hospital, "--out", "manifest").code == 0
    manifest = Manifest.load(tmp_path / "manifest")
    with (tmp_path / "found.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(PREDICTION_COLUMNS)
        for record in manifest.records():
            if record.modality is Modality.TOMOSYNTHESIS and record.patient_id != "P2":
                keys = (record.patient_id, record.study_id, record.view_key)
                for lesion in record.lesions:
                    x1, y1, x2, y2 = lesion.box_xyxy
                    writer.writerow((*keys, x1, x2 - x1, y1, y2 - y1, lesion.slice_index, 1, 0.9))
                writer.writerow((*keys, 2, 6, 4, 6, 0, 1, 0.4))
    scored = "--manifest", "manifest", "--split", "test", "--min-radius", "4mm", "--bootstrap", 20
    answer = comoto("evaluate", "--predictions", "found.csv", *scored, "--json", "e.json")
    assert answer.code == 0, answer.err
    result = json.loads((tmp_path / "e.json").read_text())
    # of the lesions of P2, P3 and P4 one has no detection; 4 volumes; 4 mm are 8 pixels of 0.5 mm
    assert result["mean_sensitivity_positive"] == pytest.approx(2 / 3)
    assert (result["num_lesions"], result["num_volumes_all"], result["min_radius"]) == (3, 4, 8.0)
    assert comoto("report", "--predictions", "found.csv", *scored, "--out", "r.html").code == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    low, high = result["bootstrap"]["intervals"]["mean_sensitivity_positive"]
    assert f"0.67 ({low:.2f} to {high:.2f})" in text
    assert "3 lesions in 3 volumes; 4 test volumes of 4 patients in all" in text
    assert "4.0 mm (8 source pixels)" in text
    assert "mass, 8 x 7 mm, slice 3" in text
    assert text.count("Lesions missed: 1 of 3 (33 %)") == 1
