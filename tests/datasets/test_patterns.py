"""Patterns that meet the text of users: none may take time that grows with the square of its length."""

import importlib
import pkgutil
import re
import time

import pytest

import comoto.datasets

LONG = 20_000
TEXTS = {
    "digits": "1" * LONG + "x",
    "digits and points": "1." * LONG + "x",
    "words and blanks": "_1" * LONG + " ",
    "blanks": " " * LONG + "x",
    "letters": "l" * LONG + "1x",
    "paths": "/1.1-" * LONG + "/",
    "brackets": "BoundingBox(x1=" * (LONG // 10),
    "commas": "1," * LONG + "x",
    "one path": "/" + "1" * LONG + ".mhd",
}
SEARCHED = ("TOMOSYNTHESIS", "MAMMOGRAPHY", "_SERIES_NUMBER", "_SIGNS", "_NOT_LETTERS", "_DIGITS")
"""Patterns that the code looks for anywhere in a text; others are compared with its beginning or all."""


def patterns():
    names = [found.name for found in pkgutil.walk_packages(comoto.datasets.__path__, "comoto.datasets.")]
    for name in [*names, "comoto.csv_rows", "comoto.dicom.tags", "comoto.sources.volume_orientation"]:
        module = importlib.import_module(name)
        for attribute, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield pytest.param(
                    value, attribute in SEARCHED, id=f"{name.removeprefix('comoto.')}.{attribute}"
                )


@pytest.mark.parametrize(("pattern", "is_searched"), list(patterns()))
def test_long_texts_take_no_time(pattern, is_searched):
    for name, text in TEXTS.items():
        start = time.process_time()
        pattern.match(text)
        pattern.fullmatch(text)
        if is_searched:
            pattern.search(text)
        assert time.process_time() - start < 1, name
