"""Manifests and splits as callers name them."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from comoto.arguments import AnyPath, wrong_type
from comoto.components import suggest
from comoto.errors import ConfigError

if TYPE_CHECKING:
    from comoto.records import Manifest, Split


def loaded_manifest(manifest: Manifest | AnyPath) -> Manifest:
    """Return a manifest, or the one that was saved in a folder.

    Raises:
        TypeError: it is neither.
    """
    from comoto.records import Manifest

    if isinstance(manifest, str | PathLike):
        return Manifest.load(manifest)
    if not isinstance(manifest, Manifest):
        raise wrong_type("manifest", manifest, "a Manifest, or the folder that one was saved in")
    return manifest


def named_split(word: str | None) -> Split | None:
    """Return the split of a name; None stays None.

    Raises:
        ConfigError: there is no such split.
    """
    if word is None:
        return None
    from comoto.records import Split

    names = [split.value for split in Split]
    if word not in names:
        raise ConfigError(f"unknown split '{word}'; {suggest(word, names)}")
    return Split(word)
