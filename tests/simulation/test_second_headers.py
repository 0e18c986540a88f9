"""Volumes of the second exams with the headers of BCS-DBT and of Hologic: the same breasts, read alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from comoto import api
from comoto.config import override
from comoto.dicom.read import DicomImage, read_header
from comoto.preprocessing import PreparedStore
from comoto.report.inspect_page import write_inspect_page
from comoto.simulation import SimulatedPaths, simulate, sized
from tiny_exams import TINY


@dataclass(frozen=True)
class Both:
    """The same patients under both kinds of headers."""

    bcs_dbt: SimulatedPaths
    hologic: SimulatedPaths
    stores: dict[str, PreparedStore]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("headers")
    few = {
        "mammography.training_patients": 0,
        "mammography.test_patients": 0,
        "tomosynthesis.train_patients": 2,
        "tomosynthesis.validation_patients": 0,
        "tomosynthesis.test_patients": 1,
        "tomosynthesis.lesion_share": 1.0,
        "tomosynthesis.one_view_share": 0.0,
        "traps.rotated_share": 0.5,
        "seed": 3,
    }
    paths, stores = {}, {}
    for name in ("bcs-dbt", "hologic"):
        config = override(sized("tiny", "second"), values={**few, "tomosynthesis.headers": name})
        paths[name] = simulate(folder / name, config, workers=1)
        manifest = api.index("bcs-dbt", paths[name].bcs_dbt)
        api.prepare(manifest, folder / f"{name}-store", preset="demo", overrides=TINY, workers=1)
        manifest.save(folder / f"{name}-manifest")
        stores[name] = PreparedStore(folder / f"{name}-store")
    return Both(paths["bcs-dbt"], paths["hologic"], stores)


def _files(paths: SimulatedPaths) -> list[Path]:
    return sorted(paths.bcs_dbt.rglob("*.dcm"))


@pytest.mark.filterwarnings("ignore:Invalid value for VR TM")  # what de-identification left as a time
def test_header_has_the_habits_of_real_ones(both: Both):
    sides = set()
    for path in _files(both.hologic):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        shared, frames = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence
        assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
        assert "ImageLaterality" not in dataset
        assert "ViewPosition" not in dataset
        assert list(dataset.PatientOrientation) == ["P", "L"]
        assert [int(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient] == [
            0,
            1,
            0,
            1,
            0,
            0,
        ]
        assert (shared.FrameVOILUTSequence[0].WindowCenter, shared.FrameVOILUTSequence[0].WindowWidth) == (
            512,
            512,
        )
        assert [float(v) for v in frames[2].PixelMeasuresSequence[0].PixelSpacing] == [1.6, 1.6]
        assert [float(v) for v in frames[2].PlanePositionSequence[0].ImagePositionPatient] == [0, 0, 8.0]
        thickness = float(dataset.XRay3DAcquisitionSequence[0].BodyPartThickness)
        assert len(frames) == round((thickness + 6) / 4)
        block = dataset.private_block(0x0019, "HOLOGIC, Inc.")
        assert len(block[0x50].value) >= 3000
        sides.add(str(shared.FrameAnatomySequence[0].FrameLaterality))
        header = read_header(path)
        assert header.laterality_tag == shared.FrameAnatomySequence[0].FrameLaterality
        assert header.view_position in ("CC", "MLO")
    assert sides == {"L", "R"}


def test_left_breasts_are_stored_turned_and_right_ones_upright(both: Both):
    for path in _files(both.hologic):
        with DicomImage(path) as image:
            first = image.frame(0)
        assert first[:, -1].mean() > first[:, 0].mean()  # rows run to the back, whatever the side


def test_both_kinds_of_headers_give_the_same_lesions_on_the_grid(both: Both):
    plain, hologic = both.stores["bcs-dbt"], both.stores["hologic"]
    assert plain.image_ids == hologic.image_ids
    for image in plain.image_ids:
        boxes, slices = plain.lesions_on_grid(image)
        others, other_slices = hologic.lesions_on_grid(image)
        np.testing.assert_allclose(boxes, others, atol=1.01)
        # 6 mm of slices of 4 mm more: the stack begins one or half a slice lower.
        assert (np.abs(other_slices - slices) <= 1).all()
        x1, y1, x2, y2 = (round(edge) for edge in boxes[0])
        first = plain.pixels(image)[slices[0]][y1:y2, x1:x2]
        second = hologic.pixels(image)[other_slices[0]][y1:y2, x1:x2]
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.8


def test_inspect_shows_them(both: Both, tmp_path: Path):
    page = write_inspect_page(both.stores["hologic"], tmp_path / "page.html", 2, 0)
    assert page.read_text(encoding="utf-8").count("<h3>") == 2


def test_predict_reads_them(both: Both, student_run: Path, tmp_path: Path):
    files = _files(both.hologic)[:2]
    api.predict(student_run, files, tmp_path / "predictions.csv")
    assert len(pd.read_csv(tmp_path / "predictions.csv")) > 0
