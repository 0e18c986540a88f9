"""What every open image can do, whatever its format: it stands here because a DICOM file is one of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from comoto.dicom.decode import Pixels
from comoto.image_header import ImageHeader


class Source(Protocol):
    """An open image; only the frames in use are in memory. A context manager.

    The formats here inherit what follows from the header; any other class with these members is one too.

    Attributes:
        path: the file or folder.
        header: what it says about itself, checked.
    """

    path: Path
    header: ImageHeader

    @property
    def num_frames(self) -> int:
        """Number of frames; 1 for a mammogram."""
        return self.header.num_frames

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of every frame."""
        return self.header.rows, self.header.columns

    @property
    def reductions(self) -> int:
        """How often the format can halve both sides of a frame while it decodes; 0 where it cannot."""
        return 0

    @abstractmethod
    def frame(self, index: int, reduce: int = 0) -> Pixels:
        """Return one frame, uint8 or uint16 (rows, columns), MONOCHROME1 inverted, rescale not applied.

        Args:
            index: 0-based.
            reduce: at most ``reductions``; each halving rounds odd sides up, and value k of a side is centred
                on full pixel ``2**reduce * k`` (as the wavelets of JPEG 2000 are), not between two pixels.
        """

    def frames(self, indices: Iterable[int] | None = None, reduce: int = 0) -> Iterator[Pixels]:
        """Return frames one after the other; all of them, in order, if no indices are given."""
        for index in range(self.num_frames) if indices is None else indices:
            yield self.frame(index, reduce)

    def close(self) -> None:
        """Release the files, where any are open; the header stays readable."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
