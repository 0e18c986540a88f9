"""A writer of tiny CDD-CESM releases: two folders of JPEG files, the sheet, and the outlines of VIA."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from dicom_files import breast

FOLDERS = {"DM": "Low energy images of CDD-CESM", "CM": "Subtracted images of CDD-CESM"}
SHAPE = (128, 96)
HEADER = (
    *("Image_name", "Patient_ID", "Side", "Type", "Age", "Breast density (ACR)", "BIRADS", "Findings"),
    *("View", "Tags", "Machine", "Pathology Classification/ Follow up"),
)
VIA = (
    *("#filename", "file_size", "file_attributes", "region_count", "region_id"),
    *("region_shape_attributes", "region_attributes"),
)


def polygon(*points: tuple[float, float], name: str = "polygon") -> dict[str, Any]:
    """A shape as VIA writes it."""
    return {"name": name, "all_points_x": [x for x, _ in points], "all_points_y": [y for _, y in points]}


SQUARE = polygon((20, 30), (39, 30), (39, 49), (20, 49))
RIBBON = polygon((5, 60), (45, 100), (44, 101), (4, 61))


@dataclass
class CesmTree:
    """The tiny release on disk: pathology and BI-RADS of each image, shapes, and names with a blank."""

    root: Path
    images: dict[str, tuple[str, str]] = field(
        default_factory=lambda: {
            "P1_L_DM_CC": ("Malignant", "4$2"),
            "P1_L_CM_CC": ("Malignant", "5"),
            "P1_R_DM_MLO": ("Normal", "1"),
            "P2_R_DM_MLO2": ("Benign", "2"),
            "P2_R_CM_MLO2": ("Benign", ""),
        }
    )
    shapes: list[tuple[str, dict[str, Any]]] = field(
        default_factory=lambda: [
            ("P1_L_DM_CC.jpg", SQUARE),
            ("P1_L_DM_CC.jpg", {"name": "circle", "cx": 60, "cy": 80, "r": 9}),
            ("P1_L_CM_CC .jpg", RIBBON),
            ("P1_R_DM_MLO.jpg", {}),
            ("P2_R_DM_MLO2.jpg", {"name": "ellipse", "cx": 50.5, "cy": 60.5, "rx": 15, "ry": 10}),
        ]
    )

    @property
    def release(self) -> Path:
        return self.root / "PKG - CDD-CESM" / "CDD-CESM"

    @property
    def csv(self) -> Path:
        return self.root / "Radiology_manual_annotations.csv"

    @property
    def sheet(self) -> Path:
        return self.root / "Radiology-manual-annotations.xlsx"

    @property
    def outlines(self) -> Path:
        return self.root / "Radiology_hand_drawn_segmentations_v2.csv"

    def image(self, name: str) -> Path:
        return self.release / FOLDERS[name.split("_")[2]] / f"{name}.jpg"

    def write(self) -> CesmTree:
        for name in self.images:
            self.image(name).parent.mkdir(parents=True, exist_ok=True)
            pixels = breast(1, *SHAPE, name.split("_")[1], level=180)[0].astype("uint8")
            Image.fromarray(pixels).save(self.image(name), quality=95)
        self.write_outlines()
        with self.csv.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([HEADER, *self.cells()])
        return self

    def write_outlines(self) -> None:
        rows = [(name, 9, "{}", 1, 0, json.dumps(shape), "{}") for name, shape in self.shapes]
        with self.outlines.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([VIA, *rows])

    def cells(self) -> list[tuple[str, ...]]:
        rows = []
        for name, (pathology, birads) in self.images.items():
            patient, side, kind, view = name.split("_")
            density, energy = ("C", "DM") if kind == "DM" else ("", "CESM")
            about = (patient[1:], side, energy, "44", density, birads, "Mass", view[:3].strip("2"), "", "2")
            rows.append((f"{name} ", *about, pathology))
        return rows

    def write_sheet(self) -> None:
        """The table as it is released: a sheet ``all`` behind another one."""
        from openpyxl import Workbook

        book = Workbook()
        book.active.append(("Image_name", "Mass shape"))
        book.create_sheet("all").append(HEADER)
        for cells in self.cells():
            book["all"].append([int(cell) if cell.isdigit() else cell or None for cell in cells])
        book.save(self.sheet)
        self.csv.unlink()

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
