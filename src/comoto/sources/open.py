"""Which class reads what: decided by content, not by the name of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from comoto.dicom.decode import Pixels
from comoto.dicom.read import DicomImage, read_header
from comoto.records import ImageHeader


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


def open_source(path: Path | str) -> Source:
    """Open an image.

    Args:
        path: a DICOM file.

    Raises:
        DicomError: the file is refused; names it and the way out.
    """
    return DicomImage(path)


def read_source_header(path: Path | str) -> ImageHeader:
    """Read what ``open_source(path).header`` would say, without touching pixels.

    Raises:
        DicomError: as ``open_source``.
    """
    return read_header(path)
