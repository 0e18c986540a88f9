"""What a file says about its image, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comoto.errors import DicomError


@dataclass(frozen=True)
class ImageHeader:
    """What an image says about its pixels, whatever the format of its file.

    Attributes:
        path: the file, or the folder of one file per slice.
        num_frames: 1 for a mammogram.
        bits_allocated: 8 or 16, of frames.
        bits_stored: bits that carry values, of frames.
        photometric: ``MONOCHROME1`` or ``MONOCHROME2``; frames come with the first already inverted. The
            first also where the file says MONOCHROME2 and in another way that dark and bright are to be
            exchanged.
        window: (center, width) in rescaled values. None where the file has none.
        rescale: (slope, intercept) of frame values before the inversion; (1, 0) where the file has none. The
            slope is not 0; where it is negative, the inversion has made up for it.
        laterality_tag: ``L`` or ``R`` as the header says; known to be wrong in BCS-DBT.
        view_position: such as ``CC`` or ``MLO``; None where the file does not say.
        patient_id, study_instance_uid, series_instance_uid, sop_instance_uid: empty where unknown.
        spacing_mm: (row, column) of a pixel; None where the file does not say.
        slice_mm: from slice to slice; None where the file does not say.
        directions: anatomical directions in which a row and a column run, such as ``("A", "R")``
            (``comoto.dicom.orientation``); None where the file does not say.
        boxes_as_stored: annotations of this format always refer to the frames as they are read, so a volume
            is never turned (``comoto.sources.volume_orientation``).
        for_processing: the header calls the values what a detector measured, and no picture to look at.
        padding: (lowest, highest) frame value, inclusive, that the header calls padding; None where it does
            not, or where no pixel can have such a value.
        window_is_exact: the window runs from center - width / 2 to center + width / 2 (LINEAR_EXACT).
        view_modifiers: how the view differs from the plain one (``spot compression``, ``magnification``,
            ``implant displaced``, ...; ``comoto.dicom.views``); empty where the file says nothing.
    """

    path: Path
    rows: int
    columns: int
    num_frames: int
    bits_allocated: int
    bits_stored: int
    photometric: str
    window: tuple[float, float] | None = None
    rescale: tuple[float, float] = (1.0, 0.0)
    laterality_tag: str | None = None
    view_position: str | None = None
    patient_id: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    spacing_mm: tuple[float, float] | None = None
    directions: tuple[str, str] | None = None
    boxes_as_stored: bool = False
    for_processing: bool = False
    padding: tuple[int, int] | None = None
    window_is_exact: bool = False
    view_modifiers: tuple[str, ...] = ()
    slice_mm: float | None = None

    @property
    def is_multiframe(self) -> bool:
        """The image is a stack of slices."""
        return self.num_frames > 1

    def require_volume(self) -> None:
        """Check that the image is a stack of slices.

        Raises:
            DicomError: it has one frame only.
        """
        if not self.is_multiframe:
            raise DicomError(
                f"{self.path}: one frame only, a tomosynthesis volume was expected; give the multi-frame "
                "file of the reconstructed slices, or the folder that holds one file per slice"
            )
