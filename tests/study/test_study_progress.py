"""What is shown while a study runs."""

import sys
import threading
from itertools import count

import pytest

from comoto.study import progress
from comoto.study.progress import ProgressRow, Snapshot, watch


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Every look finds one run more complete; set at the third look."""
    number, third = count(1), threading.Event()

    def look(*_: object) -> Snapshot:
        complete = next(number)
        if complete == 3:
            third.set()
        return Snapshot((ProgressRow("lskd", complete, 1, 0, 9, complete, 20),), (), None)

    monkeypatch.setattr(progress, "look", look)
    monkeypatch.setattr(progress, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.01)
    return third


def test_a_terminal_sees_the_table_as_it_is_at_the_end(done, told, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with watch(None, None, workers=1):  # type: ignore[arg-type]
        assert done.wait(10)
    text = told.readouterr().err
    assert text.count("lskd") >= 3  # the first look and later ones
    assert text.rindex("lskd") > text.index("runs")


def test_a_log_gets_a_line_where_something_changed(done, told) -> None:
    with watch(None, None, workers=1):  # type: ignore[arg-type]
        assert done.wait(10)
    lines = told.readouterr().err.splitlines()
    assert lines[:2] == [f"study: {k} done, 1 running, 9 left, 0 failed" for k in (1, 2)]
    assert len(lines) == len(set(lines)) >= 3
