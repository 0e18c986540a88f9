"""Attributes of one object: where each may stand, and its value as text or as a number.

A multi-frame object keeps what its frames share in one sequence and what is of one frame in another (PS3.3
C.7.6.16); single-frame objects, and many multi-frame ones, keep it at the top. A value is never taken from
the first frame for all of them without looking at the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from comoto.dicom.log_once import warn_once
from comoto.dicom.tags import quoted
from comoto.errors import DicomError

T = TypeVar("T")


class Attributes:
    """The data sets of one object that may hold an attribute.

    Attributes:
        path: the file, for messages.
        top: the object's own data set.
        shared: items of the shared functional groups.
        frames: items of the functional groups of each frame; empty where none are described.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.path = path
        self.top = dataset
        self.shared = [item for group in _items(dataset, _SHARED)[:1] for item in _macros(group)]
        self.frames = [_macros(group) for group in _items(dataset, _PER_FRAME)]

    @property
    def all(self) -> list[Dataset]:
        """Shared groups, those of the first frame, and the top level: the most trusted first."""
        return [*self.shared, *(self.frames[0] if self.frames else ()), self.top]

    def first(self, read: Callable[[Dataset], T | None]) -> T | None:
        """Return what the most trusted data set says, whatever other frames say."""
        return _first(self.all, read)

    def of_frames(self, read: Callable[[Dataset], T | None]) -> list[T | None]:
        """Return what the groups of each frame say; an empty list where no frame says anything."""
        values = [_first(groups, read) for groups in self.frames]
        return values if any(value is not None for value in values) else []

    def one_for_all(
        self, what: str, read: Callable[[Dataset], T | None], middle: Callable[[Sequence[T]], T | None]
    ) -> T | None:
        """Return the one value of an attribute that a whole image has; odd cases are said.

        Args:
            what: its name in the plural, for messages.
            read: returns the value of a data set, None where it has none.
            middle: makes one value of those of frames that differ; None where they have nothing in common.
        """
        shared, own = _first(self.shared, read), self.of_frames(read)
        said = [value for value in own if value is not None]
        differing = len(set(said)) > 1
        if shared is not None:
            if differing or (said and said[0] != shared):
                warn_once(
                    f"{what} twice",
                    f"{self.path}: {what} stand both for all frames and for single ones, and differ; those "
                    f"for all frames are taken ({_shown(shared)})",
                )
            return shared
        if not said:
            return read(self.top)
        if not differing and len(said) == len(own):
            return said[0]
        value = middle(said)
        done = "none is taken" if value is None else f"one is taken for all of them ({_shown(value)})"
        warn_once(
            f"{what} of frames",
            f"{self.path}: {what} differ between frames ({len(set(said))} values in {len(own)} frames); "
            f"{done}",
        )
        return value


_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    return list(dataset.get(keyword) or [])


def _macros(group: Dataset) -> list[Dataset]:
    return [element.value[0] for element in group if element.VR == "SQ" and len(element.value)]


def _first(groups: Sequence[Dataset], read: Callable[[Dataset], T | None]) -> T | None:
    return next((value for group in groups if (value := read(group)) is not None), None)


def _shown(value: object) -> str:
    return ", ".join(f"{part:g}" for part in value) if isinstance(value, tuple) else str(value)


def text_of(dataset: Dataset, keyword: str) -> str | None:
    """Return a value as text; None where there is none."""
    value = dataset.get(keyword)
    return None if value is None else str(value).strip() or None


def texts_of(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of an attribute that may have several, as upper-case text."""
    value = dataset.get(keyword)
    values = value if isinstance(value, MultiValue | list) else [] if value is None else [value]
    return tuple(str(part).strip().upper() for part in values)


def uid_of(dataset: Dataset, keyword: str) -> str:
    """Return a UID without validation: de-identified files hold hashes, and pydicom would warn of each."""
    if keyword not in dataset:
        return ""
    value = dataset.get_item(keyword).value
    return value.decode("ascii", "replace").strip(" \0") if isinstance(value, bytes) else str(value or "")


def integer_of(path: Path, dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return a whole number that reading depends on.

    Raises:
        DicomError: it is missing and has no default, or is no whole number.
    """
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        if default is None:
            raise DicomError(f"{path}: no {keyword}; this is not an image, or its header is damaged")
        return default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DicomError(f"{path}: {keyword} is {quoted(value)}, a whole number was expected") from error


def number_of(path: Path, dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of a possibly multi-valued decimal attribute that reading depends on.

    Raises:
        DicomError: it is no finite number.
    """
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        return None
    number = _float(value[0] if isinstance(value, MultiValue) and len(value) else value)
    if number is None:
        raise DicomError(f"{path}: {keyword} is {quoted(value)}, a number was expected")
    return number


def numbers_of(dataset: Dataset, keyword: str) -> list[float | None]:
    """Return all values of a decimal attribute; None for one that is no finite number."""
    try:
        value: Any = dataset.get(keyword)
    except (TypeError, ValueError, OverflowError):  # pydicom will not hand out text among several numbers
        return [None]
    if value is None or value == "":
        return []
    return [_float(part) for part in (value if isinstance(value, MultiValue | list) else [value])]


def vector_of(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return numbers of which there have to be so many; None where there are not."""
    values = [value for value in numbers_of(dataset, keyword) if value is not None]
    return tuple(values) if len(values) == count else None


def cosines_of(dataset: Dataset) -> tuple[float, ...] | None:
    """Return the direction cosines of row and column, six numbers (PS3.3 C.7.6.2.1.1)."""
    return vector_of(dataset, "ImageOrientationPatient", 6)


def _float(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
