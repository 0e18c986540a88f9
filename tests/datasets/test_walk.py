"""Folders of a data set: each once, and none is passed over because it cannot be listed."""

from pathlib import Path

import pandas as pd
import pytest

from comoto.datasets.bcs_dbt.files import locate_volumes
from comoto.datasets.cmmd.outlines import find_outlines
from comoto.datasets.inbreast.files import _outlines_on_disk
from comoto.datasets.reading.walk import dicom_files
from comoto.datasets.tsynth.cases import _files
from comoto.errors import DatasetError
from rights import without_rights

NO_VOLUMES = pd.DataFrame(columns=["PatientID", "StudyUID", "series_uid", "series_number"])
WALKS = {
    "dicom_files": lambda root: list(dicom_files(root)),
    "bcs-dbt": lambda root: locate_volumes(root, NO_VOLUMES),
    "inbreast": _outlines_on_disk,
    "tsynth": lambda root: list(_files(root)),
    "cmmd": find_outlines,
}


@pytest.mark.parametrize("name", WALKS)
def test_a_locked_folder_is_no_empty_one(tmp_path: Path, name: str) -> None:
    locked = tmp_path / "a" / "locked"
    locked.mkdir(parents=True)
    with (
        without_rights(locked),
        pytest.raises(DatasetError, match=r"a/locked: cannot be opened \(Permission denied\)"),
    ):
        WALKS[name](tmp_path)


def test_each_folder_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.dcm").touch()
    (tmp_path / "a" / "ring").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert list(dicom_files(tmp_path)) == [tmp_path / "a" / "x.dcm"]
