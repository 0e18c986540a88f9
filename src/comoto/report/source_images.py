"""Images of a manifest as they are looked at: decoded from DICOM, in corrected orientation, windowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comoto.config import PreprocessConfig
from comoto.preprocessing.breast import Breast, find_breast
from comoto.preprocessing.plan import Plan, plan_image
from comoto.records import ImageRecord
from comoto.sources import Source, open_source

ByteImage = NDArray[np.uint8]


@dataclass(frozen=True)
class SearchSpace:
    """Where in a volume something could be: inside the breast, on any slice.

    Attributes:
        breast: the breast on a small copy of the middle slice, corrected orientation.
        num_slices: of the volume.
    """

    breast: Breast
    num_slices: int


class SourceImages:
    """Slices in source pixels, the frame of reference of annotations and predictions.

    Args:
        config: the ``preprocess`` section of a run, so that the window is the one that the network saw.
    """

    def __init__(self, config: PreprocessConfig) -> None:
        self._config = config
        self._plans: dict[str, Plan] = {}

    def slices(self, record: ImageRecord, indices: Iterable[int]) -> list[ByteImage]:
        """Return slices of an image, uint8 (H, W) each; a mammogram has slice 0 only.

        Raises:
            DicomError: the file cannot be read or has no such slice.
        """
        with open_source(record.path) as image:
            plan = self._plan(image, record)
            return [_windowed(plan.upright(image.frame(index)), plan.window) for index in indices]

    def slice(self, record: ImageRecord, index: int) -> ByteImage:
        """Return one slice; see ``slices``."""
        return self.slices(record, [index])[0]

    def search_space(self, record: ImageRecord) -> SearchSpace:
        """Find the breast of a volume."""
        with open_source(record.path) as image:
            plan = self._plan(image, record)
            middle = plan.upright(image.frame(image.num_frames // 2))
            return SearchSpace(find_breast([middle]), image.num_frames)

    def middle(self, record: ImageRecord) -> int:
        """Return the index of the middle slice; tables of normal volumes do not tell how many there are."""
        with open_source(record.path) as image:
            return image.num_frames // 2

    def _plan(self, image: Source, record: ImageRecord) -> Plan:
        if record.image_id not in self._plans:
            plan = plan_image(image, record.laterality, record.modality, self._config)
            self._plans[record.image_id] = plan
        return self._plans[record.image_id]


def _windowed(frame: NDArray[Any], window: tuple[float, float]) -> ByteImage:
    low, high = window
    grey = (frame.astype(np.float32) - low) * (255.0 / (high - low))
    return np.asarray(np.rint(np.clip(grey, 0.0, 255.0)), dtype=np.uint8)
