"""What a folder holds: stacks of single-frame files, and other DICOM files; told by content, not by name."""

from __future__ import annotations

import filecmp
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from comoto.dicom.attributes import text_of, uid_of
from comoto.dicom.log_once import warn_once
from comoto.errors import DicomError
from comoto.sources.dicom_content import Content, DicomContent, dicom_content, is_dicom
from comoto.sources.dicom_stack import slice_position

_FEWEST_CAPTURES = 5
"""Single-frame secondary captures of one series and size make a stack from this number on.

The VICTRE release at the Imaging Data Commons has its slices in this class, and CBIS-DDSM its films, at most
two files a series. No tomosynthesis volume has fewer slices.
"""
_LISTED = 8
_FEWEST_OF_PART = 5
"""Slices of a view or an acquisition of its own: one odd slice is no other volume, but an error of the
export, and some writers count a new acquisition with every slice."""
State = tuple[tuple[str, int, int, int], ...]
"""Name, length and times of files."""
_NO_COMPANY = frozenset({Content.VOLUME, Content.UNREADABLE})
"""What beside a stack makes it unclear which volume a folder stands for."""


@dataclass(frozen=True)
class Stack:
    """Single-frame files of one series, view and acquisition.

    Attributes:
        series_uid, description: of the series; empty where the files do not say.
        files: by name.
    """

    series_uid: str
    description: str
    files: tuple[DicomContent, ...]

    def __str__(self) -> str:
        name = f" '{self.description}'" if self.description else ""
        uid = f", series {self.series_uid}" if self.series_uid else ""
        return f"a stack of {len(self.files)} slices{name} ({self.files[0].path.name}, ...{uid})"


@dataclass(frozen=True)
class FolderContent:
    """The DICOM files directly in a folder.

    Attributes:
        stacks: series of single-frame slices.
        others: all other DICOM files.
    """

    folder: Path
    stacks: tuple[Stack, ...]
    others: tuple[DicomContent, ...]

    @property
    def images(self) -> tuple[DicomContent, ...]:
        """Others without objects that hold no pixels (reports, presentation states, DICOMDIR)."""
        return tuple(one for one in self.others if one.content is not Content.NO_IMAGE)

    @property
    def volumes(self) -> tuple[Stack, ...]:
        """Stacks of more than one slice."""
        return tuple(stack for stack in self.stacks if len(stack.files) > 1)

    @property
    def only_volume(self) -> Stack | None:
        """The stack that the folder stands for: its only one, with nothing beside it but flat pictures.

        A synthetic 2D image of the same breast often lies beside the slices. Whatever might belong to the
        stack or be another volume is no such company.
        """
        company = {one.content for one in self.images}
        is_alone = len(self.volumes) == 1 and not company & _NO_COMPANY
        return self.volumes[0] if is_alone else None

    def stack_of(self, path: Path) -> Stack | None:
        """Return the stack of several slices to which a file belongs."""
        return next((one for one in self.volumes if any(file.path == path for file in one.files)), None)

    def name_of(self, stack: Stack) -> Path:
        """Return the path that stands for a stack: the folder if it holds no other, else its first file."""
        return self.folder if stack is self.only_volume else stack.files[0].path

    def only(self) -> Stack | DicomContent:
        """Return the one image that the folder holds.

        Raises:
            DicomError: it holds none, or several; they are listed.
        """
        if len(self.stacks) + len(self.images) == 1:
            return self.stacks[0] if self.stacks else self.images[0]
        if self.only_volume is not None:
            return self.only_volume
        if not self.stacks and not self.images:
            what = f"only {len(self.others)} DICOM objects without pixels" if self.others else "no DICOM file"
            inside = sum(path.is_dir() for path in self.folder.iterdir())
            hint = f", but {inside} folders; give one of them" if inside else "; give the folder of the files"
            raise DicomError(f"{self.folder}: {what} directly in this folder{hint}")
        way_out = (
            "give one file (any slice stands for its stack), or put the files of each series into a folder "
            "of their own"
            if self.volumes or not self.stacks
            else "if they are one volume, export them as one series"
        )
        raise DicomError(
            f"{self.folder}: holds several images where one is expected: {self.summary()}; {way_out}"
        )

    def summary(self) -> str:
        """Return what the folder holds in words."""
        parts = [str(stack) for stack in self.volumes[:_LISTED]]
        if len(self.volumes) > _LISTED:
            parts.append(f"{len(self.volumes) - _LISTED} more stacks")
        single = [stack for stack in self.stacks if len(stack.files) == 1]
        if single:
            own = ", each of a series of its own" if len(single) > 1 else ""
            parts.append(f"{len(single)} x one slice{own} ({single[0].files[0].path.name}, ...)")
        counts = Counter(one.content for one in self.images)
        for content, count in counts.items():
            first = next(one.path.name for one in self.images if one.content is content)
            parts.append(f"{count} x {content.value} ({first}{', ...' if count > 1 else ''})")
        return "; ".join(parts)


def look_into(folder: Path) -> FolderContent:
    """Read the tags of every DICOM file directly in a folder, whatever its name; other files are passed over.

    Raises:
        DicomError: the folder or a file in it cannot be opened.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise DicomError(f"{folder}: cannot be opened ({error.strerror or error})") from error
    found = [dicom_content(path) for path in files if is_dicom(path)]
    return group(folder, found)


def stack_around(path: Path) -> tuple[FolderContent, Stack] | None:
    """Return the stack of several slices to which a file belongs, and what else its folder holds.

    Looking into a folder takes a few milliseconds a file, so the last ones looked into are remembered for as
    long as their files stay the same.
    """
    content = _remembered(path.parent, folder_state(path.parent))
    stack = content.stack_of(path)
    return None if stack is None else (content, stack)


def folder_state(folder: Path) -> State:
    """Return what changes when a file directly in a folder comes, goes or is replaced.

    Raises:
        DicomError: the folder cannot be opened.
    """
    try:
        files = [entry for entry in os.scandir(folder) if entry.is_file()]
        return tuple(sorted(_state(entry.name, entry.stat()) for entry in files))
    except OSError as error:
        raise DicomError(f"{folder}: cannot be opened ({error.strerror or error})") from error


def file_state(path: Path) -> State:
    """Return what changes when a file is replaced.

    Raises:
        DicomError: it cannot be looked at.
    """
    try:
        return (_state(path.name, path.stat()),)
    except OSError as error:
        raise DicomError(f"{path}: cannot be opened ({error.strerror or error})") from error


def _state(name: str, stat: os.stat_result) -> tuple[str, int, int, int]:
    """The time of the last change of the entry is one that nobody can set on Linux and macOS."""
    return name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@lru_cache(maxsize=2)
def _remembered(folder: Path, state: State) -> FolderContent:
    return look_into(folder)


def group(folder: Path, found: list[DicomContent]) -> FolderContent:
    """Put single-frame files of a series together; a lone secondary capture counts as a mammogram (film)."""
    series: dict[tuple[str, Content], list[DicomContent]] = {}
    others: list[DicomContent] = []
    for one in found:
        if one.content in (Content.SLICE, Content.CAPTURE):
            series.setdefault((one.series_uid, one.content), []).append(one)
        else:
            others.append(one)
    stacks: list[Stack] = []
    for (uid, content), copies in series.items():
        files = _without_copies(copies)
        if content is Content.SLICE or _is_stack_of_captures(files):
            stacks.extend(Stack(uid, part[0].series_description, tuple(part)) for part in _parted(files))
        else:
            others.extend(replace(one, content=Content.MAMMOGRAM) for one in copies)
    return FolderContent(folder, tuple(stacks), tuple(sorted(others, key=lambda one: one.path)))


def _without_copies(files: list[DicomContent]) -> list[DicomContent]:
    """Leave out files that are byte for byte another one, as file managers make them."""
    kept: dict[str, DicomContent] = {}
    result = []
    for one in files:
        uid = "" if one.tags is None else uid_of(one.tags, "SOPInstanceUID")
        original = kept.setdefault(uid, one) if uid else one
        if original is not one and filecmp.cmp(original.path, one.path, shallow=False):
            warn_once("copy", f"{one.path}: a copy of {original.path.name}; it is left out")
        else:
            result.append(one)
    return result


def _parted(files: list[DicomContent]) -> list[list[DicomContent]]:
    """Part a series that holds several views, sides or acquisitions into the stacks that it is."""
    views = _by(files, lambda one: tuple(_word(one, key) for key in ("ImageLaterality", "ViewPosition")))
    sizes = {len(view) for view in views.values()}
    if all(any(key) for key in views) and (min(sizes) >= _FEWEST_OF_PART or sizes == {1}):
        return [part for view in views.values() for part in _by_acquisition(view)]
    return _by_acquisition(files)


def _by_acquisition(files: list[DicomContent]) -> list[list[DicomContent]]:
    parts = _by(files, lambda one: _word(one, "AcquisitionNumber"))
    if len(parts) == 1 or min(len(part) for part in parts.values()) < _FEWEST_OF_PART:
        return [files]
    places = [None if one.tags is None else slice_position(one.tags) for one in files]
    if None not in places and len(set(places)) == len(places):  # one volume, counted so in the course of it
        return [files]
    return list(parts.values())


def _by(files: Sequence[DicomContent], key: Callable[[DicomContent], Any]) -> dict[Any, list[DicomContent]]:
    parts: dict[Any, list[DicomContent]] = {}
    for one in files:
        parts.setdefault(key(one), []).append(one)
    return parts


def _word(one: DicomContent, keyword: str) -> str:
    return "" if one.tags is None else (text_of(one.tags, keyword) or "").upper()


def _is_stack_of_captures(files: list[DicomContent]) -> bool:
    numbers = {one.tags.get("InstanceNumber") for one in files if one.tags is not None}
    sizes = {(one.rows, one.columns) for one in files}
    return len(files) >= _FEWEST_CAPTURES and len(sizes) == 1 and len(numbers) == len(files)
