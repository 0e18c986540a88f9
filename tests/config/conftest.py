"""The command line in this process, for commands that only print."""

import sys
from collections.abc import Callable

import pytest

from comoto.cli.main import run


@pytest.fixture
def comoto_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that has to succeed, and return what it printed."""
    return lambda *words: _call(monkeypatch, capsys, words, 0)[0]


@pytest.fixture
def refused_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that has to be refused, and return its error."""
    return lambda *words: _call(monkeypatch, capsys, words, 2)[1]


def _call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int
) -> tuple[str, str]:
    monkeypatch.setattr(sys, "argv", ["comoto", *words])
    with pytest.raises(SystemExit) as leaving:
        run()
    said = capsys.readouterr()
    assert leaving.value.code == code, said.err
    return said.out, said.err
