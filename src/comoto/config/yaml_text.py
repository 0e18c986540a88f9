"""YAML as every file and every ``--set`` of the package is read and written: by one loader, with limits.

Read is the *core schema* of YAML 1.2: ``on`` and ``no`` are words, ``010`` is ten, ``1e-3`` a number and a
date a text; anything that pydantic takes for a switch (``on``, ``off``, ``yes``, ``no``) still is one where a
switch is expected. Refused are anchors and aliases, through which a few lines expand to gigabytes; tags; a
key that stands twice, of which YAML would take the last; nesting, numbers and files beyond any settings.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from comoto.components import short
from comoto.errors import ComotoError, ConfigError

_DEEPEST = 30
_LONGEST_NUMBER = 40  # letters
_LARGEST_FILE = 1 << 20  # bytes

_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
)


class _Refused(yaml.YAMLError):
    """What this module refuses; a line, where one is known, stands in the text."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 the base class calls it an instance's

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Compose one node, none of which may repeat another or lie too deep."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _Refused(f"line {event.start_mark.line + 1}: anchors (&) and aliases (*) are not read")
        if getattr(event, "tag", None) is not None:
            raise _Refused(f"line {event.start_mark.line + 1}: tags (!) are not read; quote what is a text")
        if self._depth == _DEEPEST:
            raise _Refused(f"line {event.start_mark.line + 1}: is nested more than {_DEEPEST} deep")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping, in which no key may stand twice."""
        seen = set()
        for key, _ in node.value:
            word = (key.tag, str(key.value))
            if word in seen:
                raise _Refused(
                    f"line {key.start_mark.line + 1}: the key '{short(word[1])}' stands there twice"
                )
            seen.add(word)
        return super().construct_mapping(node, deep)

    def whole_number(self, node: ScalarNode) -> int:
        """Return an integer of the core schema."""
        word = str(node.value)
        if len(word) > _LONGEST_NUMBER:
            raise _Refused(f"line {node.start_mark.line + 1}: the number {short(word, 20)} is too long")
        return int(word, {"0o": 8, "0x": 16}.get(word[:2], 10))


class _Dumper(yaml.SafeDumper):
    """Writes what ``_Loader`` reads back as it was, and so do readers of YAML 1.1."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write the same list twice rather than once with an alias."""
        return True


for _kind in (_Loader, _Dumper):
    for _name, _pattern, _first in _CORE_SCHEMA:
        _kind.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor(f"{_TAG}int", _Loader.whole_number)


def parse_yaml(text: str, where: str, error: type[ComotoError] = ConfigError) -> Any:
    """Return what YAML says.

    Args:
        text: of a file, or the value of one setting.
        where: the file's or the setting's name, for messages.
        error: class of the error to raise.

    Raises:
        ComotoError: of the class ``error``: not YAML, or one of the things that are refused.
    """
    try:
        return yaml.load(text, _Loader)
    except _Refused as cause:
        raise error(f"{where}: {cause}") from cause
    except (yaml.YAMLError, ValueError, RecursionError) as cause:
        raise error(f"{where}: not readable as YAML: {short(cause, 400)}") from cause


def read_yaml(path: Path, error: type[ComotoError] = ConfigError) -> Any:
    """Return what a YAML file says; see ``parse_yaml``.

    Raises:
        ComotoError: of the class ``error``: see ``parse_yaml``; or the file is too large or not UTF-8.
        OSError: the file cannot be read.
    """
    if path.stat().st_size > _LARGEST_FILE:
        raise error(f"{path}: is larger than {_LARGEST_FILE >> 20} MiB, so it is no file of settings")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as cause:
        raise error(f"{path}: not readable as YAML: no text in UTF-8") from cause
    return parse_yaml(text, str(path), error)


def dump_yaml(content: Any) -> str:
    """Return plain values as YAML that ``parse_yaml`` reads back, keys in their order."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)
