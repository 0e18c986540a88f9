"""A writer of tiny CMMD releases: the clinical sheet, the DICOM tree of NBIA or IDC, TOMPEI's outlines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from dicom_files import breast, write_dicom

HEADER = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype")
SHAPE = (60, 40)
FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
ROOT_UID = "1.3.6.1.4.1.14519.5.2.1.1239.1759"
LAYOUTS = ("nbia", "idc", "flat")


@dataclass(eq=False)
class Image:
    """One file: what its pixels show, and what its tags say if that is something else."""

    patient: str
    side: str
    view: str
    tag: str | None = ""
    """None for no laterality tag at all, empty for the true one."""
    pixels: str = ""
    """Side of the image that the breast leans on; empty for ``side``."""


def outline(label: str, *points: tuple[float, float]) -> dict[str, Any]:
    """One lesion as it stands in an annotation file."""
    return {"label": label, "cgPoints": [{"x": x, "y": y} for x, y in points]}


@dataclass
class CmmdTree:
    """The tiny release on disk."""

    root: Path
    rows: list[tuple[str, str, str]] = field(
        default_factory=lambda: [
            ("D1-0001", "R", "Benign"),
            ("D1-0002", "L", "Malignant"),
            ("D2-0007", "L", "Benign"),
            ("D2-0007", "R", "Malignant"),
        ]
    )
    images: list[Image] = field(
        default_factory=lambda: [
            Image("D1-0001", "R", "CC"),
            Image("D1-0001", "R", "MLO"),
            Image("D1-0002", "L", "CC"),
            Image("D1-0002", "L", "MLO"),
            Image("D1-0002", "R", "CC"),
            Image("D1-0002", "R", "MLO"),
            Image("D2-0007", "L", "CC"),
            Image("D2-0007", "L", "MLO"),
            Image("D2-0007", "R", "CC"),
            Image("D2-0007", "R", "MLO"),
        ]
    )
    layout: str = "nbia"

    @property
    def csv(self) -> Path:
        return self.root / "CMMD_clinicaldata_revision.csv"

    @property
    def sheet(self) -> Path:
        return self.csv.with_suffix(".xlsx")

    def write(self) -> CmmdTree:
        self.root.mkdir(parents=True, exist_ok=True)
        self.write_csv()
        for image in self.images:
            self.write_image(image)
        return self

    def cells(self) -> list[tuple[str, ...]]:
        return [(patient, side, "44", "2", "mass", word, "") for patient, side, word in self.rows]

    def write_csv(self) -> None:
        lines = [",".join(cells) for cells in (HEADER, *self.cells())]
        self.csv.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")

    def write_sheet(self) -> Path:
        """The table as it is released; numbers are numbers, empty cells are empty."""
        from openpyxl import Workbook

        book = Workbook()
        book.active.append(HEADER)
        for cells in self.cells():
            book.active.append([int(cell) if cell.isdigit() else cell or None for cell in cells])
        book.save(self.sheet)
        return self.sheet

    def edit(self, old: str, new: str) -> None:
        text = self.csv.read_text(encoding="utf-8")
        assert text.count(old) == 1
        self.csv.write_text(text.replace(old, new), encoding="utf-8")

    def uids(self, image: Image) -> tuple[str, str, str]:
        """Study, series and SOP Instance UID; one study and one series a patient."""
        patient = 1000 + int(image.patient[3:]) + 5000 * (image.patient[1] == "2")
        number = 1 + self.images.index(image)
        return f"{ROOT_UID}.1{patient * 100}", f"{ROOT_UID}.2{patient * 100}", f"{ROOT_UID}.3{number:08d}"

    def place(self, image: Image) -> Path:
        study, series, sop = self.uids(image)
        of_patient = [other for other in self.images if other.patient == image.patient]
        name = f"1-{of_patient.index(image) + 1}.dcm"
        if self.layout == "idc":
            return self.root / "cmmd" / image.patient / study / series / f"5f2a-{sop[-4:]}.dcm"
        if self.layout == "flat":
            return self.root / f"{image.patient} {name}"
        return (
            (self.root / "manifest-1616439774456" / "CMMD" / image.patient / f"07-18-2010-NA-NA-{study[-5:]}")
            / f"1.000000-NA-{series[-5:]}"
            / name
        )

    def write_image(self, image: Image) -> Path:
        pixels = breast(1, *SHAPE, image.pixels or image.side, level=180)[0].astype("uint8")
        study, series, sop = self.uids(image)
        tags: dict[str, Any] = {
            "SOPClassUID": FOR_PRESENTATION,
            "SOPInstanceUID": sop,
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "PatientID": image.patient,
            "PatientName": image.patient,
            "ViewPosition": "",
            "ViewCodeSequence": [_view_code(image.view)],
        }
        if image.tag is not None:
            tags["ImageLaterality"] = image.tag or image.side
        return write_dicom(self.place(image), pixels, "raw", bits_stored=8, window=(128, 255), tags=tags)

    def write_reading(self, rows: list[tuple[str, str, str]]) -> Path:
        """The sheet of TOMPEI's readers: several header rows, then a row per breast."""
        from openpyxl import Workbook

        book = Workbook()
        book.active.title = "README"
        book.active.append(["TOMPEI-CMMD", "Benign and Malignant are described below"])
        sheet = book.create_sheet("Imaging Diagnosis Details Sheet")
        sheet.append(["Patient", None, None, "Reading"])
        sheet.append(["ID1", "LeftRight", "Age", "classification", "reason for exclusion", "density"])
        for patient, side, word in rows:
            sheet.append([patient, side, 44, word, None, "fatty"])
        folder = self.root / "TOMPEI-CMMD_v01_20250123"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "TOMPEI-CMMD_clinical_data_v01_20250121.xlsx"
        book.save(path)
        return path

    def annotate(self, patient: str, side: str, content: Any, view: str = "MLO") -> Path:
        folder = self.root / "TOMPEI-CMMD_v01_20250123" / "annotations"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{patient}_{view}_{side}_AnnotationFile.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path


def _view_code(view: str) -> Dataset:
    """View Position is empty in the release; the view is a code with its meaning."""
    value, meaning = {
        "CC": ("R-10242", "cranio-caudal"),
        "MLO": ("R-10226", "medio-lateral oblique"),
        "ML": ("R-10224", "medio-lateral"),
    }[view]
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SNM3", meaning
    return item
