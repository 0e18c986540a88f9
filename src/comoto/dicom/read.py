"""Open a DICOM image and decode the frames that are asked for, one at a time."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path

import numpy as np

from comoto.dicom.decode import HALVING_CODECS, Pixels, check_stream, decode_frame, halvings_of
from comoto.dicom.frames import locate_frames
from comoto.dicom.header import DicomHeader, read_header
from comoto.dicom.source import Source
from comoto.errors import DicomError
from comoto.records import Laterality

__all__ = ["DicomHeader", "DicomImage", "Pixels", "read_header", "touching_side"]


class DicomImage(Source):
    """One DICOM file with its frames within reach; only the frame in use is in memory.

    Threads may share an image: reading bytes is locked, decoding is not. A process opens its own.

    Attributes:
        path: the file.
        header: what it says about itself, checked.

    Args:
        path: a DICOM file.
        header: what ``read_header`` has said about it already.

    Raises:
        DicomError: the header is refused (see ``read_header``), the file is cut, or its fragments do not make
            the number of frames that the header states.
    """

    header: DicomHeader

    def __init__(self, path: Path | str, header: DicomHeader | None = None) -> None:
        self.path = Path(path)
        self.header = header or read_header(self.path)
        self._lock = threading.Lock()
        self._file = self.path.open("rb")
        try:
            self._locations = locate_frames(self.header, self._file)
        except BaseException:
            self._file.close()
            raise

    @cached_property
    def reductions(self) -> int:
        """How often decoding can halve both sides of a frame, as its first frame says; 0 but for JPEG 2000.

        Raises:
            DicomError: the first frame contradicts the header.
        """
        if self.header.syntax.codec not in HALVING_CODECS:
            return 0
        return halvings_of(self.header, check_stream(self.header, 0, self._stored(0)))

    def frame(self, index: int, reduce: int = 0) -> Pixels:
        """Decode one frame.

        Args:
            index: 0-based, in the order of the slices; that is the order of the file unless
                ``DicomHeader.frame_order`` says otherwise.
            reduce: how often both sides are halved, at most ``reductions``. Odd sides are rounded up; value k
                of a side is centred on pixel ``2**reduce * k``.

        Returns:
            uint8 or uint16 (rows, columns): stored values in the stored orientation, MONOCHROME1 inverted
            (largest value - value), rescale not applied. Signed values are shifted, and values whose meaning
            one slope cannot say are brought to one that can, see ``DicomHeader``.

        Raises:
            DicomError: there is no such frame, or it is damaged.
        """
        if not 0 <= index < self.num_frames:
            raise DicomError(f"{self.path}: no frame {index}; frames are 0 to {self.num_frames - 1}")
        number = index if self.header.frame_order is None else self.header.frame_order[index]
        return decode_frame(self.header, number, self._stored(number), reduce)

    def _stored(self, index: int) -> bytes:
        with self._lock:
            return self._locations[index].read(self._file, self.path)

    def close(self) -> None:
        """Close the file; the header stays readable."""
        self._file.close()


def touching_side(frame: Pixels) -> Laterality:
    """Return the side of the image that the breast touches.

    The rule of the BCS-DBT authors: the first column darker than the last one means the right side; a tie
    means the left side.

    Args:
        frame: (H, W), brighter is denser.
    """
    first, last = (int(frame[:, column].sum(dtype=np.int64)) for column in (0, -1))
    return Laterality.RIGHT if first < last else Laterality.LEFT
