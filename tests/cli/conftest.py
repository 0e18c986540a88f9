"""The tiny releases on disk, and calls that have to be refused."""

from pathlib import Path

import pytest

from command_calls import contents
from dicom_files import breast, write_dicom
from tiny_releases import VINDR_FINDINGS, VINDR_IMAGES, BcsTree, VindrTree


@pytest.fixture
def bcs(tmp_path) -> BcsTree:
    root = tmp_path / "bcs-dbt"
    root.mkdir()
    tree = BcsTree(root)
    tree.write_tables()
    tree.write_volumes()
    return tree


@pytest.fixture
def vindr(tmp_path) -> VindrTree:
    tree = VindrTree(tmp_path / "vindr-mammo")
    tree.root.mkdir()
    tree.images.write_text(VINDR_IMAGES, encoding="utf-8")
    tree.findings.write_text(VINDR_FINDINGS, encoding="utf-8")
    for name, shape in (("s1/a1", (40, 20)), ("s1/a2", (40, 20)), ("s2/b1", (60, 30)), ("s3/c1", (40, 20))):
        write_dicom(tree.root / "images" / f"{name}.dicom", breast(1, *shape, "L")[0], "raw")
    return tree


@pytest.fixture
def volume(tmp_path) -> Path:
    return write_dicom(tmp_path / "volume.dcm", breast(5, 160, 80, "L"))


@pytest.fixture
def refused(comoto, tmp_path):
    """Call, and check that the call is refused with all the parts in its line and leaves no trace."""

    def call(words, *parts):
        before = contents(tmp_path)
        answer = comoto(*words)
        assert answer.code == 2, (answer.code, answer.out, answer.err)
        assert answer.out == ""
        for part in parts:
            assert str(part) in answer.error
        assert contents(tmp_path) == before
        return answer

    return call
