"""Steps that move an image and its boxes together, and that can be undone for boxes.

An image is (H, W) with row 0 at the top. A box is half-open, ``(x1, y1, x2, y2)`` in pixels with the corner
of pixel (0, 0) at (0, 0), so an image of W columns spans x from 0 to W and a mirrored x is ``W - x``.
Boxes go in as anything (N, 4) and come out as float64; no step clips them, so every step can be undone.
Each step knows the shape it was made for and refuses another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from comoto.geometry.boxes import Float64Array, as_boxes

Shape = tuple[int, int]
Image = NDArray[Any]


class Step(Protocol):
    """What every step offers."""

    @property
    def in_shape(self) -> Shape:
        """Shape (rows, columns) of the image that goes in."""

    @property
    def out_shape(self) -> Shape:
        """Shape (rows, columns) of the image that comes out."""

    def image(self, array: Image) -> Image:
        """Move an image (H, W)."""

    def boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Move boxes (N, 4) as ``image`` moves the image."""

    def undo_boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Move boxes (N, 4) back."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which ``step_from_json`` makes an equal step."""


@dataclass(frozen=True)
class _Sized:
    """What steps made for one shape of image share."""

    rows: int
    columns: int

    @property
    def in_shape(self) -> Shape:
        """Shape (rows, columns) of the image that goes in."""
        return self.rows, self.columns

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"step": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class _KeepsShape(_Sized):
    """A step whose image keeps its shape."""

    @property
    def out_shape(self) -> Shape:
        """Shape (rows, columns) of the image that comes out."""
        return self.rows, self.columns


@dataclass(frozen=True)
class Rotate180(_KeepsShape):
    """Turn by 180 degrees: both axes are reversed.

    Attributes:
        rows, columns: shape of the image.

    Examples:
        >>> step = Rotate180(rows=4, columns=6)
        >>> step.boxes([[0, 0, 2, 1]]).tolist()
        [[4.0, 3.0, 6.0, 4.0]]
        >>> step.undo_boxes(step.boxes([[0, 0, 2, 1]])).tolist()
        [[0.0, 0.0, 2.0, 1.0]]
    """

    def image(self, array: Image) -> Image:
        """Return a turned view of the array."""
        return _checked(self, array)[::-1, ::-1]

    def boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Return turned boxes."""
        size = np.array([self.columns, self.rows, self.columns, self.rows], dtype=np.float64)
        return np.asarray(size - as_boxes(boxes_xyxy)[:, [2, 3, 0, 1]])

    undo_boxes = boxes  # a second turn undoes the first


@dataclass(frozen=True)
class Mirror(_KeepsShape):
    """Reverse the columns: left becomes right.

    Attributes:
        rows, columns: shape of the image.

    Examples:
        >>> Mirror(rows=4, columns=6).boxes([[0, 0, 2, 1]]).tolist()
        [[4.0, 0.0, 6.0, 1.0]]
        >>> Mirror(rows=1, columns=3).image(np.array([[1, 2, 3]])).tolist()
        [[3, 2, 1]]
    """

    def image(self, array: Image) -> Image:
        """Return a mirrored view of the array."""
        return _checked(self, array)[:, ::-1]

    def boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Return mirrored boxes: ``x1' = W - x2``."""
        boxes = as_boxes(boxes_xyxy)
        boxes[:, [0, 2]] = self.columns - boxes[:, [2, 0]]
        return boxes

    undo_boxes = boxes  # a second mirroring undoes the first


@dataclass(frozen=True)
class Crop(_Sized):
    """Keep a rectangle.

    Attributes:
        rows, columns: shape of the image that goes in.
        top, left, bottom, right: the rectangle, half-open, inside the image and not empty.

    Raises:
        ValueError: the rectangle is empty or leaves the image.

    Examples:
        >>> step = Crop(rows=4, columns=6, top=1, left=2, bottom=4, right=6)
        >>> step.out_shape, step.boxes([[2, 1, 4, 3]]).tolist()
        ((3, 4), [[0.0, 0.0, 2.0, 2.0]])
    """

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom <= self.rows and 0 <= self.left < self.right <= self.columns):
            raise ValueError(f"rectangle is empty or leaves the image: {self}")

    @property
    def out_shape(self) -> Shape:
        """Shape of the rectangle."""
        return self.bottom - self.top, self.right - self.left

    def image(self, array: Image) -> Image:
        """Return a view of the rectangle."""
        return _checked(self, array)[self.top : self.bottom, self.left : self.right]

    def boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Return boxes counted from the rectangle's corner."""
        return np.asarray(as_boxes(boxes_xyxy) - self._offset())

    def undo_boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Return boxes counted from the image's corner."""
        return np.asarray(as_boxes(boxes_xyxy) + self._offset())

    def _offset(self) -> Float64Array:
        return np.array([self.left, self.top, self.left, self.top], dtype=np.float64)


@dataclass(frozen=True)
class Resize(_Sized):
    """Resample to another number of pixels: area averages where it shrinks, linear where it grows.

    Each axis has its own factor, for images and boxes; where the aspect ratio is kept they still differ a
    little, because both shapes are whole numbers of pixels.

    Attributes:
        rows, columns: shape of the image that goes in.
        to_rows, to_columns: shape of the image that comes out.

    Raises:
        ValueError: a side is shorter than one pixel.

    Examples:
        >>> step = Resize(rows=4, columns=6, to_rows=8, to_columns=3)
        >>> step.boxes([[2, 1, 4, 3]]).tolist()
        [[1.0, 2.0, 2.0, 6.0]]
    """

    to_rows: int
    to_columns: int

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.to_rows, self.to_columns) < 1:
            raise ValueError(f"a side is shorter than one pixel: {self}")

    @staticmethod
    def to_fit(shape: Shape, limit: Shape, max_scale: float) -> Resize:
        """Return the largest resize that keeps the aspect ratio and fits into ``limit``.

        Args:
            shape: (rows, columns) of the image that goes in.
            limit: (rows, columns) that the result must not exceed.
            max_scale: largest factor.

        Examples:
            >>> Resize.to_fit((2457, 1996), limit=(512, 256), max_scale=1.0)
            Resize(rows=2457, columns=1996, to_rows=315, to_columns=256)
        """
        scale = min(limit[0] / shape[0], limit[1] / shape[1], max_scale)
        sizes = [min(limit[axis], max(1, round(shape[axis] * scale))) for axis in (0, 1)]
        return Resize(shape[0], shape[1], sizes[0], sizes[1])

    @property
    def out_shape(self) -> Shape:
        """Shape of the image that comes out."""
        return self.to_rows, self.to_columns

    def image(self, array: Image) -> Image:
        """Return the resampled image in the same dtype."""
        array = np.ascontiguousarray(_checked(self, array))
        if self.in_shape == self.out_shape:
            return array
        smaller = (min(self.to_columns, self.columns), min(self.to_rows, self.rows))
        if smaller != (self.columns, self.rows):
            array = cv2.resize(array, smaller, interpolation=cv2.INTER_AREA)
        if smaller != (self.to_columns, self.to_rows):
            array = cv2.resize(array, (self.to_columns, self.to_rows), interpolation=cv2.INTER_LINEAR)
        return np.asarray(array)

    def boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Return scaled boxes."""
        return np.asarray(as_boxes(boxes_xyxy) * self._factors())

    def undo_boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Return boxes scaled back."""
        return np.asarray(as_boxes(boxes_xyxy) / self._factors())

    def _factors(self) -> Float64Array:
        return np.tile([self.to_columns / self.columns, self.to_rows / self.rows], 2)


@dataclass(frozen=True)
class Pad(_Sized):
    """Add zeros at the bottom and at the right; boxes stay where they are.

    Attributes:
        rows, columns: shape of the image that goes in.
        to_rows, to_columns: shape of the image that comes out, not smaller.

    Raises:
        ValueError: the result would be smaller than the image.

    Examples:
        >>> step = Pad(rows=4, columns=6, to_rows=8, to_columns=8)
        >>> step.out_shape, step.boxes([[2, 1, 4, 3]]).tolist()
        ((8, 8), [[2.0, 1.0, 4.0, 3.0]])
    """

    to_rows: int
    to_columns: int

    def __post_init__(self) -> None:
        if self.to_rows < self.rows or self.to_columns < self.columns:
            raise ValueError(f"padding cannot shrink an image: {self}")

    @property
    def out_shape(self) -> Shape:
        """Shape of the image that comes out."""
        return self.to_rows, self.to_columns

    def image(self, array: Image) -> Image:
        """Return the padded image."""
        array = _checked(self, array)
        return np.pad(array, ((0, self.to_rows - self.rows), (0, self.to_columns - self.columns)))

    def boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Return the same boxes."""
        return as_boxes(boxes_xyxy)

    undo_boxes = boxes


@dataclass(frozen=True)
class Chain:
    """Steps one after the other; a chain without steps changes nothing.

    Attributes:
        in_shape: (rows, columns) of the image that goes in.
        steps: each takes the shape that the one before gives.

    Raises:
        ValueError: the shapes do not fit together.

    Examples:
        >>> chain = Chain((4, 6), (Mirror(4, 6), Resize(4, 6, to_rows=8, to_columns=12)))
        >>> moved = chain.boxes([[0, 0, 2, 1]])
        >>> moved.tolist(), chain.undo_boxes(moved).tolist()
        ([[8.0, 0.0, 12.0, 2.0]], [[0.0, 0.0, 2.0, 1.0]])
        >>> chain_from_json(chain.to_json()) == chain
        True
    """

    in_shape: Shape
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        shape = self.in_shape
        for step in self.steps:
            if step.in_shape != shape:
                raise ValueError(f"{step} follows an image of shape {shape}")
            shape = step.out_shape

    @property
    def out_shape(self) -> Shape:
        """Shape of the image that comes out."""
        return self.steps[-1].out_shape if self.steps else self.in_shape

    def image(self, array: Image) -> Image:
        """Move an image through all steps."""
        array = _checked(self, array)
        for step in self.steps:
            array = step.image(array)
        return array

    def boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Move boxes through all steps."""
        boxes = as_boxes(boxes_xyxy)
        for step in self.steps:
            boxes = step.boxes(boxes)
        return boxes

    def undo_boxes(self, boxes_xyxy: ArrayLike) -> Float64Array:
        """Move boxes back through all steps, last step first."""
        boxes = as_boxes(boxes_xyxy)
        for step in reversed(self.steps):
            boxes = step.undo_boxes(boxes)
        return boxes

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        steps = [step.to_json() for step in self.steps]
        return {"step": "Chain", "in_shape": list(self.in_shape), "steps": steps}


_SIMPLE = {kind.__name__: kind for kind in (Rotate180, Mirror, Crop, Resize, Pad)}


def step_from_json(content: Mapping[str, Any]) -> Step:
    """Make the step that ``to_json`` described.

    Raises:
        ValueError: the description names no known step or lacks a value.

    Examples:
        >>> step_from_json(Mirror(4, 6).to_json())
        Mirror(rows=4, columns=6)
    """
    name = content.get("step")
    values = {key: value for key, value in content.items() if key != "step"}
    if name == "Chain":
        return chain_from_json(content)
    if name not in _SIMPLE:
        raise ValueError(f"unknown step {name!r}")
    try:
        step: Step = _SIMPLE[name](**values)
    except TypeError as error:
        raise ValueError(f"step {name}: {error}") from error
    return step


def chain_from_json(content: Mapping[str, Any]) -> Chain:
    """Make the chain that ``Chain.to_json`` described.

    Raises:
        ValueError: the description is not one of a chain.

    Examples:
        >>> chain_from_json(Chain((4, 6), (Mirror(4, 6),)).to_json())
        Chain(in_shape=(4, 6), steps=(Mirror(rows=4, columns=6),))
    """
    try:
        rows, columns = content["in_shape"]
        return Chain((int(rows), int(columns)), tuple(step_from_json(step) for step in content["steps"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the description of a chain: {error!r}") from error


def _checked(step: Step, array: Image) -> Image:
    if array.shape != step.in_shape:
        raise ValueError(f"{type(step).__name__} was made for shape {step.in_shape}, got {array.shape}")
    return array
