"""A writer of tiny CBIS-DDSM releases: the four tables to the byte, and the files in every layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dicom_files import breast, write_dicom

HEADERS = {
    "mass": "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,"
    "mass shape,mass margins,assessment,pathology,subtlety,image file path,cropped image file path,"
    "ROI mask file path",
    "calc": "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,"
    "calc type,calc distribution,assessment,pathology,subtlety,image file path,cropped image file path,"
    "ROI mask file path",
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ROOT_UID = "1.3.6.1.4.1.9590.100.1.2"
SHAPE = (40, 30)
LAYOUTS = ("classic", "descriptive", "idc", "renamed")


@dataclass
class Finding:
    """One row of a table with its mask; ``box`` is (x1, y1, x2, y2) of the mask's ones, half-open."""

    kind: str
    split: str
    patient: str
    side: str
    view: str
    number: int
    pathology: str
    box: tuple[int, int, int, int]
    image_shape: tuple[int, int] = SHAPE
    mask_shape: tuple[int, int] | None = None
    apart: bool = False
    """Crop and mask in two series, as in 104 rows of the release."""
    descriptions: tuple[str, str] = ("cropped images", "ROI mask images")
    """Of crop and mask."""
    mask_first: bool = False
    """The mask is the file 1-1.dcm, the crop 1-2.dcm."""

    @property
    def case(self) -> str:
        kind, split = self.kind.capitalize(), {"train": "Training", "test": "Test"}[self.split]
        return f"{kind}-{split}_{self.patient}_{self.side}_{self.view}"

    @property
    def roi_case(self) -> str:
        return f"{self.case}_{self.number}"


@dataclass
class CbisTree:
    """The tiny release on disk; series and study UIDs are numbered in the order of their case folders."""

    root: Path
    findings: list[Finding]
    layout: str = "classic"
    uids: dict[str, str] = field(default_factory=dict)

    def uid(self, key: str) -> str:
        """UIDs in which the last five digits differ, as mostly in the release."""
        return self.uids.setdefault(key, f"{ROOT_UID}.{418000000 + 1037 * (len(self.uids) + 1)}")

    def write(self) -> CbisTree:
        self.write_tables()
        for finding in self.findings:
            self.write_image(finding)
            self.write_rois(finding)
        return self

    def table(self, kind: str, split: str) -> Path:
        return self.root / f"{kind}_case_description_{split}_set.csv"

    def edit(self, kind: str, split: str, old: str, new: str) -> None:
        path = self.table(kind, split)
        data = path.read_bytes()
        assert data.count(old.encode()) == 1
        path.write_bytes(data.replace(old.encode(), new.encode()))

    def write_tables(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for kind in ("mass", "calc"):
            for split in ("train", "test"):
                rows = [f for f in self.findings if (f.kind, f.split) == (kind, split)]
                text = "\r\n".join([HEADERS[kind], *map(self._row, rows)]) + "\r\n"
                self.table(kind, split).write_bytes(text.encode())

    def _row(self, finding: Finding) -> str:
        """Mass rows end the mask's path with a line break, calcification rows the crop's."""
        image = f"{finding.case}/{self.uid('study ' + finding.case)}/{self.uid(finding.case)}/000000.dcm"
        crop_series, mask_series = self.roi_series(finding)
        study = self.uid("study " + finding.roi_case)
        crop_number, mask_number = ("000000", "000001") if finding.kind == "mass" else ("000001", "000000")
        crop = f"{finding.roi_case}/{study}/{crop_series}/{crop_number}.dcm"
        mask = f"{finding.roi_case}/{study}/{mask_series}/{mask_number}.dcm"
        crop, mask = (crop, f'"{mask}\n"') if finding.kind == "mass" else (f'"{crop}\n"', mask)
        words = (
            ["mass", "IRREGULAR-ARCHITECTURAL_DISTORTION", "SPICULATED"]
            if finding.kind == "mass"
            else ["calcification", "PLEOMORPHIC", ""]
        )
        cells = [finding.patient, "3", finding.side, finding.view, str(finding.number), *words]
        return ",".join([*cells, "4", finding.pathology, "4", image, crop, mask])

    def roi_series(self, finding: Finding) -> tuple[str, str]:
        mask = self.uid(finding.roi_case)
        return (self.uid("crop " + finding.roi_case) if finding.apart else mask), mask

    def place(self, case: str, series: str, description: str, number: int) -> Path:
        """The file of one image of a series."""
        study = self.uid("study " + case)
        if self.layout == "classic":
            return self.root / "CBIS-DDSM" / case / study / series / f"{number - 1:06d}.dcm"
        if self.layout == "idc":
            return self.root / "cbis_ddsm" / case / study / series / f"0d1f-{series[-6:]}-{number}.dcm"
        if self.layout == "renamed":
            return self.root / "mine" / f"{case} {series[-7:]}" / f"{number}.dcm"
        folder = (
            f"{number}.000000-{description}-{series[-5:]}" if description else f"1.000000-NA-{series[-5:]}"
        )
        if case.endswith(("CC", "MLO")):
            folder = f"1.000000-full mammogram images-{series[-5:]}"
        else:
            folder = f"1.000000-ROI mask images-{series[-5:]}"
        return (
            self.root / "CBIS-DDSM" / case / f"07-20-2016-DDSM-NA-{study[-5:]}" / folder / f"1-{number}.dcm"
        )

    def write_image(self, finding: Finding) -> Path:
        pixels = breast(1, *finding.image_shape, finding.side[0], level=30000)[0]
        series = self.uid(finding.case)
        path = self.place(finding.case, series, "full mammogram images", 1)
        tags = self._tags(finding.case, series, "full mammogram images")
        return write_dicom(path, pixels, "implicit", bits_stored=16, window=None, tags=tags)

    def write_rois(self, finding: Finding) -> tuple[Path, Path]:
        """Write crop and mask; returns their files."""
        crop_series, mask_series = self.roi_series(finding)
        mask = np.zeros(finding.mask_shape or finding.image_shape, np.uint8)
        x1, y1, x2, y2 = finding.box
        mask[y1:y2, x1:x2] = 255
        mask[y1, x1] = 0  # the outline is no rectangle
        crop = np.random.default_rng(1).integers(20000, 40000, (y2 - y1 + 4, x2 - x1 + 4)).astype(np.uint16)
        numbers = (1, 1) if finding.apart else (2, 1) if finding.mask_first else (1, 2)
        paths = []
        for pixels, bits, series, number, description in (
            (crop, 16, crop_series, numbers[0], finding.descriptions[0]),
            (mask, 8, mask_series, numbers[1], finding.descriptions[1]),
        ):
            path = self.place(finding.roi_case, series, description, number)
            tags = self._tags(finding.roi_case, series, description)
            paths.append(write_dicom(path, pixels, "implicit", bits_stored=bits, window=None, tags=tags))
        return paths[0], paths[1]

    def _tags(self, case: str, series: str, description: str) -> dict[str, str | None]:
        return {
            "SOPClassUID": SECONDARY_CAPTURE,
            "PatientID": case,
            "PatientName": case,
            "StudyInstanceUID": self.uid("study " + case),
            "SeriesInstanceUID": series,
            "SeriesDescription": description,
            "ViewPosition": None,
        }


def everyday() -> list[Finding]:
    """Two kinds, two splits, a film with two masses, one film in both kinds, one leaking patient.

    P_00001 is in mass training and in calc test; its LEFT_CC film is in both kinds.
    """
    return [
        Finding("mass", "train", "P_00001", "LEFT", "CC", 1, "MALIGNANT", (4, 10, 12, 22)),
        Finding("mass", "train", "P_00001", "LEFT", "MLO", 1, "MALIGNANT", (3, 8, 10, 18)),
        Finding("mass", "train", "P_00002", "RIGHT", "CC", 1, "BENIGN", (12, 5, 20, 15)),
        Finding("mass", "train", "P_00002", "RIGHT", "CC", 2, "BENIGN_WITHOUT_CALLBACK", (20, 25, 26, 34)),
        Finding("mass", "test", "P_00003", "RIGHT", "MLO", 1, "BENIGN_WITHOUT_CALLBACK", (15, 6, 25, 16)),
        Finding("calc", "train", "P_00004", "LEFT", "CC", 1, "BENIGN", (2, 2, 9, 9), mask_first=True),
        Finding("calc", "test", "P_00001", "LEFT", "CC", 1, "BENIGN", (1, 30, 8, 36), mask_first=True),
    ]
