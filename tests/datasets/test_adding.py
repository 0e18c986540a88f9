"""The worked example of ``docs/datasets/adding.md`` is put where its blocks say, and runs."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

from comoto import datasets
from comoto.cli.datasets import describe
from comoto.components import DATASETS
from comoto.records import Manifest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "datasets" / "adding.md"
PACKAGE, LINE, TEST = (
    "src/comoto/datasets/clinic/__init__.py",
    "src/comoto/components.py",
    "tests/datasets/test_clinic.py",
)
BLOCKS = dict(re.findall(r"^```python (\S+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S))
TESTS = re.findall(r"^def (test_\w+)", BLOCKS[TEST], re.M)


@pytest.fixture
def clinic_set(tmp_path, monkeypatch):
    """The package and the line of the page, for one test."""
    package = tmp_path / "src" / "clinic"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(BLOCKS[PACKAGE], encoding="utf-8")
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(package.parent)])
    monkeypatch.setitem(DATASETS, *next(iter(ast.literal_eval("{" + BLOCKS[LINE] + "}").items())))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("comoto.datasets.clinic", None)
    vars(datasets).pop("clinic", None)


def page_tests():
    names = {"__name__": "test_clinic"}
    exec(compile(BLOCKS[TEST], TEST, "exec"), names)
    return names


def clinic(folder):
    """What the page's fixture makes."""
    names = page_tests()
    folder.mkdir()
    return names["clinic"].__wrapped__(folder)


@pytest.mark.parametrize("name", TESTS)
def test_the_tests_of_the_page_pass(clinic_set, tmp_path, name):
    page_tests()[name](clinic(tmp_path / "release"))


def test_it_is_told_and_indexed_like_the_others(clinic_set, tmp_path, comoto):
    place = clinic(tmp_path / "release")
    said = describe("clinic")
    assert "comoto index clinic ROOT" in said
    assert "mass or calcification; several with commas; mass,calcification if not given" in said
    assert "Findings that count as lesions." in said
    answer = comoto("index", "clinic", place, "--set", "findings=mass", "--out", tmp_path / "m")
    assert answer.code == 0, answer.err
    assert len(Manifest.load(tmp_path / "m").lesions) == 1


def test_the_blocks_are_as_the_house_writes():
    """The example is to be copied, so it follows the rules itself."""
    assert set(BLOCKS) == {PACKAGE, LINE, TEST}
    for text in BLOCKS.values():
        assert max(map(len, text.splitlines())) <= 110
