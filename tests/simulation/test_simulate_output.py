"""What is written: bytes, tables, DICOM objects and the traps in them."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from simulate_cases import tiny_config
from typer.testing import CliRunner

from comoto.cli.main import app
from comoto.errors import DatasetError, OutputExistsError
from comoto.locks import hold
from comoto.simulation import SimulateConfig, SimulatedPaths, simulate
from comoto.simulation import images as images_module
from comoto.simulation import run as run_module

NAMES = {
    "train": ("file-paths-train-v2", "labels-train-v2", "boxes-train-v2"),
    "validation": (
        "file-paths-validation-v2",
        "labels-validation-PHASE-2-Jan-2024",
        "boxes-validation-v2-PHASE-2-Jan-2024",
    ),
    "test": ("file-paths-test-v2", "labels-test-PHASE-2", "boxes-test-v2-PHASE-2-Jan-2024"),
}
KEY = ["PatientID", "StudyUID", "View"]


def _tables(paths: SimulatedPaths, position: int) -> pd.DataFrame:
    tables = {
        split: pd.read_csv(paths.bcs_dbt / f"BCS-DBT-{names[position]}.csv") for split, names in NAMES.items()
    }
    return pd.concat(tables, names=["split"]).reset_index("split")


def _findings(paths: SimulatedPaths) -> pd.DataFrame:
    return pd.read_csv(paths.vindr_mammo / "finding_annotations.csv")


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _corrected(path: Path, view: str) -> np.ndarray:
    """Apply the reading rule of the BCS-DBT authors: rotate if the breast touches the wrong side."""
    volume = pydicom.dcmread(path).pixel_array
    side = "r" if volume[0, :, 0].sum() < volume[0, :, -1].sum() else "l"
    return volume if side == view[0] else volume[:, ::-1, ::-1]


def _contrast(image: np.ndarray, box: tuple[int, int, int, int]) -> float:
    x1, y1, x2, y2 = box
    inside, near = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    inside[max(y1, 0) : y2, max(x1, 0) : x2] = True
    near[max(y1 - 3, 0) : y2 + 3, max(x1 - 3, 0) : x2 + 3] = True
    ring = near & ~inside & (image > 0)
    return float(image[inside].mean() - image[ring].mean())


def test_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path: Path):
    config = tiny_config(
        mammography={"training_patients": 2, "test_patients": 1},
        tomosynthesis={"train_patients": 1, "validation_patients": 1, "test_patients": 1},
    )
    simulate(tmp_path / "one", config, workers=1)
    simulate(tmp_path / "two", config, workers=2)
    first = _digest(tmp_path / "one")
    assert first == _digest(tmp_path / "two")
    other = config.model_copy(update={"seed": 1})
    simulate(tmp_path / "other", other, workers=1)
    assert not set(first.values()) & {
        value for name, value in _digest(tmp_path / "other").items() if name.endswith(("dcm", "dicom"))
    }


def test_interrupted_run_continues_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = tiny_config(
        mammography={"training_patients": 2, "test_patients": 0},
        tomosynthesis={"train_patients": 1, "validation_patients": 0, "test_patients": 0},
    )
    simulate(tmp_path / "whole", config, workers=1)
    real = images_module.write_mammogram
    calls = []

    def failing(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(images_module, "write_mammogram", failing)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "parts", config, workers=1)
    assert not list((tmp_path / "parts").rglob("*.csv"))
    assert len(list((tmp_path / "parts").rglob("*.dicom"))) == 2
    folder = next((tmp_path / "parts").rglob("*.dicom")).parent
    (folder / ".1-1.dicom.0123abcd.part").touch()  # what a killed one leaves
    simulate(tmp_path / "parts", config, workers=1)
    assert len(calls) == 3 + 2  # the interrupted image and the one after it; the first two are kept
    assert _digest(tmp_path / "whole") == _digest(tmp_path / "parts")


def test_foreign_or_different_output_is_refused(tmp_path: Path, simulated: SimulatedPaths):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(OutputExistsError, match="not a simulated data set"):
        simulate(tmp_path, tiny_config(), workers=1)
    with pytest.raises(OutputExistsError, match="another configuration"):
        simulate(simulated.bcs_dbt.parent, tiny_config(seed=9), workers=1)


def test_two_simulations_at_a_time_are_refused(tmp_path: Path, simulated: SimulatedPaths):
    busy = pytest.raises(OutputExistsError, match="another 'comoto simulate' is working there")
    with hold(tmp_path / ".lock", "held"), busy:
        simulate(tmp_path, tiny_config(), workers=1)


def test_damaged_notes_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An image whose note was damaged is made again; a damaged ``simulate.json`` is an error."""
    few = {"train_patients": 1, "validation_patients": 1, "test_patients": 1, "views_per_study": 1}
    config = tiny_config(tomosynthesis=few)
    simulate(tmp_path / "whole", config, workers=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "table.csv")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_vindr_tables", full)
        with pytest.raises(OSError, match="No space"):
            simulate(tmp_path / "parts", config, workers=1)
    for note in (tmp_path / "parts" / ".progress").iterdir():
        note.write_text(note.read_text().replace("1", "2", 1))
    simulate(tmp_path / "parts", config, workers=1)
    assert _digest(tmp_path / "whole") == _digest(tmp_path / "parts")
    about = tmp_path / "parts" / "simulate.json"
    about.write_text(about.read_text().replace("true", "True"))
    with pytest.raises(DatasetError, match=r"simulate\.json: is damaged"):
        simulate(tmp_path / "parts", config, workers=1)


def test_finished_output_is_left_alone(simulated: SimulatedPaths, simulated_config: SimulateConfig):
    stamp = (simulated.bcs_dbt.parent / "simulate.json").stat().st_mtime_ns
    assert simulate(simulated.bcs_dbt.parent, simulated_config, workers=1) == simulated
    assert (simulated.bcs_dbt.parent / "simulate.json").stat().st_mtime_ns == stamp
    assert not (simulated.bcs_dbt.parent / ".progress").exists()


def test_bcs_dbt_tables_have_the_released_columns(simulated: SimulatedPaths):
    headers = {
        0: "PatientID,StudyUID,View,descriptive_path,classic_path",
        1: "PatientID,StudyUID,View,Normal,Actionable,Benign,Cancer",
        2: "PatientID,StudyUID,View,Subject,Slice,X,Y,Width,Height,Class,AD,VolumeSlices",
    }
    for names in NAMES.values():
        for position, header in headers.items():
            lines = (simulated.bcs_dbt / f"BCS-DBT-{names[position]}.csv").read_text().splitlines()
            assert lines[0] == header
    labels = _tables(simulated, 1)
    assert (labels[["Normal", "Actionable", "Benign", "Cancer"]].sum(axis=1) == 1).all()
    assert labels["View"].str.fullmatch(r"[lr](cc|mlo)\d?").all()
    assert labels["PatientID"].str.fullmatch(r"DBT-P\d{5}").all()
    assert labels.groupby("PatientID")["split"].nunique().max() == 1


def test_positive_studies_hold_only_their_boxed_views(simulated: SimulatedPaths):
    labels, boxes = _tables(simulated, 1), _tables(simulated, 2)
    positive = labels[(labels["Benign"] == 1) | (labels["Cancer"] == 1)]
    assert len(positive) > 4
    assert set(map(tuple, positive[KEY].values)) == set(map(tuple, boxes[KEY].values))
    others = labels[(labels["Normal"] == 1) | (labels["Actionable"] == 1)]
    assert (others.groupby("StudyUID").size() == 4).all()
    assert set(positive.groupby("StudyUID").size()) == {1, 2}
    joined = boxes.merge(labels, on=KEY)
    assert (joined["Class"] == np.where(joined["Cancer"] == 1, "cancer", "benign")).all()


def test_paths_lead_to_files_and_carry_the_uids(simulated: SimulatedPaths):
    for row in _tables(simulated, 0).itertuples():
        path = simulated.bcs_dbt / row.classic_path
        parts = row.classic_path.split("/")
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert parts[:2] == ["Breast-Cancer-Screening-DBT", row.PatientID]
        assert parts[2:] == [header.StudyInstanceUID, header.SeriesInstanceUID, "1-1.dcm"]
        assert header.StudyInstanceUID.startswith("1.2.826.0.1.3680043.8.498.")
        assert len(header.SeriesInstanceUID) <= 64
        study, series = row.descriptive_path.split("/")[2:4]
        assert study.startswith(f"01-01-2000-{row.StudyUID}-MAMMO")
        assert study.endswith(parts[2][-5:])
        assert re.fullmatch(rf"\d+\.000000-{parts[3][-5:]}", series)


def test_volumes_have_the_traps_of_the_release(simulated: SimulatedPaths):
    rotated = 0
    paths = _tables(simulated, 0)
    for row in paths.itertuples():
        dataset = pydicom.dcmread(simulated.bcs_dbt / row.classic_path)
        shared = dataset.SharedFunctionalGroupsSequence[0]
        assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.13.1.3"
        assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.90"
        assert (dataset.BitsAllocated, dataset.BitsStored) == (16, 10)
        assert shared.FrameAnatomySequence[0].FrameLaterality == "L"
        assert "PixelSpacing" not in shared.PixelMeasuresSequence[0]
        assert len(dataset.PerFrameFunctionalGroupsSequence) == dataset.NumberOfFrames
        # Precision in the SIZ segment of the first codestream: bits minus one.
        stream = dataset.PixelData
        segment = stream.index(b"\xff\x51")
        assert stream[segment + 40] == 15
        volume = dataset.pixel_array
        assert volume.max() < 1024
        left_touches = volume[0, :, 0].sum() >= volume[0, :, -1].sum()
        rotated += left_touches != (row.View[0] == "l")
    assert 0.15 * len(paths) < rotated < 0.7 * len(paths)


def test_rotated_volumes_are_rotated_about_both_axes(tmp_path: Path):
    tomosynthesis = {"train_patients": 1, "validation_patients": 0, "test_patients": 0, "lesion_share": 1.0}
    volumes = {}
    for share in (0.0, 1.0):
        config = tiny_config(
            mammography={"training_patients": 0, "test_patients": 0},
            tomosynthesis=tomosynthesis,
            traps={"rotated_share": share},
        )
        out = simulate(tmp_path / str(share), config, workers=1).bcs_dbt
        volumes[share] = [pydicom.dcmread(path).pixel_array for path in sorted(out.rglob("*.dcm"))]
        volumes[share, "boxes"] = (out / "BCS-DBT-boxes-train-v2.csv").read_bytes()
    for upright, rotated in zip(volumes[0.0], volumes[1.0], strict=True):
        np.testing.assert_array_equal(rotated, upright[:, ::-1, ::-1])
    assert volumes[0.0, "boxes"] == volumes[1.0, "boxes"]


def test_boxes_of_volumes_hold_something_bright_in_the_corrected_orientation(simulated: SimulatedPaths):
    boxes = _tables(simulated, 2).merge(_tables(simulated, 0), on=KEY)
    contrasts = []
    for row in boxes.itertuples():
        volume = _corrected(simulated.bcs_dbt / row.classic_path, row.View)
        assert len(volume) == row.VolumeSlices
        assert 0 <= row.Slice < row.VolumeSlices
        assert row.X >= 0
        assert row.Y >= 0
        assert row.X + row.Width <= volume.shape[2]
        assert row.Y + row.Height <= volume.shape[1]
        frame = volume[row.Slice].astype(float)
        contrasts.append(_contrast(frame, (row.X, row.Y, row.X + row.Width, row.Y + row.Height)))
    assert np.mean(np.array(contrasts) > 0) >= 0.85
    assert np.mean(contrasts) > 50


def test_mammogram_tables_have_the_released_columns(simulated: SimulatedPaths):
    breast = (simulated.vindr_mammo / "breast-level_annotations.csv").read_text().splitlines()
    finding = (simulated.vindr_mammo / "finding_annotations.csv").read_text().splitlines()
    common = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
    assert breast[0] == common + "split"
    assert finding[0] == common + "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"
    table = _findings(simulated)
    empty = table["finding_categories"] == "['No Finding']"
    box = ["finding_birads", "xmin", "ymin", "xmax", "ymax"]
    assert table[empty][box].isna().all().all()
    assert table[~empty][box].notna().all().all()
    assert all("Mass" in ast.literal_eval(text) for text in table[~empty]["finding_categories"])
    assert table["image_id"].str.fullmatch("[0-9a-f]{32}").all()
    assert set(table["split"]) == {"training", "test"}
    assert len(breast) - 1 == table["image_id"].nunique()


def test_some_mammogram_boxes_reach_outside_of_the_image(simulated: SimulatedPaths):
    table = _findings(simulated).dropna(subset=["xmin"])
    outside = (table["xmin"] < 0) | (table["xmax"] > table["width"])
    assert 0 < outside.sum() < len(table)
    assert ((table["xmax"] > 0) & (table["xmin"] < table["width"])).all()


def test_mammograms_of_both_polarities_show_their_masses(simulated: SimulatedPaths):
    table = _findings(simulated)
    seen, contrasts = set(), []
    for row in table.itertuples():
        dataset = pydicom.dcmread(
            simulated.vindr_mammo / "images" / row.study_id / f"{row.image_id}.dicom", force=True
        )
        assert "SOPClassUID" not in dataset
        assert dataset.file_meta.MediaStorageSOPClassUID == "1.2.3.4"
        assert (dataset.Rows, dataset.Columns) == (row.height, row.width)
        seen.add(dataset.PhotometricInterpretation)
        image = dataset.pixel_array.astype(float)
        center = float(dataset.WindowCenter)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            image, center = 4095 - image, 4095 - center
        touching = image[:, 0].sum() > image[:, -1].sum()
        assert touching == (row.laterality == "L")
        tissue = image[image > 0]
        assert abs(np.median(tissue) - center) < float(dataset.WindowWidth) / 2
        if not np.isnan(row.xmin):
            box = tuple(round(edge) for edge in (row.xmin, row.ymin, row.xmax, row.ymax))
            contrasts.append(_contrast(image, box))
    assert seen == {"MONOCHROME1", "MONOCHROME2"}
    assert np.mean(contrasts) > 0


def test_modalities_have_different_patients(simulated: SimulatedPaths):
    volumes = {
        pydicom.dcmread(path, stop_before_pixels=True).PatientID for path in simulated.bcs_dbt.rglob("*.dcm")
    }
    mammograms = {
        pydicom.dcmread(path, stop_before_pixels=True, force=True).PatientID
        for path in simulated.vindr_mammo.rglob("*.dicom")
    }
    assert len(volumes) == 12
    assert len(mammograms) == 8
    assert not volumes & mammograms


def _validator() -> str | None:
    return shutil.which("dciodvfy") or shutil.which("dciodvfy", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(_validator() is None, reason="dciodvfy of dicom3tools is not installed")
def test_validator_finds_no_error_in_the_volumes(simulated: SimulatedPaths):
    for path in sorted(simulated.bcs_dbt.rglob("*.dcm"))[:4]:
        report = subprocess.run([_validator(), str(path)], capture_output=True, text=True, check=False)
        text = report.stdout + report.stderr
        assert "BreastTomosynthesisImage" in text
        assert [line for line in text.splitlines() if line.startswith("Error")] == []


def test_descriptive_layout_has_the_extra_part_of_newer_downloads(tmp_path: Path):
    config = tiny_config(
        mammography={"training_patients": 0, "test_patients": 0},
        tomosynthesis={
            "train_patients": 1,
            "validation_patients": 0,
            "test_patients": 0,
            "layout": "descriptive",
            "views_per_study": 1,
        },
    )
    root = simulate(tmp_path / "out", config, workers=1).bcs_dbt
    (row,) = pd.read_csv(root / "BCS-DBT-file-paths-train-v2.csv").itertuples()
    named = row.descriptive_path
    assert not (root / named).exists()
    assert (root / re.sub(r"000000-(\d{5})/", r"000000-NA-\1/", named)).is_file()


def test_command_writes_both_sets_and_refuses_bad_settings(tmp_path: Path):
    out = tmp_path / "out"
    arguments = ["simulate", "--out", str(out), "--size", "tiny", "--mammograms", "1", "--views", "1"]
    arguments += ["--train", "1", "--validation", "0", "--test", "0", "--workers", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert (out / "bcs-dbt" / "BCS-DBT-labels-train-v2.csv").is_file()
    assert len(list((out / "vindr-mammo").rglob("*.dicom"))) == 1
    wrong = CliRunner().invoke(app, ["simulate", "--out", str(out), "--set", "traps.rotated_shar=1"])
    assert "rotated_share" in str(wrong.exception)
