"""A small VICTRE collection with the tags that the trial's own conversion writes.

Slices are drawn as they are stored: rows along the chest wall, columns away from it, chest wall in column 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dicom_files import breast, write_dicom

CT = "1.2.840.10008.5.1.4.1.1.2"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
ROOT_UID = "1.3.6.1.4.1.9590.100.1"
SLICES, ROWS, COLUMNS = 7, 180, 140


class VictreTree:
    """The collection; ``layout`` is ``idc`` or ``nbia``."""

    def __init__(self, root: Path, layout: str = "idc") -> None:
        self.root = root
        self.layout = layout

    def tags(self, patient: str, study: int, series: int, state: str, comments: str) -> dict[str, Any]:
        return {
            "PatientID": patient,
            "PatientName": patient,
            "PatientComments": comments,
            "PatientState": state,
            "StudyInstanceUID": f"{ROOT_UID}.{patient}.{study}",
            "SeriesInstanceUID": f"{ROOT_UID}.{patient}.{study}.{series}",
            "ImageLaterality": "R",
            "ImagerPixelSpacing": [0.085, 0.085],
            "PatientOrientation": ["P", "H"],
            "PresentationIntentType": "FOR PROCESSING",
            "Manufacturer": "VICTRE",
            "ViewPosition": None,
            "ImageType": ["ORIGINAL", "PRIMARY"],
        }

    def folder(self, tags: dict[str, Any]) -> Path:
        patient, study, series = (tags[key] for key in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"))
        if self.layout == "idc":
            return self.root / "victre" / patient / study / f"MG_{series}"
        tail = f"01-06-2018-NA-{tags['StudyDescription']}-{study[-5:]}"
        return self.root / "VICTRE" / patient / tail / f"NA-{tags['SeriesDescription']}-{series[-5:]}"

    def volume(
        self,
        patient: str,
        state: str = "Signal absent",
        comments: str = "Dense breast type",
        *,
        sop_class: str = CT,
        slices: int = SLICES,
        folder: Path | None = None,
        described: bool = True,
        shape: tuple[int, int] = (ROWS, COLUMNS),
        stored: int | None = None,
    ) -> Path:
        tags = self.tags(patient, 1, 1, state, comments) | {
            "StudyDescription": "DBT Reconstructed Volume" if described else "",
            "SeriesDescription": "DBT slices" if described else "",
            "SOPClassUID": sop_class,
            "ImageComments": "SP" if "present" in state else "SA",
        }
        if described:
            tags["ImagesInAcquisition"] = str(slices)
        folder = folder or self.folder(tags)
        frames = breast(slices, *shape, "L", level=30000)
        for k in range(stored or slices):
            own = tags | {
                "InstanceNumber": k + 1,
                "AcquisitionNumber": k + 1,
                "SOPInstanceUID": f"{tags['SeriesInstanceUID']}.{k + 1}",
            }
            name = f"{k * 37 % 101:03d}.dcm"  # in no order, as names from a hash are
            write_dicom(folder / name, frames[k], "implicit", bits_stored=16, window=None, tags=own)
        return folder

    def mammogram(self, patient: str, state: str = "Signal absent", comments: str = "Dense breast") -> Path:
        tags = self.tags(patient, 2, 1, state, comments) | {
            "StudyDescription": "Simulated Digital Mammography",
            "SeriesDescription": f"mcgpu_image_pc_{patient}_0000",
            "SOPClassUID": PROCESSING,
            "ImagesInAcquisition": "1",
            "InstanceNumber": 1,
        }
        bright_air = 40000 - breast(1, 60, 30, "L", level=30000)[0]
        path = self.folder(tags) / "1-1.dcm"
        return write_dicom(path, bright_air, "implicit", bits_stored=16, window=None, tags=tags)

    def projections(self, patient: str, number: int = 3) -> Path:
        tags = self.tags(patient, 3, 1, "Signal absent", "Dense breast type") | {
            "StudyDescription": "Simulated DBT Projection",
            "SeriesDescription": "Projection images",
            "SOPClassUID": PROCESSING,
            "ImagesInAcquisition": "25",
        }
        frame = np.full((60, 30), 9, np.uint16)
        for k in range(number):
            own = tags | {"InstanceNumber": k + 1, "SOPInstanceUID": f"{ROOT_UID}.{patient}.3.{k}"}
            path = self.folder(tags) / f"1-{k + 1:02d}.dcm"
            write_dicom(path, frame, "implicit", bits_stored=16, window=None, tags=own)
        return self.folder(tags)
