"""What the pages tell: every command line parses, every link leads somewhere, the Python example runs."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from itertools import chain, count, pairwise
from pathlib import Path

import pytest
import typer.main
from documented_commands import ROOT, blocks, command_lines

from comoto import api
from comoto.cli.main import app
from comoto.config import PRESETS, load_train_config

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
APPLICATION = typer.main.get_command(app)


def documented() -> list[tuple[str, list[str]]]:
    found = [
        (page.name, words) for page in PAGES for text in blocks(page, "sh") for words in command_lines(text)
    ]
    helps = re.compile(r"Example: comoto (.*?)(?:\n\n|\Z)", re.DOTALL)
    for command in commands(APPLICATION):
        for example in helps.findall(command.help or ""):
            found.append(("help", shlex.split(example)))
    return found


def commands(command):
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from commands(below)


def parse(words: list[str]) -> None:
    """Let the application read a command line down to its last command, without running anything."""
    command, rest, parent = APPLICATION, list(words), None
    while True:
        context = command.make_context(command.name, list(rest), parent=parent)
        if not getattr(command, "commands", None):
            return
        _, below, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        command, parent = below, context


def test_the_pages_hold_every_command():
    told = {words[0] for page, words in documented() if page == "command-line.md"}
    assert told >= set(APPLICATION.commands)
    assert sum(page == "README.md" for page, _ in documented()) >= 8
    each = [command for command in commands(APPLICATION) if not getattr(command, "commands", None)]
    assert sum(page == "help" for page, _ in documented()) == len(each) >= 13  # an example in every help


@pytest.mark.parametrize(("page", "words"), documented(), ids=lambda value: " ".join(value)[:60])
def test_every_command_line_parses(page, words):
    if words[0].startswith("--"):
        assert any(words[0] in parameter.opts for parameter in APPLICATION.params)
    else:
        parse(words)


@pytest.mark.parametrize(
    "words", [["trian"], ["index", "bcs-dbt", "x", "--ot", "y"], ["demo", "--seed", "x"]]
)
def test_a_wrong_command_line_does_not_parse(words):
    with pytest.raises(Exception, match=r"No such|valid integer"):
        parse(words)


def test_settings_in_the_pages_are_valid():
    """``--set`` of training and preparation with the preset that stands beside it."""
    checked = 0
    for page, words in documented():
        settings = [after for word, after in pairwise(words) if word == "--set"]
        if "kind=my_lab." in " ".join(settings):
            continue  # code of a page: tests/test_how_to_extend.py and tests/distill run it with its settings
        if settings and words[0] in ("train", "prepare", "config"):
            preset = words[words.index("--preset") + 1] if "--preset" in words else "small"
            preset = words[2] if words[0] == "config" else preset
            load_train_config(preset, settings, role="teacher" if "teacher" in words else "student")
            checked += 1
        elif settings and words[0] == "simulate":
            from comoto.config import override
            from comoto.simulation import sized

            override(sized("demo"), settings)
            checked += 1
        elif settings and words[0] == "predict":
            from comoto.config import InferenceConfig, override

            override(InferenceConfig(), settings)
            checked += 1
        else:
            assert not settings, (page, words)
    assert checked >= 6


def test_every_shipped_preset_is_named_and_loads():
    shipped = {path.stem for path in (ROOT / "src/comoto/config/presets").glob("*.yaml")}
    assert shipped == set(PRESETS)
    for name in shipped:
        for role in ("teacher", "student"):
            load_train_config(name, role=role)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_file_and_to_a_heading_in_it(page):
    """As the repository shows the pages; ``make docs`` checks the site that is made of them."""
    for target, anchor in links(page):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}#{anchor}"


def links(page: Path) -> list[tuple[str, str]]:
    """Files and headings that a page links to, without those on other machines."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)[^)]*\)", text)
    return [(target, anchor) for target, anchor in found if ":" not in target]


@cache
def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them: small letters, hyphens, a number from the second on."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w -]", "", words).replace(" ", "-")
        found.add(
            next(each for each in chain([name], (f"{name}-{n}" for n in count(1))) if each not in found)
        )
    return found


def test_headings_are_named_as_links_name_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b_c` (d=e)\n\n## Twice\n\n```sh\n# no heading\n```\n\n## Twice\n\n## [Link](x.md): more\n"
    )
    assert anchors(page) == {"a-b_c-de", "twice", "twice-1", "link-more"}


def test_the_reference_names_modules_that_are_there():
    text = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    modules = re.findall(r"^::: (comoto[\w.]+)$", text, re.M)
    assert len(modules) >= 10
    for name in modules:
        path = ROOT / "src" / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


def test_the_python_page_names_every_call():
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert {name for name in api.__all__ if f"comoto.{name}" not in text} == set()


@pytest.mark.slow
def test_the_python_example_runs_as_it_stands(tmp_path):
    (example,) = blocks(ROOT / "docs" / "python.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "bcs-dbt: 16 images" in done.stdout
    assert "mean sensitivity, positive volumes" in done.stdout
    assert done.stderr == ""  # a library call is silent
    assert (tmp_path / "comoto-example" / "predictions.csv").is_file()


def test_no_room_takes_the_name_of_a_public_call() -> None:
    """Importing a room ``comoto/draw`` would put the room in place of the call ``comoto.draw``."""
    rooms = {path.stem for path in (ROOT / "src" / "comoto").iterdir()}
    assert not rooms & set(api.__all__)
