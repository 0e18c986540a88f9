"""From the files beside a mammogram of CBIS-DDSM to the box of one abnormality.

Crop and mask of an abnormality mostly share a series, and neither the tables nor the file names say reliably
which is which. Here the content decides: the Series Description of each file orders the candidates, then the
size closest to the mammogram's; and whatever is taken must have only two pixel values, one of them 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np

from comoto.dicom.tags import one_error, read_tags
from comoto.errors import DicomError
from comoto.image_header import ImageHeader
from comoto.sources import open_source, read_source_header

ASPECT_TOLERANCE = 0.01
"""A mask of another size is scaled if its aspect differs by less than this share."""

LARGEST_SCALE = 2.0
"""A mask that is smaller or larger by more than this factor is of something else, such as of the crop."""

_MASK, _CROP = "roi mask", "crop"


@dataclass(frozen=True)
class MaskJob:
    """One abnormality.

    Attributes:
        image_series: series of the mammogram.
        image_files: what lies in its folder, one file in a whole download.
        candidates: files that may be the mask, and their series.
        absent: series that may hold the mask and are not on disk.
    """

    image_series: str
    image_files: tuple[Path, ...]
    candidates: tuple[tuple[Path, str], ...]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaskBox:
    """What became of one abnormality.

    Attributes:
        reason: why there is no box; empty if there is one.
        box: (x1, y1, x2, y2) on the mammogram, half-open.
        image_shape: (rows, columns) of the mammogram; (0, 0) if it could not be read.
        mask_shape: (rows, columns) of the mask.
        misnamed: the Series Descriptions did not name the mask: missing, the same for all, or wrong.
    """

    reason: str = ""
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    image_shape: tuple[int, int] = (0, 0)
    mask_shape: tuple[int, int] = (0, 0)
    misnamed: bool = False

    @property
    def size_text(self) -> str:
        """Rows x columns of the mammogram."""
        return _size_text(self.image_shape)

    @property
    def is_scaled(self) -> bool:
        """The mask had another size than the mammogram."""
        return self.mask_shape != self.image_shape


@dataclass(frozen=True)
class _Candidate:
    header: ImageHeader
    description: str

    @property
    def shape(self) -> tuple[int, int]:
        return self.header.rows, self.header.columns


def find_mask(job: MaskJob) -> MaskBox:
    """Find the mask among the candidates and return the bounds of its pixels other than 0.

    Only the file that is taken for the mask is decoded. What is wrong with the files comes back as a reason.
    """
    if len(job.image_files) != 1:
        return MaskBox(
            f"{job.image_files[0].parent} holds {len(job.image_files)} files, its mammogram is one"
        )
    try:
        image = _header(job.image_files[0], job.image_series)
    except DicomError as error:
        return MaskBox(str(error))
    shape = image.rows, image.columns
    candidates, problems = _candidates(job.candidates)
    candidates.sort(key=lambda candidate: (_rank(candidate), _distance(candidate.shape, shape)))
    for candidate in candidates:
        try:
            bounds = _two_valued_bounds(candidate.header.path)
        except DicomError as error:
            problems.append(str(error))
            continue
        if bounds is not None:
            return _on_image(bounds, candidate, shape, _misnamed(candidate, candidates))
    problems += [f"series {series} is not on disk" for series in job.absent]
    more = f" ({'; '.join(problems)})" if problems else ""
    return MaskBox(f"none of its {len(job.candidates)} files is a mask{more}", image_shape=shape)


def _header(path: Path, series: str) -> ImageHeader:
    header = read_source_header(path)
    if header.series_instance_uid != series:
        raise DicomError(
            f"{path}: holds series {header.series_instance_uid}, but its folder is that of {series}; "
            "download it again"
        )
    return header


def _candidates(files: tuple[tuple[Path, str], ...]) -> tuple[list[_Candidate], list[str]]:
    candidates: list[_Candidate] = []
    problems: list[str] = []
    for path, series in files:
        try:
            candidates.append(_Candidate(_header(path, series), _series_description(path)))
        except DicomError as error:
            problems.append(str(error))
    return candidates, problems


def _series_description(path: Path) -> str:
    """Return the Series Description in lower case; empty if there is none."""
    dataset = read_tags(path, ["SeriesDescription"])
    with one_error(path):
        return str(dataset.get("SeriesDescription") or "").strip().lower()


def _rank(candidate: _Candidate) -> int:
    if _MASK in candidate.description:
        return 0
    return 2 if _CROP in candidate.description else 1


def _misnamed(mask: _Candidate, candidates: list[_Candidate]) -> bool:
    named = [candidate for candidate in candidates if _MASK in candidate.description]
    return named != [mask]


def _distance(shape: tuple[int, int], other: tuple[int, int]) -> float:
    return abs(log(shape[0] / other[0])) + abs(log(shape[1] / other[1]))


def _two_valued_bounds(path: Path) -> tuple[int, int, int, int] | None:
    """Return the bounds of the pixels that are not 0; None if the image is no mask.

    A mask has 0 and one other value. An empty mask has the bounds 0, 0, 0, 0.
    """
    with open_source(path) as source:
        frame = source.frame(0)
    inside = frame != 0
    if not inside.any():
        return 0, 0, 0, 0
    if inside.all() or not np.array_equal(inside, frame == frame.max()):
        return None
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _on_image(
    bounds: tuple[int, int, int, int], mask: _Candidate, shape: tuple[int, int], misnamed: bool
) -> MaskBox:
    """Carry the bounds over to the mammogram, a factor per axis."""
    of_mask, of_image = _size_text(mask.shape), _size_text(shape)
    if bounds == (0, 0, 0, 0):
        return MaskBox(f"its mask {mask.header.path} is empty", (0, 0, 0, 0), shape, mask.shape, misnamed)
    down, across = shape[0] / mask.shape[0], shape[1] / mask.shape[1]
    is_other_scale = not 1 / LARGEST_SCALE <= down <= LARGEST_SCALE
    if is_other_scale or abs(across / down - 1) >= ASPECT_TOLERANCE:
        reason = f"its mask of {of_mask} pixels does not fit the image of {of_image}"
        return MaskBox(reason, (0, 0, 0, 0), shape, mask.shape, misnamed)
    x1, y1, x2, y2 = bounds
    box = (x1 * across, y1 * down, x2 * across, y2 * down)
    return MaskBox("", box, shape, mask.shape, misnamed)


def _size_text(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"
