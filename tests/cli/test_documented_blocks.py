"""Every block of commands in README and docs runs, or is listed here with the reason why it is only read.

A command that is only read is parsed by the application down to its last option, in ``test_documentation``;
of other programs the file, the options and the targets have to exist.
"""

import importlib.resources
import re
import tomllib
from typing import Any

import pytest
from documented_blocks import Block, World, documented_blocks, make_things, tiny_presets
from documented_commands import ROOT, blocks
from test_documentation import parse

from tiny_exams import TINY

BLOCKS = documented_blocks()
READ_ONLY = {
    ("demo",): "minutes; tests/test_demo.py runs it at its smallest",
    ("simulate",): "a cohort of 300 patients takes minutes; tests/cli/test_end_to_end.py runs a tiny one",
    ("download",): "needs the network; tests/downloads runs it on an index of its own",
    ("doctor",): "measures for seconds; tests/cli/test_doctor.py runs it",
    ("export",): "tests/cli/test_export_command.py runs it on the same student",
    ("import-checkpoint",): "needs a checkpoint of the published code; tests/detectors makes one",
    ("study", "run"): "hours; tests/study runs tiny ones",
    ("study", "status"): "needs a study's folder; tests/study",
    ("study", "table"): "needs a finished study; tests/study",
    ("study", "rules"): "needs a finished study; tests/study",
    ("study", "depth"): "needs a finished study; tests/study",
    ("study", "verdict"): "needs a finished study; tests/study",
    ("--install-completion",): "writes into the shell's start-up files",
}
"""First words of a command -> why it is not run here."""
READ_ONLY_PAGES = {
    "docs/command-line.md#0": "tests/cli/test_end_to_end.py runs it, and looks at what it leaves",
    "docs/log.md": "what was done once, with the options of then",
}
"""Pages and blocks that are parsed only."""
RELEASES = re.compile("downloads/(?!bcs-dbt)|ROOT|EMBED/")
"""Folders of data sets as released: the test of each reader in tests/datasets makes its own."""
READ_ONLY_WORDS = {
    "my_lab.centers:CenterDetector": "tests/test_how_to_extend.py runs it with the page's own class",
    "my_lab.rules:LoudestSlice": "tests/test_how_to_extend.py runs it with the page's own class",
    "my_lab.losses:MyDistiller": "tests/distill/test_distillers_page.py runs it with the page's own class",
    "hospital/one.csv": "tests/datasets/test_own_tables.py runs it with the table of the page",
    "student.onnx": "tests/inference/test_onnx.py predicts with the exported student",
    "prepared/subtracted": "tests/training/test_single_images.py trains a student of single images",
    "tcp://head:8786": "needs a cluster; tests/preprocessing runs dask on this machine",
}


STORIES = ("README.md", "docs/first-day.md")
"""Pages whose blocks are run one after the other in one folder."""


def reason(block: Block, line: tuple[str, ...]) -> str | None:
    """Why a line is not run, or None."""
    pages = [why for start, why in READ_ONLY_PAGES.items() if block.name.startswith(start)]
    commands = [why for start, why in READ_ONLY.items() if line[1 : 1 + len(start)] == start]
    words = [why for word, why in READ_ONLY_WORDS.items() if word in " ".join(line)]
    released = ["a release"] if line[1:2] == ("index",) and RELEASES.search(" ".join(line)) else []
    return next(iter([*pages, *commands, *words, *released]), None)


def runs(block: Block) -> list[tuple[str, ...]]:
    return [line for line in block.lines if line[0] == "comoto" and reason(block, line) is None]


def in_order() -> list[tuple[str, list[tuple[str, ...]]]]:
    """What is run in one folder: a block, or a page whose blocks follow from each other."""
    told: dict[str, list[tuple[str, ...]]] = {}
    for block in BLOCKS:
        told.setdefault(block.page if block.page in STORIES else block.name, []).extend(runs(block))
    return [(name, lines) for name, lines in told.items() if lines]


@pytest.fixture(scope="session")
def things(exams, teacher_run, student_run, tmp_path_factory):
    return make_things(tmp_path_factory.mktemp("things"), exams, teacher_run, student_run)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Presets of all names are tiny."""
    (tmp_path / "comoto" / "presets").mkdir(parents=True)
    tiny_presets(tmp_path / "comoto" / "presets", TINY)
    real = importlib.resources.files
    fake = tmp_path / "comoto"
    monkeypatch.setattr(importlib.resources, "files", lambda of: fake if of == "comoto.config" else real(of))


def marked() -> list[Any]:
    """Every block; the pages behind the first two are slow tests."""
    return [
        pytest.param(name, lines, id=name, marks=() if name.startswith(STORIES) else pytest.mark.slow)
        for name, lines in in_order()
    ]


@pytest.mark.parametrize(("name", "lines"), marked())
def test_a_block_runs(name, lines, comoto, small, things, tmp_path, monkeypatch):
    folder = tmp_path / "world"
    folder.mkdir()
    monkeypatch.chdir(folder)
    world = World(folder, things)
    for line in lines:
        answer = comoto(*world.words(line))
        assert answer.code == 0, f"{' '.join(line)}\n{answer.err}"


def test_the_lines_of_python_run(things, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path, things)
    world.words(("comoto", "predict", "--model", "demo-output/runs/joint-training", "volume.dcm", "folder/"))
    (text,) = blocks(ROOT / "README.md", "python")
    exec(text, {})
    assert len([line for line in text.splitlines() if line]) == 5
    assert capsys.readouterr().out.endswith("boxes.csv\n")
    assert "StudyUID" in (tmp_path / "boxes.csv").read_text()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_what_is_not_run_is_read(block):
    for line in block.lines:
        if line[0] == "comoto" and reason(block, line) and not line[1].startswith("--"):
            parse([*line[1:]])
        elif line[0] == "make":
            assert re.search(rf"^{line[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        elif line[0] in ("python", "bash"):
            if f"```python {line[1]}\n" in (ROOT / block.page).read_text(encoding="utf-8"):
                continue  # the page's own script: tests/datasets/test_pages_without_reader.py runs it
            script = (ROOT / line[1]).read_text(encoding="utf-8")
            for option in [word for word in line[2:] if word.startswith("--")]:
                assert option in script + _shared_options()
        elif line[0] == "pip":
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            known = {".", *(f".[{name}]" for name in extras)}
            known |= {re.split("[>=]", each)[0] for several in extras.values() for each in several}
            words = [re.sub(r"\[(.*),(.*)\]", r"[\1] .[\2]", word).split() for word in line[2:]]
            assert {word.partition("==")[0] for several in words for word in several} <= known


def _shared_options() -> str:
    """Options that several benchmarks take from one place."""
    return "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").rglob("*.py"))


def test_no_exception_is_listed_for_nothing():
    lines = [(block, line) for block in BLOCKS for line in block.lines if line[0] == "comoto"]
    for start in READ_ONLY:
        assert any(line[1 : 1 + len(start)] == start for _, line in lines), start
    for start in READ_ONLY_PAGES:
        assert any(block.name.startswith(start) for block, _ in lines), start
    for word in READ_ONLY_WORDS:
        assert any(word in " ".join(line) for _, line in lines), word
    assert sum(len(runs(block)) for block in BLOCKS) >= 40
