"""What holds for the whole suite."""

import re
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

TESTS = Path(__file__).parent


def test_a_busy_machine_fails_no_property() -> None:
    @settings(max_examples=1, database=None)
    @given(st.just(0))
    def slow(_: int) -> None:
        time.sleep(0.3)  # beyond Hypothesis's own limit of 0.2 s

    slow()


def test_the_profile_alone_decides_about_deadlines() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")}
    own = [path.name for path, text in texts.items() if re.search(r"settings\([^)]*deadline", text)]
    assert own == []
