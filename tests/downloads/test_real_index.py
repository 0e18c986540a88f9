"""The selection against the index that the installed package carries; no network is needed."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from comoto.datasets.bcs_dbt.tables import read_bcs_dbt_tables
from comoto.downloads.collections import COLLECTIONS
from comoto.downloads.index import read_index
from comoto.downloads.run import DownloadRequest, plan_download
from comoto.downloads.select import LESION
from comoto.records import Split

TABLES = Path(__file__).resolve().parents[3] / "shared" / "real"
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("idc_index_data") is None, reason="idc-index is not installed"
)


@pytest.mark.parametrize(
    ("name", "series", "patients", "licence"),
    [
        ("bcs-dbt", 22032, 5060, "CC BY-NC 4.0"),
        ("cbis-ddsm", 6775, 6671, "CC BY 3.0"),  # a case folder is a "patient" there
        ("cmmd", 1775, 1775, "CC BY 4.0"),
    ],
)
def test_collections_as_published(name, series, patients, licence):
    """Numbers of series and patients as the collections' pages state them."""
    index = read_index(COLLECTIONS[name].collection)
    assert (len(index), index["patient_id"].nunique()) == (series, patients)
    assert set(index["licence"]) == {licence}
    assert index["series_uid"].is_unique
    assert (index["num_bytes"] > 0).all()


def test_the_size_of_bcs_dbt():
    index = read_index("breast_cancer_screening_dbt")
    assert index["num_bytes"].sum() / 1e9 == pytest.approx(1638, abs=1)
    assert index["num_bytes"].median() / 1e6 == pytest.approx(67.7, abs=0.1)
    assert (index["num_files"] == 1).all()


def test_cmmd_in_part(tmp_path):
    (tmp_path / "CMMD_clinicaldata_revision.xlsx").write_bytes(b"PK\x03\x04")
    plans = {
        number: plan_download("cmmd", tmp_path, DownloadRequest(patients=number))
        for number in (10, 100, 5000)
    }
    assert plans[10].selection.patients == {("", LESION): (10, 1775)}
    assert plans[5000].selection.patients == {("", LESION): (1775, 1775)}
    assert plans[5000].selection.is_whole
    assert plans[5000].missing_bytes / 1e9 == pytest.approx(22.9, abs=0.05)
    assert {job.uid for job in plans[10].jobs} < {job.uid for job in plans[100].jobs}


def test_ea1141_leaves_out_what_nobody_reads_here(tmp_path):
    plan = plan_download("ea1141", tmp_path / "e", DownloadRequest())
    index = read_index("ea1141")
    chosen = index[index["series_uid"].isin([job.uid for job in plan.jobs])]
    assert (chosen["sop_class"] == "1.2.840.10008.5.1.4.1.1.13.1.3").sum() == 4262
    assert set(chosen["sop_class"]) == {"1.2.840.10008.5.1.4.1.1.13.1.3", "1.2.840.10008.5.1.4.1.1.1.2"}
    assert len(chosen) < 4262 + 2051


@pytest.mark.skipif(not TABLES.is_dir(), reason="the real tables are not part of the project")
@pytest.mark.parametrize(("split", "volumes"), [(Split.VALIDATION, 1163), (Split.TEST, 1721)])
def test_every_volume_of_the_real_tables_is_in_the_index(split, volumes):
    paths = read_bcs_dbt_tables(TABLES)[split].paths.rows
    index = read_index("breast_cancer_screening_dbt")
    found = paths.merge(index, on="series_uid", how="inner", validate="one_to_one")
    assert len(found) == volumes
    assert (found["PatientID"] == found["patient_id"]).all()


@pytest.mark.skipif(not TABLES.is_dir(), reason="the real tables are not part of the project")
def test_patients_with_a_lesion_are_a_hundredth_of_bcs_dbt():
    """The training patients with a box: 101 of 4,362 patients, 1.6 % of the bytes of the collection."""
    boxes = read_bcs_dbt_tables(TABLES)[Split.TRAIN].boxes.rows
    patients = set(boxes["PatientID"])
    index = read_index("breast_cancer_screening_dbt")
    own = index[index["patient_id"].isin(patients)]
    assert len(patients) == 101
    assert len(own) >= boxes.drop_duplicates(["PatientID", "StudyUID", "View"]).shape[0] == 200
    assert isinstance(own, pd.DataFrame)
    assert own["num_bytes"].sum() < 0.03 * index["num_bytes"].sum()
