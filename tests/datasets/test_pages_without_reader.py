"""Data sets without a reader of their own: what their pages tell the user to do works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from comoto import api
from comoto.cli.datasets import describe
from comoto.components import DATASETS
from comoto.datasets.catalogue import about_dataset
from dicom_files import breast, write_dicom

PAGES = Path(__file__).parents[2] / "docs" / "datasets"
EMBED_IMAGES = """\
empi_anon,acc_anon,anon_dicom_path,FinalImageType,ImageLateralityFinal,ViewPosition,spot_mag,num_roi,ROI_coords
11,21,/mnt/NAS2/mammo/anon_dicom/cohort_1/11/21/a.dcm,2D,L,MLO,,1,"[[10, 4, 20, 12]]"
11,21,/mnt/NAS2/mammo/anon_dicom/cohort_1/11/21/b.dcm,2D,L,CC,0,0,[]
11,21,/mnt/NAS2/mammo/anon_dicom/cohort_1/11/21/c.dcm,cview,L,CC,0,1,"[[10, 4, 20, 12]]"
12,22,/mnt/NAS2/mammo/anon_dicom/cohort_1/12/22/d.dcm,2D,R,CC,0,0,[]
12,22,/mnt/NAS2/mammo/anon_dicom/cohort_1/12/22/e.dcm,2D,R,CC,1,0,[]
"""
EMBED_FINDINGS = """\
empi_anon,acc_anon,desc,asses,side,path_severity
11,21,MG Screening Bilateral,A,L,
11,21,MG Screening Bilateral,N,R,
12,22,MG Screening Bilateral,N,,
"""


def block(page: str, name: str) -> str:
    """The code block of a page that stands for a file."""
    text = (PAGES / page).read_text(encoding="utf-8")
    found = re.search(rf"^```python {re.escape(name)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def test_embed(tmp_path):
    """Image a has a circle, d is of a negative exam; b may hide a's finding, c and e are other images."""
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "EMBED_OpenData_metadata.csv").write_text(EMBED_IMAGES)
    (tables / "EMBED_OpenData_clinical.csv").write_text(EMBED_FINDINGS)
    for patient, study, name, side in ((11, 21, "a", "L"), (12, 22, "d", "R")):
        path = tmp_path / "images" / "cohort_1" / str(patient) / str(study) / f"{name}.dcm"
        write_dicom(path, breast(1, 40, 20, side)[0], "raw")
    script = tmp_path / "embed_tables.py"
    script.write_text(block("embed.md", "embed_tables.py"))
    subprocess.run([sys.executable, script, tables, tmp_path / "made"], check=True)
    records = {
        record.path.name: record
        for record in api.index("csv", tmp_path / "images", tables=tmp_path / "made").records()
    }
    assert set(records) == {"a.dcm", "d.dcm"}
    assert (records["a.dcm"].patient_id, records["a.dcm"].study_id) == ("11", "21")
    assert [lesion.box_xyxy for lesion in records["a.dcm"].lesions] == [(4, 10, 12, 20)]
    assert records["d.dcm"].lesions == ()


@pytest.mark.parametrize("name", ["csaw-cc", "embed"])
def test_the_catalogue_says_why(name):
    about = about_dataset(name)
    assert name not in DATASETS
    assert (PAGES / f"{name}.md").is_file()
    assert f"docs/datasets/{name}.md" in about.not_read
    assert describe(name).endswith(f"Not read by comoto: {about.not_read}\n")


def test_csaw_cc(tmp_path):
    """The columns of the page, as one table with a box."""
    options = re.search(r"--set columns=(\S+)", (PAGES / "csaw-cc.md").read_text(encoding="utf-8"))
    assert options is not None
    write_dicom(tmp_path / "a.dcm", breast(1, 40, 20, "L")[0], "raw")
    (tmp_path / "images.csv").write_text(
        "anon_patientid,anon_filename,imagelaterality,viewposition\n0001,a.dcm,Left,MLO\n"
    )
    (tmp_path / "lesions.csv").write_text("anon_filename,x1,y1,x2,y2\na.dcm,1,2,5,9\n")
    record = next(api.index("csv", tmp_path, columns=options.group(1)).records())
    assert (record.patient_id, record.laterality.value, record.view.value) == ("0001", "L", "MLO")
    assert record.lesions[0].box_xyxy == (1, 2, 5, 9)
