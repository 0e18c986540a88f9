"""Every image below a folder, each once: a stack of single-frame files is one image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from comoto.errors import DicomError
from comoto.sources.dicom_content import WAYS_OUT, Content, DicomContent, dicom_content, is_dicom
from comoto.sources.folder import FolderContent, group
from comoto.sources.open import SourceKind, describe_source

_DICOM_SUFFIXES = (".dcm", ".dicom", ".dic")
_OTHER_SUFFIXES = (".mhd", ".png")


def survey(root: Path) -> Iterator[SourceKind]:
    """Describe the images in a folder and its sub-folders, in a fixed order.

    DICOM files are known by their mark and not by their name; a file that is called ``.dcm`` and is none
    counts as unreadable. A folder whose single-frame files make one stack, and which holds no other image,
    is one image under the folder's path. Where it holds several stacks, or a stack among other images, no
    path names one stack, so the folder stands for all of them with a ``problem``. Links to folders are
    followed, each folder is entered once.

    Args:
        root: a folder.

    Raises:
        DicomError: a file cannot be opened.
    """
    seen: set[str] = set()
    for name, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from _survey_folder(Path(name), sorted(files))


def _survey_folder(folder: Path, names: list[str]) -> Iterator[SourceKind]:
    found: list[DicomContent] = []
    for path in (folder / name for name in names):
        if not path.is_file():
            continue
        if is_dicom(path):
            found.append(dicom_content(path))
        elif path.suffix.lower() in _DICOM_SUFFIXES:
            yield SourceKind(
                path, Content.UNREADABLE, 0, f"{path}: not a DICOM file (no 'DICM' after the preamble)"
            )
        elif path.suffix.lower() in _OTHER_SUFFIXES:
            yield describe_source(path)
    if found:
        yield from _survey_dicom(group(folder, found))


def _survey_dicom(content: FolderContent) -> Iterator[SourceKind]:
    if content.stacks:
        try:
            content.only()
            problem = ""
        except DicomError as error:
            problem = str(error)
        frames = len(content.stacks[0].files) if len(content.stacks) == 1 else 0
        is_volume = any(len(stack.files) > 1 for stack in content.stacks)
        yield SourceKind(content.folder, Content.VOLUME if is_volume else Content.SLICE, frames, problem)
    for one in content.others:
        problem = f"{one.path}: {WAYS_OUT[one.content]}" if one.content in WAYS_OUT else ""
        if one.content is Content.UNREADABLE:
            problem = f"{one.path}: the header cannot be read ({one.reason})"
        yield SourceKind(one.path, one.content, one.num_frames, problem)
