"""Which class reads what: decided by content, not by the name of a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from comoto.dicom.read import DicomImage, read_header
from comoto.dicom.source import Source
from comoto.errors import DicomError
from comoto.image_header import ImageHeader
from comoto.sources.dicom_content import (
    WAYS_OUT,
    Content,
    DicomContent,
    dicom_content,
    is_dicom,
    stands_alone,
)
from comoto.sources.dicom_stack import DicomStack, StackSlice, have_an_order, ordered_slices
from comoto.sources.folder import (
    FolderContent,
    Stack,
    State,
    file_state,
    folder_state,
    look_into,
    stack_around,
)
from comoto.sources.jpeg import SIGNATURE as JPEG_SIGNATURE
from comoto.sources.jpeg import JpegImage
from comoto.sources.png import SIGNATURE as PNG_SIGNATURE
from comoto.sources.png import PngImage
from comoto.sources.raw_volume import RawVolume, raw_file, read_entries

_BEGINNING = 4096
"""Bytes in which a MetaImage header has its ``DimSize``."""


@dataclass(frozen=True)
class Look:
    """What a look at an image's DICOM files told, for whoever opens it later; worthless once they changed.

    Attributes:
        found: of a file that is an image by itself, without its tags; or the slices of a stack, in order.
        place: the file, or the folder of the slices.
        state: of the place, from before the look.
    """

    found: DicomContent | tuple[StackSlice, ...]
    place: Path
    state: State

    def still_holds(self) -> bool:
        """Say whether nothing has changed at the place."""
        try:
            now = file_state(self.place) if isinstance(self.found, DicomContent) else folder_state(self.place)
        except DicomError:
            return False
        return now == self.state


@dataclass(frozen=True)
class SourceKind:
    """What ``open_source`` would find at a path.

    Attributes:
        path: what was asked for; of a slice in a stack, the path that stands for the stack.
        content: what it holds.
        num_frames: slices of a volume, 1 for a mammogram; 0 where that is not known without opening it.
        problem: why it cannot be opened; empty if it can.
        look: spares ``open_source`` and ``source_files`` another look; None where they have to.
    """

    path: Path
    content: Content
    num_frames: int
    problem: str = ""
    look: Look | None = field(default=None, repr=False, compare=False)

    @property
    def series_uid(self) -> str:
        """Series Instance UID; empty where the look did not tell."""
        if self.look is None:
            return ""
        found = self.look.found
        return (found if isinstance(found, DicomContent) else found[0]).series_uid


def open_source(path: Path | str, kind: SourceKind | None = None) -> Source:
    """Open an image; what it is decides its content, never its name.

    Args:
        path: a DICOM file; a folder with one single-frame DICOM file per slice, or with one DICOM file; any
            slice of a series in a folder, which stands for its stack; a MetaImage header (``.mhd``) with its
            raw file beside it; a grey PNG or JPEG.
        kind: what a survey or ``describe_source`` said of the path, if there was one; looked at again if
            something has changed since.

    Raises:
        DicomError: the file is refused, or the folder holds no image, several, or an incomplete stack; names
            the files and the way out.
    """
    path = Path(path)
    look = None if kind is None else kind.look
    if look is not None and look.still_holds():
        return _open_looked_at(path, look.found)
    if path.is_dir():
        found = look_into(path).only()
        return _open_stack(path, found) if isinstance(found, Stack) else _open_dicom(found)
    if not path.is_file():
        raise DicomError(f"{path}: no such file or folder")
    return _OPENERS[_format(path)](path)


def read_source_header(path: Path | str) -> ImageHeader:
    """Read what ``open_source(path).header`` says.

    No pixels of DICOM, PNG or JPEG files are touched; floating-point values of a raw file are looked through
    for their range.

    Raises:
        DicomError: as ``open_source``.
    """
    path = Path(path)
    if path.is_file() and is_dicom(path):
        found = dicom_content(path)
        _refuse(found)
        if _around(found) is None:
            return read_header(path)
    with open_source(path) as image:
        return image.header


def describe_source(path: Path | str) -> SourceKind:
    """Say what a file or folder holds, from a few tags; never raises for bad content.

    A folder is described by what is directly in it. The files of a stack are compared with each other, but
    neither their pixels nor the rest of their headers are read: opening may still refuse them.
    """
    path = Path(path)
    try:
        if path.is_dir():
            state = folder_state(path)
            return _describe_found(path, look_into(path).only(), state)
        if not path.is_file():
            return SourceKind(path, Content.UNREADABLE, 0, f"{path}: no such file or folder")
        kind = _format(path)
        if kind == "dicom":
            return _describe_file(path)
        with _OPENERS[kind](path) as image:
            frames = image.header.num_frames
        return SourceKind(path, Content.VOLUME if frames > 1 else Content.MAMMOGRAM, frames)
    except DicomError as error:
        return SourceKind(path, Content.UNREADABLE, 0, str(error))


def look_at_file(path: Path) -> SourceKind | None:
    """Describe a DICOM file; None for a folder, another format, or what cannot be looked at."""
    try:
        return _describe_file(path) if path.is_file() and is_dicom(path) else None
    except DicomError:
        return None


def source_files(path: Path | str, kind: SourceKind | None = None) -> list[Path]:
    """Return the files that an image is made of, sorted: what has to be copied, or looked at for changes.

    Args:
        path: of the image.
        kind: see ``open_source``.

    Raises:
        DicomError: there is no such file or folder, or a MetaImage header is not one.
    """
    path = Path(path)
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    if not path.is_file():
        raise DicomError(f"{path}: no such file or folder")
    if kind is not None and kind.look is not None and kind.look.still_holds():
        found = kind.look.found
        return [path] if isinstance(found, DicomContent) else sorted(one.path for one in found)
    if not is_dicom(path):
        if path.suffix.lower() != ".mhd":
            return [path]
        raw = raw_file(path, read_entries(path))
        return sorted({path, raw} if raw.is_file() else {path})
    around = _around(dicom_content(path))
    return [path] if around is None else sorted(file.path for file in around[1].files)


def _format(path: Path) -> str:
    """Tell formats apart by the first bytes; a MetaImage header is text and has no mark of its own.

    Raises:
        DicomError: none of the formats.
    """
    if is_dicom(path):
        return "dicom"
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    if beginning.startswith(PNG_SIGNATURE):
        return "png"
    if beginning.startswith(JPEG_SIGNATURE):
        return "jpeg"
    if b"dimsize" in beginning.lower() and b"\0" not in beginning:
        return "mhd"
    if path.suffix.lower() != ".mhd" and path.with_suffix(".mhd").is_file():
        raise DicomError(f"{path}: values without a header; give {path.with_suffix('.mhd').name} beside it")
    raise DicomError(
        f"{path}: not a DICOM file (no 'DICM' after the preamble), nor a PNG or JPEG picture or a MetaImage "
        "header"
    )


def _open_dicom(found: DicomContent) -> Source:
    _refuse(found)
    around = _around(found)
    return DicomImage(found.path) if around is None else _open_stack(found.path, around[1])


def _open_stack(path: Path, stack: Stack) -> DicomStack:
    return DicomStack(path, ordered_slices(path, stack.files))


def _open_looked_at(path: Path, found: DicomContent | tuple[StackSlice, ...]) -> Source:
    """Open what needs no other look; its header is read now, for it has to be that of the pixels."""
    if isinstance(found, DicomContent):
        _refuse(found)
        return DicomImage(found.path)
    return DicomStack(path, found)


def _around(found: DicomContent) -> tuple[FolderContent, Stack] | None:
    """Return the folder and the stack of a single slice that has others beside it.

    A Series Instance UID and an order tell that files are the slices of one stack; without them a file stands
    for itself.
    """
    if found.content not in (Content.SLICE, Content.CAPTURE) or not found.series_uid:
        return None
    around = stack_around(found.path)
    return around if around is not None and have_an_order(around[1].files) else None


def _refuse(found: DicomContent) -> None:
    """Refuse what certainly is no image to look for lesions in; the header's own checks do the rest."""
    if found.content in WAYS_OUT:
        raise DicomError(f"{found.path}: {WAYS_OUT[found.content]}")


def _describe_file(path: Path) -> SourceKind:
    state = file_state(path)
    found = dicom_content(path)
    before = None if stands_alone(found) else folder_state(found.path.parent)
    around = _around(found)
    if around is None or before is None:
        return _describe_found(found.path, found, state)
    return describe_stack(*around, before)


def describe_stack(content: FolderContent, stack: Stack, state: State | None) -> SourceKind:
    """Describe a stack of several slices under the one path that stands for it; never raises.

    Args:
        content: of the folder.
        stack: one in it.
        state: of the folder before it was looked into; None where that is not known.
    """
    path = content.name_of(stack)
    try:
        slices = ordered_slices(path, stack.files)
    except DicomError as error:
        return SourceKind(path, Content.VOLUME, len(stack.files), str(error))
    look = None if state is None else Look(slices, content.folder, state)
    return SourceKind(path, Content.VOLUME, len(slices), look=look)


def describe_alone(path: Path, found: DicomContent, state: State | None) -> SourceKind:
    """Describe a file that is an image of its own; never raises.

    Args:
        path: the file, or the folder in which it is alone.
        found: what it is.
        state: of the file before it was looked at; None where that is not known.
    """
    content = Content.MAMMOGRAM if found.content is Content.CAPTURE else found.content
    problem = f"{found.path}: {WAYS_OUT[content]}" if content in WAYS_OUT else ""
    if content is Content.UNREADABLE:
        problem = f"{found.path}: the header cannot be read ({found.reason})"
    look = None
    if state is not None and stands_alone(found):  # else its neighbours may decide what it is
        look = Look(replace(found, tags=None), found.path, state)
    return SourceKind(path, content, found.num_frames, problem, look)


def _describe_found(path: Path, found: Stack | DicomContent, state: State) -> SourceKind:
    """Describe the one image of a file or folder, whose state is given."""
    if isinstance(found, Stack):
        slices = ordered_slices(path, found.files)
        content = Content.VOLUME if len(slices) > 1 else Content.SLICE
        return SourceKind(path, content, len(slices), look=Look(slices, path, state))
    own = tuple(one for one in state if one[0] == found.path.name)
    return describe_alone(path, found, own)


_OPENERS: dict[str, Callable[[Path], Source]] = {
    "dicom": lambda path: _open_dicom(dicom_content(path)),
    "mhd": RawVolume,
    "png": PngImage,
    "jpeg": JpegImage,
}
