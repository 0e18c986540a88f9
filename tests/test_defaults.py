"""A default stands in ``comoto.defaults`` alone; what is written in words says the same number."""

import inspect

import comoto
from comoto.defaults import HIT_RADIUS, TEST_SHARE, VALIDATION_SHARE
from comoto.splits.assign import SplitPlan


def arguments_of(call: str) -> dict[str, str]:
    """Return what the docstring of a public call says of each argument."""
    text = inspect.cleandoc(getattr(comoto, call).__doc__)
    lines = text.partition("Args:\n")[2].partition("\n\n")[0].splitlines()
    return dict(line.strip().split(": ", 1) for line in lines if ": " in line)


def test_docstrings_name_the_shares_that_are_taken() -> None:
    told = arguments_of("split")
    assert told["validation"].endswith(f"; {VALIDATION_SHARE:g} if not given.")
    assert told["test"].endswith(f"; {TEST_SHARE:g} if not given.")
    assert (SplitPlan().validation, SplitPlan().test) == (VALIDATION_SHARE, TEST_SHARE)


def test_docstrings_name_the_radius_that_is_taken() -> None:
    assert f"; the challenge's is {HIT_RADIUS:g}" in arguments_of("evaluate")["min_radius"]
