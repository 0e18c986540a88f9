"""Images of a manifest as they are looked at: decoded from DICOM, in corrected orientation, windowed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from comoto.config import PreprocessConfig
from comoto.errors import ComotoError
from comoto.preprocessing.breast import BreastRegion, find_breast
from comoto.preprocessing.plan import Plan, plan_image
from comoto.preprocessing.window import to_bytes, windowed
from comoto.records import ImageRecord
from comoto.sources import Source, open_source

ByteImage = NDArray[np.uint8]
Seen = TypeVar("Seen")
KEPT_BYTES = 128 * 2**20
"""Of slices that were shown, for those that are shown again: 27 of 2457 x 1996 pixels."""


@dataclass(frozen=True)
class SearchSpace:
    """Where in a volume something could be: inside the breast, on any slice.

    Attributes:
        breast: the breast on a small copy of the middle slice, corrected orientation.
        num_slices: of the volume.
    """

    breast: BreastRegion
    num_slices: int


class SourceImages:
    """Slices in source pixels, the frame of reference of annotations and predictions.

    A page is made without the images that cannot be read; ``unreadable`` names them. Sections show the same
    slices: those shown last are kept, as far as ``KEPT_BYTES`` go.

    Args:
        config: the ``preprocess`` section of a run, so that the window is the one that the network saw.
        opened: false opens no file, as if there were none, and names none.

    Attributes:
        unreadable: why, by ``image_id``.
    """

    def __init__(self, config: PreprocessConfig, *, opened: bool = True) -> None:
        self._config = config
        self._plans: dict[str, Plan] = {}
        self._kept: OrderedDict[tuple[str, int], ByteImage] = OrderedDict()
        self._kept_bytes = 0
        self.opened = opened
        self.unreadable: dict[str, str] = {}

    def slice(self, record: ImageRecord, index: int) -> ByteImage | None:
        """Return one slice of an image, uint8 (H, W), read-only, or None if it cannot be read.

        Args:
            record: a mammogram has slice 0 only.
            index: beyond the volume's ends, as predictions may lie, the nearest slice is taken.
        """

        def look(image: Source) -> ByteImage:
            plan = self._plan(image, record)
            frame = image.frame(min(max(index, 0), image.num_frames - 1))
            return to_bytes(windowed(plan.upright(frame), *plan.window))

        key = (record.image_id, index)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pixels = self._seen(record, look)
        if pixels is not None:
            pixels.flags.writeable = False
            self._keep(key, pixels)
        return pixels

    def search_space(self, record: ImageRecord) -> SearchSpace | None:
        """Find the breast of a volume; None if it cannot be read."""

        def look(image: Source) -> SearchSpace:
            plan = self._plan(image, record)
            middle = plan.upright(image.frame(image.num_frames // 2))
            return SearchSpace(find_breast([middle]), image.num_frames)

        return self._seen(record, look)

    def middle(self, record: ImageRecord) -> int:
        """Return the index of the middle slice; tables of normal volumes do not tell how many there are."""
        return self._seen(record, lambda image: image.num_frames // 2) or 0

    def _seen(self, record: ImageRecord, look: Callable[[Source], Seen]) -> Seen | None:
        """Look at an image, unless it is known to be unreadable."""
        if not self.opened or record.image_id in self.unreadable:
            return None
        try:
            with open_source(record.path) as image:
                return look(image)
        except ComotoError as error:
            self.unreadable[record.image_id] = str(error)
            return None

    def _keep(self, key: tuple[str, int], pixels: ByteImage) -> None:
        """Keep a slice, and let go of those that were not shown for longest."""
        self._kept[key] = pixels
        self._kept_bytes += pixels.nbytes
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes

    def _plan(self, image: Source, record: ImageRecord) -> Plan:
        if record.image_id not in self._plans:
            plan = plan_image(image, record.laterality, record.modality, self._config)
            self._plans[record.image_id] = plan
        return self._plans[record.image_id]
