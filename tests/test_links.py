"""Every link between the repository's markdown files leads somewhere, to its heading; no network is asked.

``make docs`` checks the pages of the site; this also reads what lies outside ``docs``.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "tests", "benchmarks", "fuzz", "src")
PAGES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")) + sorted(
    ROOT.glob("*.md")
)

_FENCE = re.compile(r"^(```+|~~~+).*?^\1[`~]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\s*\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]^]+\]:\s*<?([^\s>]+)>?", re.MULTILINE)
_HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=[\"']([^\"']+)[\"']")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_GIVEN_ID = re.compile(r"\{[^}]*#([\w-]+)[^}]*\}\s*$|\bid=[\"']([^\"']+)[\"']", re.MULTILINE)
_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)


def dead_links(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere, and why."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    plain = _CODE.sub("code", text)
    for link in (target for form in (_LINK, _REFERENCE, _HTML) for target in form.findall(plain)):
        if _ELSEWHERE.match(link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if path.startswith("/") or not target.exists():
            yield f"{link}: no such file in the repository"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{link}: {target.name} has no such heading"


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return what ``#...`` may follow a page's name: slugs of headings as GitHub and the site make them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    found: set[str] = {first or second for first, second in _GIVEN_ID.findall(text)}
    for heading in _HEADING.findall(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]|<[^>]+>", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while f"{slug}{f'-{number}' if number else ''}" in found:
            number += 1
        found.add(f"{slug}{f'-{number}' if number else ''}")
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page(page: Path) -> None:
    assert not list(dead_links(page))


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# One `two` & three\n\n## Four\n\n## Four\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[good](there.md) [good](there.md#one-two--three) [good](there.md#four-1) [good](https://x.org/y)\n"
        "`[code](nowhere.md)` [bad](gone.md) ![bad](gone.png)\n"
        "[bad](there.md#five) [bad](#here) <a href='gone'>\n"
        "[bad]: gone/too.md\n\n```\n[code](nowhere.md)\n```\n",
        encoding="utf-8",
    )
    found = [line.partition(":")[0] for line in dead_links(page)]
    assert sorted(found) == ["#here", "gone", "gone.md", "gone.png", "gone/too.md", "there.md#five"]
