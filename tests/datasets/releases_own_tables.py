"""A tiny hospital for the generic tables: files on disk, and tables written from rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicom_files import breast, write_dicom

ROWS, COLUMNS = 40, 24


@dataclass(frozen=True)
class Hospital:
    """A folder of images and tables."""

    root: Path

    def mammogram(self, path: str, side: str = "L", **tags) -> Path:
        return write_dicom(self.root / path, breast(1, ROWS, COLUMNS, side)[0], "raw", tags=tags)

    def volume(self, path: str, side: str = "L", frames: int = 4, **tags) -> Path:
        return write_dicom(self.root / path, breast(frames, ROWS, COLUMNS, side), "raw", tags=tags)

    def stack(self, path: str, side: str = "L", frames: int = 4, **tags) -> None:
        """One file per slice, as CT-like exports write them."""
        for index, frame in enumerate(breast(frames, ROWS, COLUMNS, side)):
            own = {"InstanceNumber": index + 1, "SOPInstanceUID": f"1.2.3.{index + 1}"}
            write_dicom(self.root / path / f"{index + 1:03}.dcm", frame, "raw", tags=own | tags)

    def table(self, name: str, *lines: str, encoding: str = "utf-8") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("\n".join([*lines, ""]).encode(encoding))
        return path
