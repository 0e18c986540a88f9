"""A folder of single-frame DICOM files, one per slice, as one volume.

The order is that of Instance Number. Where every file also says where its slice lies (Image Position and
Image Orientation (Patient), else Slice Location), that must agree with it. Nothing is repaired: a folder that
contradicts itself is refused, with the names of the files.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.multival import MultiValue

from comoto.dicom.attributes import uid_of
from comoto.dicom.decode import Pixels
from comoto.dicom.grey import middle_window
from comoto.dicom.header import MAX_FRAMES, MAX_PIXELS, DicomHeader, read_header
from comoto.dicom.log_once import warn_once
from comoto.dicom.read import DicomImage
from comoto.dicom.source import Source
from comoto.dicom.tags import one_error
from comoto.errors import DicomError
from comoto.sources.dicom_content import DicomContent

_NAMED = 3
"""Files named in a message."""
_POSITION_TOLERANCE = 0.2
"""How far the distance of two slices may be from the median distance, as a share of it."""
_SAME_DIRECTION = 1e-3
_DAMAGED = "the file is damaged or cut; copy or download it again"
_LAYOUT = ("BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
_SHARED = {
    "series_uid": "series",
    "transfer_syntax": "transfer syntaxes",
    "shape": "image sizes",
    "layout": "pixel layouts",
    "rescale": "rescales",
}
"""What all slices of a volume have in common, with its plural for messages."""


@dataclass(frozen=True)
class StackSlice:
    """One file of the stack, as its header says.

    Attributes:
        path: the file.
        number: Instance Number, None where the file has none.
        announced: Images in Acquisition, None where the file has none.
        position: place along the stack's normal in mm, None where the file does not say.
        series_uid, transfer_syntax, shape, layout, rescale: the same in all files of a volume.
    """

    path: Path
    sop_instance_uid: str
    number: int | None
    announced: int | None
    position: float | None
    series_uid: str
    transfer_syntax: str
    shape: tuple[int, int]
    layout: tuple[Any, ...]
    rescale: tuple[float, float]


class DicomStack(Source):
    """One volume of single-frame files; only the frame in use is in memory, no file stays open.

    Attributes:
        path: the folder.
        header: that of the first slice, with the number of slices; it has no SOP instance UID.
        slices: the files in order.
        announced: Images in Acquisition, 0 where no file has it. An acquisition may have more images than
            this volume, so fewer slices are warned of and not refused.

    Args:
        folder: where the files lie.
        slices: what ``ordered_slices`` returned.

    Raises:
        DicomError: a header cannot be read, or the headers contradict each other.
    """

    def __init__(self, folder: Path, slices: Sequence[StackSlice]) -> None:
        self.path = folder
        self.slices = tuple(slices)
        self.announced = max((one.announced or 0 for one in self.slices), default=0)
        if self.announced > len(self.slices):
            warn_once(
                "images in acquisition",
                f"{folder}: {len(self.slices)} slices are there, and Images in Acquisition says "
                f"{self.announced}; slices at either end may be missing",
            )
        self._headers = [read_header(one.path) for one in self.slices]
        self.header = replace(
            _header_of(folder, self._headers), slice_mm=_slice_distance(self.slices, self._headers)
        )
        _check_size(self.header)

    @cached_property
    def reductions(self) -> int:
        """How often the files can halve a frame while they decode it; as the first slice says."""
        with self._open(0) as image:
            return image.reductions

    def _open(self, index: int) -> DicomImage:
        return DicomImage(self.slices[index].path, header=self._headers[index])

    def frame(self, index: int, reduce: int = 0) -> Pixels:
        """Decode one slice; see ``Source.frame``.

        Raises:
            DicomError: there is no such slice, or its file is damaged.
        """
        if not 0 <= index < self.num_frames:
            raise DicomError(f"{self.path}: no frame {index}; frames are 0 to {self.num_frames - 1}")
        with self._open(index) as image:
            return image.frame(0, reduce)


def ordered_slices(folder: Path, files: Sequence[DicomContent]) -> tuple[StackSlice, ...]:
    """Put the files of one volume in order, from the few tags that are known of each.

    Args:
        folder: where they lie, for messages.
        files: those that belong to the volume, at least one, any order.

    Raises:
        DicomError: the files are not of one volume, their order is contradictory, or a slice is missing.
    """
    if len(files) > MAX_FRAMES:
        raise DicomError(
            f"{folder}: {len(files)} single-frame files are more than any breast volume has "
            f"(limit: {MAX_FRAMES}); give one folder per volume"
        )
    slices = [_slice_of(file) for file in files]
    _check_shared(folder, slices)
    if all(one.number is not None for one in slices):
        ordered = sorted(slices, key=lambda one: one.number or 0)
        _check_distinct(folder, ordered, "Instance Number", lambda one: one.number)
        _check_numbers(folder, [one.number or 0 for one in ordered])
        if _have_positions(slices):
            _check_positions(folder, ordered)
        return tuple(ordered)
    if any(one.number is not None for one in slices) and not _have_distinct_positions(slices):
        without = [one for one in slices if one.number is None]
        raise DicomError(
            f"{folder}: {len(without)} of {len(slices)} files have no Instance Number ({_names(without)}), "
            "so their order is unknown; export the series again"
        )
    if not _have_positions(slices):
        raise DicomError(
            f"{folder}: the files have neither Instance Number nor the place of their slice, so their order "
            "is unknown; export the series again"
        )
    ordered = sorted(slices, key=lambda one: one.position or 0.0)
    _check_distinct(folder, ordered, "position", lambda one: one.position)
    numbers = [one.number for one in ordered if one.number is not None]
    if numbers:
        ordered, numbers = (ordered[::-1], numbers[::-1]) if numbers[0] > numbers[-1] else (ordered, numbers)
        if any(after <= before for before, after in pairwise(numbers)):
            raise DicomError(
                f"{folder}: some files have no Instance Number, and those of the others contradict the place "
                "of the slices; export the series again"
            )
        warn_once("no number", f"{folder}: some files have no Instance Number; their place tells their order")
    _check_positions(folder, ordered)
    return tuple(ordered)


def have_an_order(files: Sequence[DicomContent]) -> bool:
    """Whether the files of a series say in which order they follow, by number or by place."""
    slices = [_slice_of(file) for file in files]
    return all(one.number is not None for one in slices) or _have_positions(slices)


def _slice_of(file: DicomContent) -> StackSlice:
    dataset = file.tags
    if dataset is None:
        raise DicomError(f"{file.path}: the header cannot be read ({file.reason}); {_DAMAGED}")
    with one_error(file.path):
        return StackSlice(
            path=file.path,
            sop_instance_uid=uid_of(dataset, "SOPInstanceUID"),
            number=_count(dataset, "InstanceNumber"),
            announced=_count(dataset, "ImagesInAcquisition"),
            position=slice_position(dataset),
            series_uid=file.series_uid,
            transfer_syntax=uid_of(dataset.file_meta, "TransferSyntaxUID"),
            shape=(file.rows, file.columns),
            layout=tuple(dataset.get(keyword) for keyword in _LAYOUT),
            rescale=(_number(dataset, "RescaleSlope", 1.0), _number(dataset, "RescaleIntercept", 0.0)),
        )


def slice_position(dataset: FileDataset) -> float | None:
    """Return the distance along the normal of the slices (PS3.3 C.7.6.2.1.1), else Slice Location."""
    place, cosines = dataset.get("ImagePositionPatient"), dataset.get("ImageOrientationPatient")
    if _has(place, 3) and _has(cosines, 6):
        row, column = np.array(cosines[:3], dtype=float), np.array(cosines[3:], dtype=float)
        normal = np.cross(row, column)
        length = float(np.linalg.norm(normal))
        if length > _SAME_DIRECTION:
            return float(np.dot(np.array(place, dtype=float), normal / length))
    location = dataset.get("SliceLocation")
    return None if location is None else float(location)


def _has(value: object, count: int) -> bool:
    return isinstance(value, MultiValue) and len(value) == count


def _count(dataset: FileDataset, keyword: str) -> int | None:
    value = dataset.get(keyword)
    return None if value is None else int(value)


def _number(dataset: FileDataset, keyword: str, default: float) -> float:
    value = dataset.get(keyword)
    return default if value is None else float(value)


def _check_shared(folder: Path, slices: Sequence[StackSlice]) -> None:
    for attribute, plural in _SHARED.items():
        groups: dict[Any, list[StackSlice]] = {}
        for one in slices:
            groups.setdefault(getattr(one, attribute), []).append(one)
        if len(groups) > 1:
            parts = [f"{_shown(value)} in {len(group)} ({_names(group)})" for value, group in groups.items()]
            raise DicomError(
                f"{folder}: the {len(slices)} files do not make one volume, they have {len(groups)} "
                f"{plural}: {'; '.join(parts[:_NAMED])}; give one folder per volume"
            )


def _shown(value: object) -> str:
    return " x ".join(str(part) for part in value) if isinstance(value, tuple) else str(value) or "(none)"


def _check_distinct(
    folder: Path, ordered: Sequence[StackSlice], what: str, key: Callable[[StackSlice], Hashable]
) -> None:
    for one, other in pairwise(ordered):
        if key(one) == key(other):
            raise DicomError(
                f"{folder}: {one.path.name} and {other.path.name} have the same {what} ({key(one)}); "
                "remove the copy, or give one folder per volume"
            )


def _check_numbers(folder: Path, numbers: Sequence[int]) -> None:
    """Numbers may begin anywhere and have any step, but always the same one."""
    steps = {after - before for before, after in pairwise(numbers)}
    if len(steps) > 1:
        step = min(steps)
        missing = [
            value for before, after in pairwise(numbers) for value in range(before + step, after, step)
        ]
        shown = ", ".join(str(value) for value in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise DicomError(
            f"{folder}: slices are missing: the Instance Numbers go from {numbers[0]} to {numbers[-1]} "
            f"without {shown}; copy or download the series again"
        )


def _have_positions(slices: Sequence[StackSlice]) -> bool:
    """Say whether the places tell slices apart: some writers put the same place into every file."""
    places = {one.position for one in slices}
    return None not in places and len(places) > 1


def _have_distinct_positions(slices: Sequence[StackSlice]) -> bool:
    return len({one.position for one in slices} - {None}) == len(slices)


def _check_positions(folder: Path, ordered: Sequence[StackSlice]) -> None:
    """Places must go one way and in even steps."""
    places = [one.position or 0.0 for one in ordered]
    steps = np.diff(places)
    typical = float(np.median(steps))
    way = 1.0 if np.count_nonzero(steps > 0) >= len(steps) / 2 else -1.0
    for before, step in enumerate(steps.tolist()):
        if step * way <= 0:
            raise DicomError(
                f"{folder}: Instance Number and the place of the slices contradict each other: from "
                f"{ordered[before].path.name} to {ordered[before + 1].path.name} the place goes from "
                f"{places[before]:g} to {places[before + 1]:g} mm, against the others; "
                "export the series again"
            )
    for before, step in enumerate(steps.tolist()):
        if abs(step - typical) > _POSITION_TOLERANCE * abs(typical):
            raise DicomError(
                f"{folder}: slices are missing or of another volume: {ordered[before].path.name} and "
                f"{ordered[before + 1].path.name} are {abs(step):g} mm apart, the others "
                f"{abs(typical):g} mm; copy or download the series again"
            )


_READ_ALIKE = {
    "num_frames": "numbers of frames",
    "layout": "pixel layouts",
    "photometric": "photometric interpretations",
    "rescale": "rescales",
    "mapped": "Modality LUTs",
    "bits_stored": "numbers of bits",
}
"""What makes equal values of two slices mean the same."""


def _header_of(folder: Path, headers: Sequence[DicomHeader]) -> DicomHeader:
    """Return the header of a volume: that of its first slice where the others say the same.

    Raises:
        DicomError: values of slices mean different things, or slices are of both sides.
    """
    for name, plural in _READ_ALIKE.items():
        odd = [one for one in headers if getattr(one, name) != getattr(headers[0], name)]
        if odd:
            raise DicomError(
                f"{folder}: the slices have different {plural}, {headers[0].path.name} and "
                f"{odd[0].path.name} for example; export the series again"
            )
    for what in ("laterality_tag", "view_position"):
        said = sorted({str(getattr(one, what)) for one in headers if getattr(one, what)})
        if len(said) > 1:
            raise DicomError(
                f"{folder}: the slices are of {len(said)} sides or views ({', '.join(said[:_NAMED])}); "
                "give one folder per volume"
            )
    windows = [one.window for one in headers if one.window is not None]
    window = headers[0].window
    if len(set(windows)) > 1 or len(windows) not in (0, len(headers)):
        window = middle_window(windows)
        done = f"{window[0]:g}, {window[1]:g} is taken for all of them" if window else "none is taken"
        warn_once("windows of slices", f"{folder}: windows differ between slices; {done}")
    return replace(headers[0], path=folder, num_frames=len(headers), sop_instance_uid="", window=window)


def _slice_distance(slices: Sequence[StackSlice], headers: Sequence[DicomHeader]) -> float | None:
    """Return the distance of neighbouring slices in mm: by their places, else as the first file says."""
    places = [one.position for one in slices if one.position is not None]
    if len(places) == len(slices) and len(set(places)) > 1:
        return float(np.median(np.abs(np.diff(places))))
    return headers[0].slice_mm


def _check_size(header: DicomHeader) -> None:
    if header.rows * header.columns * header.num_frames > MAX_PIXELS:
        raise DicomError(
            f"{header.path}: {header.num_frames} slices of {header.rows} x {header.columns} pixels are more "
            f"than any breast volume has (limit: {MAX_PIXELS:.0e} pixels); the headers are damaged"
        )


def _names(slices: Sequence[StackSlice]) -> str:
    names = ", ".join(one.path.name for one in slices[:_NAMED])
    return names + (", ..." if len(slices) > _NAMED else "")
