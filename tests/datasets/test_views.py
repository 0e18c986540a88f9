"""Words of views and sides."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comoto.datasets.reading.views import parse_side, parse_view, view_keys
from comoto.records import Laterality, View


@pytest.mark.parametrize(
    ("text", "view", "word", "side"),
    [
        ("CC", View.CC, "CC", None),
        ("lcc", View.CC, "CC", Laterality.LEFT),
        ("R-MLO", View.MLO, "MLO", Laterality.RIGHT),
        ("Left Cranio-Caudal", View.CC, "CC", Laterality.LEFT),
        ("medio-lateral oblique", View.MLO, "MLO", None),
        ("LM", View.OTHER, "LM", None),
        ("LLM", View.OTHER, "LM", Laterality.LEFT),
        ("LML", View.OTHER, "ML", Laterality.LEFT),
        ("LMLO", View.MLO, "MLO", Laterality.LEFT),
        ("LMO", View.OTHER, "LMO", None),
        ("rxccl", View.OTHER, "XCCL", Laterality.RIGHT),
        ("LMCC", View.OTHER, "CCM", Laterality.LEFT),
        ("RSMLO", View.OTHER, "MLOS", Laterality.RIGHT),
        ("rmlos", View.OTHER, "MLOS", Laterality.RIGHT),
        ("LCC ID", View.OTHER, "CCID", Laterality.LEFT),
        ("R MLO spot magnification", View.OTHER, "MLOSM", Laterality.RIGHT),
        ("medio-lateral oblique, implant displaced", View.OTHER, "MLOID", None),
        ("CCRM", View.OTHER, "CCRM", None),
    ],
)
def test_views(text, view, word, side):
    found = parse_view(text)
    assert (found.view, found.word, found.laterality) == (view, word, side)


@pytest.mark.parametrize(
    "text", ["", "C", "XX", "BCC", "L", "12", "LMLM", "RMLM", "LAT", "lateral", "lcx", "spot"]
)
def test_no_views(text):
    assert parse_view(text) is None


@pytest.mark.parametrize("text", ["1" * 160_000 + "x", "lcc" * 100_000, "é" * 160_000, "m" * 160_000 + "1"])
def test_long_cells_are_no_views_and_take_no_time(text):
    """16,000 digits took seconds by a pattern that went over them for each one."""
    start = time.process_time()
    assert parse_view(text) is None
    assert time.process_time() - start < 0.5


def test_many_repeats_take_no_time():
    start = time.process_time()
    made = view_keys(["s"] * 50_000, ["lcc"] * 50_000)
    assert made[:3] == ["lcc", "lcc1", "lcc2"]
    assert len(set(made)) == 50_000
    assert time.process_time() - start < 5


def test_repeats_and_sides():
    assert parse_view("rmlo2").repeat == "2"
    assert [parse_side(word) for word in ("L", "Right", "links", "derecha", "B", "")] == [
        Laterality.LEFT,
        Laterality.RIGHT,
        Laterality.LEFT,
        Laterality.RIGHT,
        None,
        None,
    ]


def test_keys_keep_the_first_and_pass_over_taken_numbers():
    assert view_keys(list("aaaab"), ["lcc", "lcc", "lcc1", "lcc", "lcc"]) == [
        "lcc",
        "lcc2",
        "lcc1",
        "lcc3",
        "lcc",
    ]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["lcc", "lcc1", "rcc"]))))
def test_keys_are_unique_within_their_group(pairs):
    groups, keys = [group for group, _ in pairs], [key for _, key in pairs]
    made = view_keys(groups, keys)
    assert len(set(zip(groups, made, strict=True))) == len(pairs)
    assert all(new.startswith(old) for new, old in zip(made, keys, strict=True))
