"""What ``make docs`` adds to the pages: links out of ``docs/``, pages of the repository's root, the commands.

The pages are written to be read in the repository: their links are paths of files, some of which lie outside
``docs/``. The site has no such files, so each one that is linked becomes a part of the site.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

from commands import command_pages

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the root -> their names in the site."""
COMMANDS_PAGE, COMMANDS_MARK = "reference/commands.md", "<!-- the commands stand here -->"
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(?=[)#])")
_FETCHED = re.compile(r'<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]*)')
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"^```(\w+) (\S+)$", re.MULTILINE)
"""A block with the name of its file, which the site takes as a title and would else print as prose."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root, and every file outside ``docs/`` that a page links to."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    linked = {
        _in_repository(file.src_uri, target)
        for file in files.documentation_pages()
        for target in _LINK.findall(_FENCE.sub("", file.content_string))
    }
    for name in sorted(linked):
        if not name.startswith("docs/") and name not in PAGES:
            files.append(File.generated(config, _in_site(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Turn links into those of the site; put the commands where their page wants them."""
    if page.file.src_uri == COMMANDS_PAGE:
        return markdown.replace(COMMANDS_MARK, command_pages())
    here = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        return posixpath.relpath(_in_site(_in_repository(page.file.src_uri, match.group(1))), here or ".")

    parts = re.split(f"({_FENCE.pattern})", markdown, flags=_FENCE.flags)
    return "".join(
        _NAMED.sub(r'```\1 title="\2"', part) if part.startswith("```") else _LINK.sub(moved, part)
        for part in parts
    )


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Refuse a page that fetches something from another machine when it is read, or shows Markdown.

    Raises:
        PluginError: it does.
    """
    if "```" in output:
        raise PluginError(
            f"{page.file.src_uri} shows a block of code as text; write ```LANGUAGE or ```LANGUAGE FILE"
        )
    fetched = _FETCHED.search(output)
    if fetched is not None:
        raise PluginError(f"{page.file.src_uri} fetches {fetched.group(1)}; the site has to work offline")
    return output


def _in_repository(page: str, target: str) -> str:
    """The path in the repository that a link of a page means."""
    of_root = {site: name for name, site in PAGES.items()}
    home = posixpath.dirname(of_root.get(page, f"docs/{page}"))
    return posixpath.normpath(posixpath.join(home, target))


def _in_site(name: str) -> str:
    """Where a file of the repository lies in the site; sources are text, so that browsers show them."""
    if name in PAGES:
        return PAGES[name]
    return name.removeprefix("docs/") if name.startswith("docs/") else f"source/{name}.txt"
