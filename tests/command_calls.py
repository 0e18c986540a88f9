"""Calls of the command line, in this process and in one of its own, and what they leave on the disk."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from comoto.cli.main import run


class Answer(NamedTuple):
    """What a call of the command line gave back."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one ``comoto: ...`` line of a refusal; progress lines may stand above it."""
        lines = [line for line in self.err.splitlines() if line.startswith("comoto: ")]
        assert len(lines) == 1, self.err
        assert self.err.endswith(lines[0] + "\n")
        assert "Traceback" not in self.err
        assert "internal error" not in self.err
        return lines[0]


class CommandLine:
    """Calls ``comoto`` in this process, through the same function as the installed script."""

    def __init__(self, monkeypatch, capsys) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> Answer:
        self._monkeypatch.setattr(sys, "argv", ["comoto", *map(str, words)])
        self._capsys.readouterr()
        try:
            run()
        except SystemExit as leaving:
            said = self._capsys.readouterr()
            return Answer(int(leaving.code or 0), said.out, said.err)
        raise AssertionError("run() always exits")


def in_own_process(*words: object, **options) -> Answer:
    """Call ``python -m comoto`` as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "comoto", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes; folders without files do not count."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def index_words(dataset, root, tmp_path):
    """Return the words that index a release into ``tmp_path / "manifest"``."""
    return "index", dataset, root, "--out", tmp_path / "manifest"


def predict_words(student_run, tmp_path, *inputs):
    """Return the words that predict into ``tmp_path / "p.csv"``."""
    return "predict", "--model", student_run, "--out", tmp_path / "p.csv", *inputs
