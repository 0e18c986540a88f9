"""Writers of stacks of single-frame files, for tests."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicom_files import write_dicom

CT = "1.2.840.10008.5.1.4.1.1.2"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SERIES = "1.2.826.0.1.3680043.8.498.3"
VICTRE_SPACING = 0.085


def write_stack(
    folder: Path, frames: NDArray[Any], codec: str = "raw", *, names: str = "{number}.dcm", **changes: Any
) -> Path:
    """Write one CT-like file per frame (S, H, W); ``changes``: attributes and a value, or a function of k."""
    for k, frame in enumerate(frames):
        tags: dict[str, Any] = {
            "SOPClassUID": CT,
            "SOPInstanceUID": f"{SERIES}.{k + 1}",
            "InstanceNumber": k + 1,
            "ImagePositionPatient": [0.0, 0.0, float(k)],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        }
        tags |= {key: value(k) if callable(value) else value for key, value in changes.items()}
        tags = {key: value for key, value in tags.items() if value is not None}
        write_dicom(folder / names.format(number=k + 1), frame, codec, tags=tags)
    return folder


def write_victre_stack(folder: Path, slices: NDArray[np.floating], sop_class: str = CT) -> Path:
    """Write a reconstruction as VICTRE does: 16 bits from values between 0 and 1, numbers but no places."""
    frames = np.rint(slices * 65535).astype(np.uint16)
    for k, frame in enumerate(frames):
        tags = {
            "SOPClassUID": sop_class,
            "SOPInstanceUID": f"{SERIES}.{k + 1}",
            "PatientID": "111111",
            "ViewPosition": None,
            "ImagerPixelSpacing": [VICTRE_SPACING, VICTRE_SPACING],
            "ImageLaterality": "R",
            "AcquisitionNumber": k + 1,
            "InstanceNumber": k + 1,
            "PatientComments": "scattered",
            "PatientState": "signal present",
        }
        write_dicom(folder / f"{k:03d}.dcm", frame, "implicit", bits_stored=16, window=None, tags=tags)
    return folder
