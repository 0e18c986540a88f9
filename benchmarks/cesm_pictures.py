"""CDD-CESM as pictures of 512 pixels with compact lesions: from the released folder, or from copies of it.

The copies are a folder ``images`` of 512 x 512 JPEG files, called as in the release, and
``boxes_from_masks.csv`` with file, x0, y0, x1, y1 (half-open) and area_px of each connected part of a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2

import comoto
from comoto.datasets.cdd_cesm.files import Energy, find_images
from comoto.datasets.cdd_cesm.outlines import is_compact
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.tables import read_table
from comoto.progress import track
from comoto.records import ImageRecord, Lesion, Manifest
from comoto.sources import open_source

SIDE = 512
BOXES = "boxes_from_masks.csv"


def pictures(images: Path, energy: Energy, reduced: Path) -> Manifest:
    """Return the malignant images of a modality that have a compact lesion, with their compact lesions.

    Args:
        images: the released folder, or copies.
        energy: the modality.
        reduced: where pictures of 512 pixels are written, of a released folder.

    Raises:
        DatasetError: the folder is neither.
    """
    copies = (images / BOXES).is_file()
    found = _copies(images, energy) if copies else _reduced(images, energy, reduced)
    return Manifest.from_records(f"cdd-cesm-{energy}", [record for record in found if record.lesions])


def _copies(images: Path, energy: Energy) -> Iterator[ImageRecord]:
    table = read_table(images / BOXES, ("file", "x0", "y0", "x1", "y1", "area_px"))
    corners = [table.numbers(column) for column in ("x0", "y0", "x1", "y1")]
    parts: dict[str, list[Lesion]] = {}
    for file, area, *box in zip(table.rows["file"], table.numbers("area_px"), *corners, strict=True):
        x1, y1, x2, y2 = box
        if is_compact((x1, y1, x2, y2), area, SIDE):
            parts.setdefault(Path(file).stem, []).append(Lesion((x1, y1, x2, y2), None, "Malignant"))
    for name, image in sorted(find_images(images / "images", Ledger()).items()):
        if image.energy == energy:
            yield image.record("Malignant", tuple(parts.get(name, ())))


def _reduced(images: Path, energy: Energy, folder: Path) -> Iterator[ImageRecord]:
    """Yield the released images, their longer side 512 pixels, boxes likewise."""
    whole = comoto.index("cdd-cesm", images, modality=energy, outlines="compact", categories="malignant")
    folder.mkdir(parents=True, exist_ok=True)
    records = [record for record in whole.records() if record.lesions]
    for record in track(records, f"reduce {energy} images", len(records)):
        path = folder / f"{record.image_id}.png"
        with open_source(record.path) as image:
            rows, columns = image.shape
            scale = SIDE / max(rows, columns)
            size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
            if not path.is_file():
                part = path.with_suffix(".part.png")
                cv2.imwrite(str(part), cv2.resize(image.frame(0), size, interpolation=cv2.INTER_AREA))
                part.replace(path)
        across, down = size[0] / columns, size[1] / rows
        yield replace(record, path=path, lesions=tuple(_scaled(one, across, down) for one in record.lesions))


def _scaled(lesion: Lesion, across: float, down: float) -> Lesion:
    x1, y1, x2, y2 = lesion.box_xyxy
    return replace(lesion, box_xyxy=(x1 * across, y1 * down, x2 * across, y2 * down))
