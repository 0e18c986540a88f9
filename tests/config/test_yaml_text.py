"""YAML of files and settings: what is refused, with which words, and that what is written comes back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comoto.config import dump_yaml, load_train_config, parse_yaml, read_yaml
from comoto.config.yaml_text import _LARGEST_FILE
from comoto.errors import ConfigError, DatasetError
from comoto.study.config import load_study

LAUGHS = "a0: &a0 [laugh, laugh]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 9))
"""340 bytes that used to become a message of 52 MB."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"line 1: anchors \(&\) and aliases \(\*\) are not read"),
        ("a: *b", "anchors"),
        ("[" * 20_000, "line 1: is nested more than 30 deep"),
        ("{a: " * 20_000, "line 1: is nested more than 30 deep"),
        ("- " * 20_000, "line 1: is nested more than 30 deep"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands there twice"),
        ("a: {b: 1, b: 2}", "line 1: the key 'b' stands there twice"),
        ("a: " + "9" * 5000, r"line 1: the number 99999999999999999\.\.\. is too long"),
        ("a: 0x" + "f" * 5000, "is too long"),
        ("a: !!python/object/apply:os.system [echo]", "tags"),
        ("a: !!timestamp x", "tags"),
        ("? [a]\n: 1", "not readable as YAML"),
        ("a: [", "not readable as YAML"),
        ("a: \x00", "not readable as YAML"),
    ],
)
def test_what_is_refused_is_one_short_error(tmp_path: Path, text: str, message: str) -> None:
    for suffix, load in (("preset", load_train_config), ("study", load_study)):
        path = tmp_path / f"{suffix}.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=message) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value)) < 700
    with pytest.raises(ConfigError, match=f"^--set batch: .*{message.partition('line')[2]}"):
        load_train_config("demo", [f"batch={text}"])


def test_no_text_and_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(DatasetError, match=r"a\.yaml: .*no text in UTF-8"):
        read_yaml(path, DatasetError)
    path.write_bytes(b"#" * (_LARGEST_FILE + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        read_yaml(path)


def test_words_stay_words_and_numbers_are_as_they_read() -> None:
    text = "a: on\nb: 010\nc: 1e-3\nd: 2024-11-23\ne: 12:30:45\nno: 0x1F\nf: true\ng: ~\nh:\ni: 1_0"
    text += "\nj: .5\nk: -3"
    assert parse_yaml(text, "") == {
        **{"a": "on", "b": 10, "c": 0.001, "d": "2024-11-23", "e": "12:30:45", "no": 31, "f": True},
        **{"g": None, "h": None, "i": "1_0", "j": 0.5, "k": -3},
    }


def test_a_date_is_a_path_and_on_a_switch() -> None:
    config = load_train_config("demo", ["teacher=2024-11-23", "preprocess.mirror=off", "batch.draw=images"])
    assert (str(config.teacher), config.preprocess.mirror) == ("2024-11-23", False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_written_comes_back(content: object) -> None:
    assert parse_yaml(dump_yaml(content), "") == content


@pytest.mark.parametrize(
    "word", ["1e3", "on", "010", "0o7", "2024-11-23", "null", "~", "", "1:30", "<<", "a #1"]
)
def test_a_text_that_looks_like_something_else_comes_back(word: str) -> None:
    assert parse_yaml(dump_yaml({word: [word]}), "") == {word: [word]}


def test_a_list_that_stands_twice_is_written_twice() -> None:
    names = ["a", "b"]
    assert parse_yaml(dump_yaml({"x": names, "y": names}), "") == {"x": names, "y": names}


def test_a_long_value_is_cut_in_messages() -> None:
    with pytest.raises(ConfigError) as caught:
        load_train_config("demo", [f"batch.size={'x' * 10_000}", f"{'y' * 10_000}=1"])
    assert len(str(caught.value)) < 800
