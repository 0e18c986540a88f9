"""What a folder holds: stacks of single-frame files, and other DICOM files; told by content, not by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from comoto.errors import DicomError
from comoto.sources.dicom_content import Content, DicomContent, dicom_content, is_dicom

_FEWEST_CAPTURES = 5
"""Single-frame secondary captures of one series and size make a stack from this number on.

The VICTRE release at the Imaging Data Commons has its slices in this class, and CBIS-DDSM its films, at most
two files a series. No tomosynthesis volume has fewer slices.
"""
_LISTED = 8


@dataclass(frozen=True)
class Stack:
    """Single-frame files of one series.

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

    def only(self) -> Stack | DicomContent:
        """Return the one image that the folder holds.

        Raises:
            DicomError: it holds none, or several; they are listed.
        """
        if len(self.stacks) + len(self.images) == 1:
            return self.stacks[0] if self.stacks else self.images[0]
        if not self.stacks and not self.images:
            what = f"only {len(self.others)} DICOM objects without pixels" if self.others else "no DICOM file"
            inside = sum(path.is_dir() for path in self.folder.iterdir())
            hint = f", but {inside} folders; give one of them" if inside else "; give the folder of the files"
            raise DicomError(f"{self.folder}: {what} directly in this folder{hint}")
        raise DicomError(
            f"{self.folder}: holds several images where one is expected: {self.summary()}; give one file, or "
            "put the files of each series into a folder of their own"
        )

    def summary(self) -> str:
        """Return what the folder holds in words."""
        parts = [str(stack) for stack in self.stacks[:_LISTED]]
        if len(self.stacks) > _LISTED:
            parts.append(f"{len(self.stacks) - _LISTED} more stacks")
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
    for (uid, content), files in series.items():
        if content is Content.SLICE or _is_stack_of_captures(files):
            stacks.append(Stack(uid, files[0].series_description, tuple(files)))
        else:
            others.extend(replace(one, content=Content.MAMMOGRAM) for one in files)
    return FolderContent(folder, tuple(stacks), tuple(sorted(others, key=lambda one: one.path)))


def _is_stack_of_captures(files: list[DicomContent]) -> bool:
    numbers = {one.tags.get("InstanceNumber") for one in files if one.tags is not None}
    sizes = {(one.rows, one.columns) for one in files}
    return len(files) >= _FEWEST_CAPTURES and len(sizes) == 1 and len(numbers) == len(files)
