"""The transfer syntaxes that the reader accepts, and what each means for the pixels (PS3.5 section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Codec(StrEnum):
    """How one frame is stored."""

    RAW = "raw"
    RLE = "RLE"
    JPEG = "JPEG"
    LOSSLESS_JPEG = "JPEG Lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "HTJ2K"


@dataclass(frozen=True)
class TransferSyntax:
    """One accepted transfer syntax.

    Attributes:
        uid: as it stands in the file's meta information.
        codec: how a frame is stored.
        little_endian: byte order of the data set and of raw pixels.
    """

    uid: str
    codec: Codec
    little_endian: bool = True

    @property
    def encapsulated(self) -> bool:
        """Frames stand in fragments, not one after the other."""
        return self.codec is not Codec.RAW


ACCEPTED = {
    syntax.uid: syntax
    for syntax in (
        TransferSyntax("1.2.840.10008.1.2", Codec.RAW),
        TransferSyntax("1.2.840.10008.1.2.1", Codec.RAW),
        TransferSyntax("1.2.840.10008.1.2.2", Codec.RAW, little_endian=False),
        TransferSyntax("1.2.840.10008.1.2.5", Codec.RLE),
        TransferSyntax("1.2.840.10008.1.2.4.50", Codec.JPEG),
        TransferSyntax("1.2.840.10008.1.2.4.51", Codec.JPEG),
        TransferSyntax("1.2.840.10008.1.2.4.57", Codec.LOSSLESS_JPEG),
        TransferSyntax("1.2.840.10008.1.2.4.70", Codec.LOSSLESS_JPEG),
        TransferSyntax("1.2.840.10008.1.2.4.80", Codec.JPEG_LS),
        TransferSyntax("1.2.840.10008.1.2.4.81", Codec.JPEG_LS),
        TransferSyntax("1.2.840.10008.1.2.4.90", Codec.JPEG_2000),
        TransferSyntax("1.2.840.10008.1.2.4.91", Codec.JPEG_2000),
        TransferSyntax("1.2.840.10008.1.2.4.201", Codec.HTJ2K),
        TransferSyntax("1.2.840.10008.1.2.4.202", Codec.HTJ2K),
        TransferSyntax("1.2.840.10008.1.2.4.203", Codec.HTJ2K),
    )
}
"""Allow-list by UID: uncompressed, RLE, JPEG baseline and extended, Lossless, -LS, 2000 and HTJ2K."""
