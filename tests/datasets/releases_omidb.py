"""Writers of tiny OMI-DB releases: the JSON layout, and the flat extract with PNG files."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dicom_files import breast, write_dicom

ROWS, COLUMNS = 60, 40
ROOT_UID = "1.2.826.0.1.3680043.9.3218.1.1"
PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"


def mark(x1, y1, x2, y2, **words) -> dict[str, Any]:
    """One mark as IMAGEDB holds it; numbers may be text there."""
    corners = {"X1": x1, "Y1": y1, "X2": x2, "Y2": y2}
    return {"MarkID": "77", **corners, "LinkedNBSSLesionNumber": "", "Conspicuity": "Obvious"} | words


def dicom_json(view: str, side: str, intent: str = "FOR PRESENTATION", **changes) -> dict[str, Any]:
    """The JSON copy of a DICOM header; ``changes`` are tag=value, None leaves a tag out."""
    values = {
        "00080016": PRESENTATION if "PRESENT" in intent else PROCESSING,
        "00080060": "MG",
        "00080068": intent,
        "00080070": "HOLOGIC, Inc.",
        "00101010": "053Y",
        "00185101": view,
        "00200062": side,
        "00280010": ROWS,
        "00280011": COLUMNS,
    } | {tag.removeprefix("t"): value for tag, value in changes.items()}
    return {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items() if value is not None}


@dataclass
class OmidbTree:
    """A download; ``write`` puts the collected clients on disk."""

    root: Path
    data: str = "data"
    images: str = "images"
    nbss: str = "data"
    imagedb: dict[str, dict[str, Any]] = field(default_factory=dict)
    episodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def client(self, name: str, site: str = "adde", **episodes) -> str:
        """Add a client whose NBSS holds these episodes: ``e1={...}``."""
        self.imagedb[name] = {"ClientID": name, "Site": site, "STUDIES": {}}
        self.episodes[name] = {"ClientID": name, "Count": 3, **episodes}
        return name

    def study(self, client: str, episode: str | None = "e1", date: str = "2012-03-04") -> str:
        """Add a study and return its UID."""
        uid = f"{ROOT_UID}.{client[4:]}.{len(self.imagedb[client]['STUDIES']) + 1}.0"
        self.imagedb[client]["STUDIES"][uid] = {"StudyDate": date, "EpisodeID": episode, f"{uid}.9": {}}
        return uid

    def image(
        self,
        client: str,
        study: str,
        view: str,
        side: str,
        marks: Any = None,
        intent: str = "FOR PRESENTATION",
        ending: str = ".json",
        header: bool = True,
        dicom: bool = True,
        frames: int = 1,
        **changes,
    ) -> str:
        """Add an image: in IMAGEDB, as JSON header, as DICOM file. Returns its UID."""
        self.numbers[study] = self.numbers.get(study, 0) + 1
        sop = f"{study}.{self.numbers[study]}"
        values = {str(number): value for number, value in enumerate(marks or [])}
        series = self.imagedb[client]["STUDIES"][study][f"{study}.9"]
        series[sop] = values if isinstance(marks, list) and marks else marks
        if header:
            path = self.root / self.data / client / study / f"{sop}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(dicom_json(view, side, intent, **changes)))
        if dicom:
            tags = {
                "SOPInstanceUID": sop,
                "SOPClassUID": PRESENTATION if "PRESENT" in intent else PROCESSING,
                "ImageLaterality": side,
                "ViewPosition": view,
            }
            pixels = breast(frames, ROWS, COLUMNS, side)
            path = self.root / self.images / client / study / f"{sop}.dcm"
            write_dicom(path, pixels if frames > 1 else pixels[0], "raw", tags=tags)
        return sop

    def write(self, upper: bool = False) -> None:
        """Write IMAGEDB and NBSS of every client."""
        for name, content in self.imagedb.items():
            for kind, folder, value in (
                ("imagedb", self.data, content),
                ("nbss", self.nbss, self.episodes[name]),
            ):
                kind = kind.upper() if upper else kind
                path = self.root / folder / name / f"{kind}_{name}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(value))


def write_png(path: Path, rows: int, columns: int) -> None:
    """Write an 8-bit grey PNG by hand."""
    pixels = np.tile(np.arange(columns, dtype=np.uint8), (rows, 1))
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def bounding_box(x1, y1, x2, y2) -> str:
    """The text that Python prints of the ``omidb`` package's box."""
    return f"BoundingBox(x1={x1}, y1={y1}, x2={x2}, y2={y2})"


@dataclass
class Selection:
    """The flat extract; ``row`` adds a row and, unless told otherwise, its PNG."""

    root: Path
    header: tuple[str, ...] = (
        "",
        "client",
        "subtype",
        "episode",
        "image",
        "filename",
        "side",
        "scanner",
        "bbox",
        "bbox_roi",
        "type",
    )
    rows: list[dict[str, str]] = field(default_factory=list)

    def row(
        self,
        kind: str,
        roi: str,
        crop: tuple[int, int, int, int] = (5, 10, 45, 90),
        folder: str | None = None,
        png: bool = True,
        **cells,
    ) -> str:
        """Add a row; returns the name of its PNG."""
        number = len(self.rows)
        row = {
            "": str(number),
            "client": f"demd{number}",
            "subtype": "11",
            "episode": "9968",
            "image": f"1.2.{number}",
            "side": "R",
            "scanner": "HOLOGIC",
            "bbox": bounding_box(*crop),
            "bbox_roi": roi,
            "type": kind,
        } | cells
        name = row.setdefault("filename", f"{row['client']}_{row['episode']}_{row['image']}_CC.png")
        self.rows.append(row)
        place = {"M": "st011", "MU": "stu", "B": "benign", "N": "normal"}[kind] if folder is None else folder
        if png:
            path = self.root / row["scanner"] / "ffdm" / place / name
            write_png(path, crop[3] - crop[1], crop[2] - crop[0])
        return name.removesuffix(".png")

    def write(self) -> Path:
        """Write the table with the columns of ``header``."""
        lines = [",".join(self.header)]
        for row in self.rows:
            lines.append(",".join(f'"{row[name]}"' for name in self.header))
        path = self.root / "omidb-selection.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]))
        return path
