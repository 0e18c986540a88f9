"""Progress in words: how long is left, and when nothing can be said about it."""

import pytest

from comoto import progress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (12_000, "3 h 20 min"),
        (47.9 * 3600, "47 h 54 min"),
        (52 * 3600, "2 d 4 h"),
    ],
)
def test_a_duration_in_words(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


class Clock:
    """Stands in for ``time``: each step takes what the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_the_first_step_gives_no_estimate(clock: Clock, told: pytest.CaptureFixture[str]) -> None:
    """A first step of 60 s and nine of 10 s: after the second, 8 are left, 80 s and not 280."""
    with progress.progress_bar("work", 10) as advance:
        for seconds in (60, *[10] * 9):
            clock.now += seconds
            advance(1)
    lines = told.readouterr().err.splitlines()
    assert lines[:3] == ["work: 1/10", "work: 2/10, about 80 s left", "work: 3/10, about 70 s left"]
    assert lines[-1] == "work: 10/10, 2 min"


def test_days_are_told_as_days(clock: Clock, told: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("work", 100) as advance:
        for _ in range(2):
            clock.now += 7200
            advance(1)
    assert "work: 2/100, about 8 d 4 h left" in told.readouterr().err.splitlines()
