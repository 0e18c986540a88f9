"""What readers share: the ledger, what is missing, options, and lists that are cut."""

from pathlib import Path
from typing import ClassVar, Literal

import pytest

from comoto.config.models import Count
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.options import (
    AllowMissing,
    DatasetAbout,
    LowerSeveral,
    Option,
    Words,
    describe_options,
    options_of,
    parse_options,
)
from comoto.errors import ConfigError, DatasetError
from comoto.records import Manifest
from comoto.wording import first_few


class Options(AllowMissing):
    """Options of a reader that there is none of."""

    about: ClassVar[DatasetAbout]

    side: Literal["pixels", "tag"] = "pixels"
    """Which breast an image shows."""
    shapes: LowerSeveral[Literal["mass", "cyst"]] = ("mass",)
    """What counts."""
    exclude: Words = ()
    """Left out wholly."""
    workers: Count | None = None
    """Processes."""


def read(root: Path, options: Options) -> Manifest:
    raise NotImplementedError


def test_text_and_values_become_options():
    texts = parse_options("set", Options, {"side": "tag", "shapes": "Cyst, mass", "workers": "4"})
    values = parse_options("set", Options, {"side": "tag", "shapes": ["cyst", "mass"], "workers": 4})
    assert texts == values
    assert (texts.side, texts.shapes, texts.workers) == ("tag", ("cyst", "mass"), 4)
    assert parse_options("set", Options, {"exclude": "a, b,,a"}).exclude == ("a", "b")
    assert options_of(read) is Options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sides": "tag"}, "data set 'set' takes no 'sides'; did you mean 'side'?"),
        ({"allow-mising": "1"}, "data set 'set' takes no 'allow-mising'; did you mean 'allow-missing'?"),
        ({"tables": "t"}, "data set 'set' takes no 'tables'; leave it out"),
        ({"side": "pixel"}, "set: side=pixel: accepted are pixels, tag; did you mean 'pixels'?"),
        ({"shapes": "mass,cist"}, "set: shapes=cist: accepted are mass, cyst; did you mean 'cyst'?"),
        ({"shapes": ","}, "set: shapes=,: expected mass or cyst; several with commas"),
        ({"workers": "0"}, "set: workers=0: expected whole number, at least 1"),
        (
            {"side": "x", "workers": "many"},
            "set: side=x: accepted are pixels, tag; workers=many: expected whole number, at least 1",
        ),
    ],
)
def test_wrong_options_name_what_is_right(given, message):
    with pytest.raises(ConfigError) as caught:
        parse_options("set", Options, given)
    assert str(caught.value) == message


def test_options_describe_themselves():
    assert list(describe_options(Options)) == [
        Option(
            "allow-missing",
            "true or false",
            "",
            "Leave out images that are not on disk, and list them, instead of refusing.",
        ),
        Option("side", "pixels or tag", "pixels", "Which breast an image shows."),
        Option("shapes", "mass or cyst; several with commas", "mass", "What counts."),
        Option("exclude", "text; several with commas", "", "Left out wholly."),
        Option("workers", "whole number, at least 1", "", "Processes."),
    ]


def test_options_without_a_type_are_told():
    def untyped(root, options):
        raise NotImplementedError

    with pytest.raises(ConfigError, match="the type of 'options' is not known"):
        options_of(untyped)
    assert options_of(lambda root, tables=None: None) is None


def test_a_ledger_says_a_reason_once():
    ledger = Ledger()
    for name in "abcdef":
        ledger.drop_of("no raw file", name)
    ledger.note_of("odd", "a")
    ledger.drop("x.dcm: cannot be read")
    ledger.note("first", "second")
    assert ledger.dropped == ("x.dcm: cannot be read", "no raw file: a, b, c, d and 2 more (6 in all)")
    assert ledger.notes == ("first", "second", "odd: a (1 in all)")
    assert list(ledger.left_out("no raw file")) == list("abcdef")


def test_missing_images():
    where = Path("set")
    refuse_missing(where, "images", [], 3, allowed=False)
    refuse_missing(where, "images", ["a"], 3, allowed=True)
    with pytest.raises(DatasetError) as caught:
        refuse_missing(where, "images of t.csv", list("abcd"), 9, allowed=False, way_out="copy them")
    assert str(caught.value) == (
        "set: 4 of 9 images of t.csv are not on disk, such as a, b, c and 1 more; copy them, or index only "
        "those that are there with --allow-missing (Python: allow_missing=True)"
    )
    with pytest.raises(DatasetError, match="2 of 2 images are not on disk"):
        refuse_missing(where, "images", ["a", "b"], 2, allowed=True)


def test_first_few():
    assert first_few([]) == ""
    assert first_few("abc") == "a, b, c"
    assert first_few(range(5), most=2, separator="; ") == "0; 1 and 3 more"


def test_a_manifest_of_records_is_the_one_they_came_from(bcs_tree):
    from comoto import api

    manifest = api.index("bcs-dbt", bcs_tree.root)
    again = Manifest.from_records(manifest.name, manifest.records(), manifest.notes, manifest.dropped)
    assert again.images.equals(manifest.images)
    assert sorted(map(str, again.lesions.values.tolist())) == sorted(
        map(str, manifest.lesions.values.tolist())
    )
    assert (again.notes, again.dropped) == (manifest.notes, manifest.dropped)
