"""Folders of a data set: each once, and none is passed over because it cannot be listed."""

from pathlib import Path

import pandas as pd
import pytest

from comoto.datasets.bcs_dbt.files import locate_volumes
from comoto.datasets.cmmd.outlines import find_outlines
from comoto.datasets.inbreast.files import _outlines_on_disk
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.walk import dicom_files, walk_files
from comoto.datasets.tsynth.cases import TOMOSYNTHESIS, find_cases
from comoto.errors import DatasetError
from rights import without_rights

NO_VOLUMES = pd.DataFrame(columns=["PatientID", "StudyUID", "series_uid", "series_number"])
WALKS = {
    "dicom_files": lambda root: list(dicom_files(root)),
    "bcs-dbt": lambda root: locate_volumes(root, NO_VOLUMES, Ledger()),
    "inbreast": _outlines_on_disk,
    "tsynth": lambda root: find_cases(root, TOMOSYNTHESIS, "case", Ledger()),
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


def test_hidden_files_and_shadows_are_passed_over(tmp_path: Path) -> None:
    """Archives of a Mac hold ``__MACOSX`` and ``._x.dcm``; the case of an ending does not matter."""
    for name in ("b.DCM", "a.txt", ".a.dcm", "__MACOSX/c.dcm", "d/e.dcm"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list(walk_files(tmp_path, ".dcm")) == [tmp_path / "b.DCM", tmp_path / "d" / "e.dcm"]
    assert [path.name for path in walk_files(tmp_path, ".dcm", ".txt")] == ["a.txt", "b.DCM", "e.dcm"]
    assert len(list(walk_files(tmp_path))) == 3
