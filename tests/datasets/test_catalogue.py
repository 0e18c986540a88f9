"""``comoto datasets``: every reader has an entry, and the entries are complete."""

import re
from pathlib import Path

import pytest

from comoto.cli.datasets import catalogue_rows, describe, option_rows
from comoto.components import DATASETS
from comoto.datasets.catalogue import catalogue, options_of_dataset
from comoto.downloads.collections import COLLECTIONS

CATALOGUE = catalogue()
DOCS = Path(__file__).resolve().parents[2] / "docs" / "datasets"
OPTIONS = re.compile(r"^\| option \|.*\|$(?:\n^\|.*\|$)*", re.MULTILINE)
TABLE = re.compile(r"^\|.*\|$(?:\n^\|.*\|$)*", re.MULTILINE)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_entries_are_complete(name):
    about = CATALOGUE[name]
    assert about.name == name
    assert about.commercial_use in ("yes", "no", "by agreement", "unknown")
    for field in ("title", "modalities", "boxes", "access", "licence", "citation", "url"):
        assert getattr(about, field), field
    assert len(about.boxes) <= 60, "a column of a table"
    assert len(about.access) <= 60, "a column of a table"


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_option_is_explained(name):
    """Name, values, default and meaning come from the reader's own class."""
    said = describe(name)
    for option in options_of_dataset(name):
        assert len(option.meaning) > 20, option.name
        assert option.meaning in said


def test_values_and_defaults_are_told():
    said = describe("csv")
    assert "  --set first-slice=...     whole number, at least 0, at most 1; 0 if not given\n" in said
    assert "  --set corners=...         edges or pixels; edges if not given\n" in said
    assert "  --allow-missing\n" in said  # a switch needs neither values nor the default


@pytest.mark.parametrize("name", sorted(set(COLLECTIONS) & set(DATASETS)))
def test_what_can_be_downloaded_is_called_open(name):
    assert "open" in CATALOGUE[name].access


def markdown_table():
    """The table of ``docs/datasets/README.md``; names lead to the pages that are there."""
    header, *rows = catalogue_rows()
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name, *others in rows:
        linked = f"[{name}]({name}.md)" if (DOCS / f"{name}.md").is_file() else name
        lines.append("| " + " | ".join([linked, *others]) + " |")
    return "\n".join(lines)


def test_the_table_of_the_documentation_is_the_catalogue():
    written = TABLE.search((DOCS / "README.md").read_text(encoding="utf-8"))
    assert written is not None
    assert written[0] == markdown_table(), "rewrite it with: python tests/datasets/test_catalogue.py"


def test_the_command(comoto):
    code, said, _ = comoto("datasets")
    assert code == 0
    assert all(name in said for name in CATALOGUE)
    assert said.endswith(
        "citation, notes and options of one of them: comoto datasets NAME\n"
        "described, but not read: csaw-cc, embed\n"
    )
    code, said, _ = comoto("datasets", "bcs-dbt")
    assert code == 0
    assert said == describe("bcs-dbt")
    assert "10.7937/E4WT-CD02" in said
    assert "--tables FOLDER" in said
    code, _, error = comoto("datasets", "bcs-dtb")
    assert code == 2
    assert "unknown data set 'bcs-dtb'; did you mean 'bcs-dbt'?" in error


def options_table(name):
    """The table of a reader's options on its page."""
    rows = [
        f"| `{how.removeprefix('--set ').removesuffix('=...')}` | {values} | {meaning.replace('``', '`')} |"
        for how, values, meaning in option_rows(name)
    ]
    return "\n".join(["| option | may be | meaning |", "|---|---|---|", *rows])


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_the_options_of_a_page_are_those_of_the_reader(name):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert options_table(name) in page, "rewrite it with: python tests/datasets/test_catalogue.py"


if __name__ == "__main__":
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    (DOCS / "README.md").write_text(TABLE.sub(lambda _: markdown_table(), text, count=1), encoding="utf-8")
    for each in DATASETS:
        page = DOCS / f"{each}.md"
        text = OPTIONS.sub(
            lambda _, each=each: options_table(each), page.read_text(encoding="utf-8"), count=1
        )
        page.write_text(text, encoding="utf-8")
