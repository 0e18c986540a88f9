"""Which class reads what: decided by content, not by the name of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from comoto.dicom.decode import Pixels
from comoto.dicom.read import DicomImage, read_header
from comoto.errors import DicomError
from comoto.records import ImageHeader
from comoto.sources.dicom_content import WAYS_OUT, Content, DicomContent, dicom_content, is_dicom
from comoto.sources.dicom_stack import DicomStack, have_an_order, ordered_slices
from comoto.sources.folder import FolderContent, Stack, look_into, stack_around
from comoto.sources.png import SIGNATURE, PngImage
from comoto.sources.raw_volume import RawVolume, raw_file, read_entries

_BEGINNING = 4096
"""Bytes in which a MetaImage header has its ``DimSize``."""


class Source(Protocol):
    """An open image; only the frames in use are in memory. A context manager.

    Attributes:
        path: the file or folder.
        header: what it says about itself, checked.
    """

    path: Path

    @property
    def header(self) -> ImageHeader:
        """What the image says about itself."""

    @property
    def num_frames(self) -> int:
        """Number of frames; 1 for a mammogram."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of every frame."""

    @property
    def reductions(self) -> int:
        """How often the format can halve both sides of a frame while it decodes; 0 where it cannot."""

    def frame(self, index: int, reduce: int = 0) -> Pixels:
        """Return one frame, uint8 or uint16 (rows, columns), MONOCHROME1 inverted, rescale not applied.

        Args:
            index: 0-based.
            reduce: at most ``reductions``; each halving rounds odd sides up, and value k of a side is centred
                on full pixel ``2**reduce * k`` (as the wavelets of JPEG 2000 are), not between two pixels.
        """

    def frames(self, indices: Iterable[int] | None = None, reduce: int = 0) -> Iterator[Pixels]:
        """Return frames one after the other; all of them, in order, if no indices are given."""

    def close(self) -> None:
        """Release the files; the header stays readable."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


@dataclass(frozen=True)
class SourceKind:
    """What ``open_source`` would find at a path.

    Attributes:
        path: what was asked for; of a slice in a stack, the path that stands for the stack.
        content: what it holds.
        num_frames: slices of a volume, 1 for a mammogram; 0 where that is not known without opening it.
        problem: why it cannot be opened; empty if it can.
    """

    path: Path
    content: Content
    num_frames: int
    problem: str = ""


def open_source(path: Path | str) -> Source:
    """Open an image; what it is decides its content, never its name.

    Args:
        path: a DICOM file; a folder with one single-frame DICOM file per slice, or with one DICOM file; any
            slice of a series in a folder, which stands for its stack; a MetaImage header (``.mhd``) with its
            raw file beside it; a grey PNG.

    Raises:
        DicomError: the file is refused, or the folder holds no image, several, or an incomplete stack; names
            the files and the way out.
    """
    path = Path(path)
    if path.is_dir():
        found = look_into(path).only()
        return DicomStack(path, found.files) if isinstance(found, Stack) else _open_dicom(found)
    if not path.is_file():
        raise DicomError(f"{path}: no such file or folder")
    return _OPENERS[_format(path)](path)


def read_source_header(path: Path | str) -> ImageHeader:
    """Read what ``open_source(path).header`` says.

    No pixels of DICOM or PNG files are touched; floating-point values of a raw file are looked through for
    their range.

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
            return _describe_found(path, look_into(path).only())
        if not path.is_file():
            return SourceKind(path, Content.UNREADABLE, 0, f"{path}: no such file or folder")
        kind = _format(path)
        if kind == "dicom":
            return _describe_file(dicom_content(path))
        with _OPENERS[kind](path) as image:
            frames = image.header.num_frames
        return SourceKind(path, Content.VOLUME if frames > 1 else Content.MAMMOGRAM, frames)
    except DicomError as error:
        return SourceKind(path, Content.UNREADABLE, 0, str(error))


def source_files(path: Path | str) -> list[Path]:
    """Return the files that an image is made of, sorted: what has to be copied, or looked at for changes.

    Raises:
        DicomError: there is no such file or folder, or a MetaImage header is not one.
    """
    path = Path(path)
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    if not path.is_file():
        raise DicomError(f"{path}: no such file or folder")
    if not is_dicom(path) and path.suffix.lower() == ".mhd":
        raw = raw_file(path, read_entries(path))
        return sorted({path, raw} if raw.is_file() else {path})
    if is_dicom(path) and (around := _around(dicom_content(path))) is not None:
        return sorted(file.path for file in around[1].files)
    return [path]


def _format(path: Path) -> str:
    """Tell formats apart by the first bytes; a MetaImage header is text and has no mark of its own.

    Raises:
        DicomError: none of the formats.
    """
    if is_dicom(path):
        return "dicom"
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    if beginning.startswith(SIGNATURE):
        return "png"
    if b"dimsize" in beginning.lower() and b"\0" not in beginning:
        return "mhd"
    if path.suffix.lower() != ".mhd" and path.with_suffix(".mhd").is_file():
        raise DicomError(f"{path}: values without a header; give {path.with_suffix('.mhd').name} beside it")
    raise DicomError(
        f"{path}: not a DICOM file (no 'DICM' after the preamble), nor a PNG picture or a MetaImage header"
    )


def _open_dicom(found: DicomContent) -> Source:
    _refuse(found)
    around = _around(found)
    return DicomImage(found.path) if around is None else DicomStack(found.path, around[1].files)


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


def _describe_file(found: DicomContent) -> SourceKind:
    around = _around(found)
    return _describe_found(found.path, found) if around is None else describe_stack(*around)


def describe_stack(content: FolderContent, stack: Stack) -> SourceKind:
    """Describe a stack of several slices under the one path that stands for it; never raises."""
    path = content.name_of(stack)
    try:
        ordered_slices(path, stack.files)
    except DicomError as error:
        return SourceKind(path, Content.VOLUME, len(stack.files), str(error))
    return SourceKind(path, Content.VOLUME, len(stack.files))


def _describe_found(path: Path, found: Stack | DicomContent) -> SourceKind:
    if isinstance(found, Stack):
        count = len(ordered_slices(path, found.files))
        return SourceKind(path, Content.VOLUME if count > 1 else Content.SLICE, count)
    content = Content.MAMMOGRAM if found.content is Content.CAPTURE else found.content
    problem = f"{found.path}: {WAYS_OUT[content]}" if content in WAYS_OUT else ""
    if content is Content.UNREADABLE:
        problem = f"{found.path}: the header cannot be read ({found.reason})"
    return SourceKind(path, content, found.num_frames, problem)


_OPENERS: dict[str, Callable[[Path], Source]] = {
    "dicom": lambda path: _open_dicom(dicom_content(path)),
    "mhd": RawVolume,
    "png": PngImage,
}
