"""The tiny releases on disk."""

import pytest

from dicom_files import breast, write_dicom
from tiny_releases import VINDR_FINDINGS, VINDR_IMAGES, BcsTree, VindrTree


@pytest.fixture
def bcs_tables(tmp_path) -> BcsTree:
    """The tables without any volume."""
    root = tmp_path / "bcs-dbt"
    root.mkdir()
    tree = BcsTree(root)
    tree.write_tables()
    return tree


@pytest.fixture
def bcs_tree(bcs_tables) -> BcsTree:
    """Tables and volumes in the classic layout."""
    bcs_tables.write_volumes()
    return bcs_tables


@pytest.fixture
def vindr_tree(tmp_path) -> VindrTree:
    """Tables and images."""
    tree = VindrTree(tmp_path / "vindr-mammo")
    tree.root.mkdir()
    tree.images.write_text(VINDR_IMAGES, encoding="utf-8")
    tree.findings.write_text(VINDR_FINDINGS, encoding="utf-8")
    for study, image, shape in (("s1", "a1", (40, 20)), ("s1", "a2", (40, 20)), ("s2", "b1", (60, 30))):
        frame = breast(1, *shape, "L")[0]
        write_dicom(tree.root / "images" / study / f"{image}.dicom", frame, "raw", tags={"SOPClassUID": None})
    write_dicom(tree.root / "images" / "s3" / "c1.dicom", breast(1, 40, 20, "L")[0], "raw")
    return tree
