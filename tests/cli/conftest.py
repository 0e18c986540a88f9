"""The command line as a fixture, and the tiny releases on disk."""

import pytest
from command_calls import CommandLine

from dicom_files import breast, write_dicom
from tiny_releases import VINDR_FINDINGS, VINDR_IMAGES, BcsTree, VindrTree


@pytest.fixture
def comoto(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


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
