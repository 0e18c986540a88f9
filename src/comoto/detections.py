"""The one record of boxes, from the network's output to the files of a prediction.

A record is about one image: a slice, a mammogram or a whole volume. Files that hold several images are lists
of records. Boxes are half-open ``(x1, y1, x2, y2)``; the record says in which pixels (docs/coordinates.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from comoto.depth import Depths, Focus, Spans
from comoto.output_files import write_text
from comoto.prediction_rows import MAMMOGRAM_COLUMNS, joined, read_image_rows, volume_rows
from comoto.records import PREDICTION_COLUMNS, FloatArray, IntArray

Space = Literal["source", "grid"]
"""Pixels of the image in its corrected orientation, or of the network's grid."""

__all__ = [
    "Depths",
    "Detections",
    "Focus",
    "Geometry",
    "Space",
    "Spans",
    "mammogram_table",
    "prediction_table",
]

_KEYS = ("patient_id", "study_id", "view_key")
_UIDS = ("series_instance_uid", "sop_instance_uid")


class Geometry(Protocol):
    """What moves boxes between an image and the grid, such as ``comoto.preprocessing.plan.Plan``."""

    def boxes_to_grid(self, boxes_on_source: ArrayLike) -> FloatArray:
        """Return boxes (N, 4) on the grid."""

    def boxes_to_source(self, boxes_on_grid: ArrayLike) -> FloatArray:
        """Return boxes (N, 4) in source pixels."""


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """Scored boxes on one image, checked when they are made.

    Lists and arrays of other types are converted. Rows are picked by a mask, by numbers or by a slice:

    >>> boxes = [[10, 20, 30, 60], [200, 40, 220, 80]]
    >>> found = Detections(boxes, [0.9, 0.2], ([4, 11], [3, 1]), space="source", image_id="a")
    >>> found
    Detections(2 boxes in source pixels on slices 4-11, scores 0.2 to 0.9, image_id='a')
    >>> found[found.scores > 0.5].boxes_xyxy
    array([[10., 20., 30., 60.]], dtype=float32)
    >>> found.to_dataframe()[["X", "Width", "Y", "Height", "Z", "Depth"]].iloc[0].to_list()
    [10, 20, 20, 40, 4, 3]

    Attributes:
        boxes_xyxy: float32 (N, 4), x1 <= x2 and y1 <= y2.
        scores: float32 (N,).
        spans: the slices of a volume's boxes; None for boxes on a single image.
        depths: what a slice-to-volume rule says of their depth: best slices and scores along the stack; None
            for boxes on single images, and where nothing but the spans is known.
        focus: how much boxes on slices are in focus, until a rule has made depths of it; None without a focus
            head. No file holds it.
        space: in which pixels.
        image_id, patient_id, study_id, view_key: what files call the image; empty where nothing says it.
        series_instance_uid, sop_instance_uid: of the file; empty where it does not say, or was not opened.

    Raises:
        ValueError: shapes do not fit, a number is not finite, a box is inside out, or a slice is negative.
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    spans: Spans | None = None
    depths: Depths | None = field(default=None, kw_only=True)
    focus: Focus | None = field(default=None, kw_only=True)
    space: Space = field(kw_only=True)
    image_id: str = field(default="", kw_only=True)
    patient_id: str = field(default="", kw_only=True)
    study_id: str = field(default="", kw_only=True)
    view_key: str = field(default="", kw_only=True)
    series_instance_uid: str = field(default="", kw_only=True)
    sop_instance_uid: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.space not in get_args(Space):
            raise ValueError(f"space is one of {', '.join(get_args(Space))}, not {self.space!r}")
        boxes, scores = (np.asarray(each, dtype=np.float32) for each in (self.boxes_xyxy, self.scores))
        boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
        if boxes.ndim != 2 or boxes.shape != (scores.size, 4) or scores.ndim != 1:
            raise ValueError(
                f"boxes {boxes.shape} and scores {scores.shape} do not fit; (N, 4) and (N,) are needed"
            )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError("a box or a score is not finite")
        if (boxes[:, 2:] < boxes[:, :2]).any():
            row = int((boxes[:, 2:] < boxes[:, :2]).any(axis=1).argmax())
            raise ValueError(f"box {row} is inside out: x1, y1, x2, y2 = {boxes[row].tolist()}")
        object.__setattr__(self, "boxes_xyxy", boxes)
        object.__setattr__(self, "scores", scores)
        if self.spans is not None:
            object.__setattr__(self, "spans", Spans.checked(self.spans, len(scores)))
        if self.depths is not None and (self.spans is None or len(self.depths) != len(scores)):
            raise ValueError(f"depths of {len(self.depths)} boxes do not fit {len(scores)} boxes of a volume")
        if self.focus is not None and len(self.focus) != len(scores):
            raise ValueError(f"the focus of {len(self.focus)} boxes does not fit {len(scores)} boxes")

    @staticmethod
    def none(space: Space, *, volume: bool = False) -> Detections:
        """Return a record of no boxes, on a volume or on a single image."""
        nothing = np.zeros(0, dtype=np.int64)
        spans = Spans(nothing, nothing) if volume else None
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), spans, space=space)

    @property
    def first_slice(self) -> IntArray:
        """The first slice (N,) of each box, 0-based; ValueError on a single image, which has no slices."""
        return self._spans().first_slice

    @property
    def num_spanned(self) -> IntArray:
        """Slices (N,) that each box spans, 0 for a plane without depth; ValueError on a single image."""
        return self._spans().num_spanned

    @property
    def best_slice(self) -> NDArray[np.float64]:
        """The estimated slice (N,) of each box, 0-based; where nothing else is known, its span's middle."""
        return self._spans().middle() if self.depths is None else self.depths.best_slice

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        words = f"{len(self)} box{'' if len(self) == 1 else 'es'} in {self.space} pixels"
        if len(self):
            if self.spans is not None:
                last = self.first_slice + np.maximum(self.num_spanned, 1) - 1
                words += f" on slices {self.first_slice.min()}-{last.max()}"
            words += f", scores {self.scores.min():.3g} to {self.scores.max():.3g}"
        return f"Detections({words}{f', image_id={self.image_id!r}' if self.image_id else ''})"

    def __getitem__(self, rows: slice | int | Sequence[int] | IntArray | NDArray[np.bool_]) -> Detections:
        """Return some of the boxes, in the order of ``rows``; one number gives a record of one box."""
        chosen = np.atleast_1d(np.arange(len(self))[rows])
        picked = copy(self)  # rows of a checked record need no second check, and rules pick often
        object.__setattr__(picked, "boxes_xyxy", self.boxes_xyxy[chosen])
        object.__setattr__(picked, "scores", self.scores[chosen])
        if self.spans is not None:
            object.__setattr__(picked, "spans", Spans(*(part[chosen] for part in self.spans)))
        if self.depths is not None:
            object.__setattr__(picked, "depths", self.depths[chosen])
        if self.focus is not None:
            object.__setattr__(picked, "focus", self.focus[chosen])
        return picked

    def __iter__(self) -> Iterator[Detections]:
        return (self[row] for row in range(len(self)))

    def by_score(self) -> Detections:
        """Return the boxes by falling score; ties keep their order."""
        return self[np.argsort(-self.scores, kind="stable")]

    def have_area(self) -> NDArray[np.bool_]:
        """Return which boxes (N,) are wider and higher than nothing."""
        x1, y1, x2, y2 = self.boxes_xyxy.T
        return np.asarray((x2 > x1) & (y2 > y1))

    @staticmethod
    def stack(slices: Mapping[int, Detections]) -> Detections:
        """Return boxes on slices as boxes of their volume, by rising slice.

        >>> on_slice = Detections([[1, 2, 3, 4]], [0.5], space="grid")
        >>> Detections.stack({7: on_slice, 4: on_slice}).first_slice.tolist()
        [4, 7]

        Args:
            slices: slice index -> boxes on a single image, at least one.

        Raises:
            ValueError: there is no slice, or they are in different pixels.
        """
        order = sorted(slices)
        merged = Detections.merge([slices[index] for index in order])
        first = np.repeat(np.asarray(order, dtype=np.int64), [len(slices[index]) for index in order])
        return replace(merged, spans=Spans(first, np.ones_like(first)))

    @staticmethod
    def merge(parts: Iterable[Detections]) -> Detections:
        """Return the boxes of one image as one record, in the order of the parts.

        >>> parts = [Detections([[1, 2, 3, 4]], [score], space="grid") for score in (0.3, 0.4)]
        >>> Detections.merge(parts)
        Detections(2 boxes in grid pixels, scores 0.3 to 0.4)

        Raises:
            ValueError: there is no part, or they are of several images, in different pixels, of a volume and
                of single images, of different slices looked at, or read by different focus heads.
        """
        parts = list(parts)
        if not parts:
            raise ValueError("nothing to merge; Detections.none makes an empty record")
        kinds = {(one.space, one.spans is None, one.image_id, *one._keys()) for one in parts}
        if len(kinds) > 1:
            raise ValueError(
                f"only boxes of one image and in the same pixels can be merged, not those of {len(kinds)}"
            )
        spans = None
        if parts[0].spans is not None:
            spans = Spans(
                np.concatenate([one.first_slice for one in parts]),
                np.concatenate([one.num_spanned for one in parts]),
            )
        return replace(
            parts[0],
            boxes_xyxy=np.concatenate([one.boxes_xyxy for one in parts]),
            scores=np.concatenate([one.scores for one in parts]),
            spans=spans,
            depths=Depths.merge([one.depths for one in parts]),
            focus=Focus.merge([one.focus for one in parts]),
        )

    def to_grid(self, geometry: Geometry) -> Detections:
        """Return the boxes on the network's grid; nothing is cut, so ``to_source`` undoes it.

        Args:
            geometry: of the image, such as ``PreparedStore.plan(image_id)``.

        Raises:
            ValueError: they lie on the grid already.
        """
        if self.space != "source":
            raise ValueError("the boxes are in pixels of the grid already")
        return replace(self, boxes_xyxy=geometry.boxes_to_grid(self.boxes_xyxy), space="grid")

    def to_source(self, geometry: Geometry) -> Detections:
        """Return the boxes in source pixels, as ``to_grid`` takes them.

        Raises:
            ValueError: they are in source pixels already.
        """
        if self.space != "grid":
            raise ValueError("the boxes are in source pixels already")
        return replace(self, boxes_xyxy=geometry.boxes_to_source(self.boxes_xyxy), space="source")

    def clipped(self, shape: tuple[int, int]) -> Detections:
        """Return the boxes cut to an image of so many (rows, columns)."""
        rows, columns = shape
        end = np.array([columns, rows, columns, rows], dtype=np.float32)
        return replace(self, boxes_xyxy=np.clip(self.boxes_xyxy, 0, end))

    def rounded(self) -> Detections:
        """Return the boxes as prediction files hold them, in hundredths of a pixel."""
        boxes = np.asarray(self._hundredths(), dtype=np.float32)
        return replace(self, boxes_xyxy=boxes.reshape(-1, 4))

    def to_dataframe(self) -> pd.DataFrame:
        """Return the rows that ``comoto predict`` writes, one a box.

        For a volume the columns are those of the DBTex challenge (``PREDICTION_COLUMNS``): the smallest box
        of whole pixels around each. For a single image they are ``MAMMOGRAM_COLUMNS``.

        Raises:
            ValueError: the boxes lie on the grid.
        """
        self._refuse_grid()
        if self.spans is None:
            rows = [
                (self.image_id, *box, score)
                for box, score in zip(self._hundredths(), self.scores.tolist(), strict=True)
            ]
            return pd.DataFrame(rows, columns=list(MAMMOGRAM_COLUMNS))
        boxes, scores = self.rounded().boxes_xyxy.astype(np.float64), self.scores.astype(np.float64)
        key = self.patient_id, self.study_id, self.view_key
        return volume_rows(key, boxes, scores, self.spans)

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write ``to_dataframe`` as a CSV file; an existing one is replaced as a whole."""
        write_text(Path(path), self.to_dataframe().to_csv(index=False, lineterminator="\n"))

    @staticmethod
    def from_csv(path: str | PathLike[str]) -> list[Detections]:
        """Read a table of predictions, in either form that ``to_dataframe`` has.

        Boxes come in the pixels of the table: a volume's have been widened to whole ones. An image without
        boxes has no rows, and so no record.

        Returns:
            One record an image, in the order of their first rows.

        Raises:
            DatasetError: the file cannot be read, lacks columns, or a row holds no box; names the lines.
        """
        return [
            Detections(
                boxes.astype(np.float32),
                scores.astype(np.float32),
                None if spans is None else Spans(*spans),
                space="source",
                depths=None,
                focus=None,
                **dict(zip(("image_id",) if spans is None else _KEYS, key, strict=True)),
            )
            for key, boxes, scores, spans in read_image_rows(Path(path))
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as one image stands in the JSON file of ``comoto predict``.

        Boxes are rounded to hundredths of a pixel.

        Raises:
            ValueError: the boxes lie on the grid.
        """
        self._refuse_grid()
        rows: list[dict[str, Any]] = [
            {"box_xyxy": box, "score": score}
            for box, score in zip(self._hundredths(), self.scores.tolist(), strict=True)
        ]
        if self.spans is None:
            names: tuple[str, ...] = ("image_id", *_UIDS)
        else:
            names = ("image_id", *_KEYS, *_UIDS)
            for row, first, number in zip(rows, *(part.tolist() for part in self.spans), strict=True):
                row |= {"first_slice": first, "num_spanned": number}
        volume: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.depths is not None:
            looked_at, depths = self.depths.to_json()
            volume |= looked_at
            rows = [row | depth for row, depth in zip(rows, depths, strict=True)]
        return volume | {"detections": rows}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Detections:
        """Make the record again from what ``to_json`` returned, or from an image of such a file.

        >>> found = Detections([[1, 2, 3, 4.5]], [0.5], space="source", image_id="a")
        >>> Detections.from_json(found.to_json()).boxes_xyxy.tolist()
        [[1.0, 2.0, 3.0, 4.5]]

        Raises:
            KeyError, TypeError, ValueError: they are not such values.
        """
        rows = content["detections"]
        spans = depths = None
        if "view_key" in content:
            depths = Depths.from_json(content, rows)
            spans = Spans(*([row[name] for row in rows] for name in Spans._fields))  # type: ignore[arg-type]
        return Detections(
            [row["box_xyxy"] for row in rows],  # type: ignore[arg-type]
            [row["score"] for row in rows],  # type: ignore[arg-type]
            spans,
            depths=depths,
            focus=None,
            space="source",
            **{name: str(content.get(name, "")) for name in ("image_id", *_KEYS, *_UIDS)},
        )

    def to_coco(self, image_id: int | str | None = None, category_id: int = 1) -> list[dict[str, Any]]:
        """Return the boxes of a single image in the results format of COCO, x, y, width and height.

        >>> Detections([[10, 20, 30, 60]], [0.5], space="source", image_id="a").to_coco(7)
        [{'image_id': 7, 'category_id': 1, 'bbox': [10.0, 20.0, 20.0, 40.0], 'score': 0.5}]

        Args:
            image_id: of the image in the annotations that the results go with; the record's own by default.
            category_id: of lesions in those annotations.

        Raises:
            ValueError: the boxes lie on the grid, or are those of a volume, for which COCO has no depth.
        """
        self._refuse_grid()
        if self.spans is not None:
            raise ValueError("COCO results have no slices; to_dataframe or to_json hold those of a volume")
        name = self.image_id if image_id is None else image_id
        return [
            {"image_id": name, "category_id": category_id, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
            for (x1, y1, x2, y2), score in zip(
                self.boxes_xyxy.astype(np.float64).tolist(), self.scores.tolist(), strict=True
            )
        ]

    def _hundredths(self) -> list[list[float]]:
        return [[round(value, 2) for value in box] for box in self.boxes_xyxy.tolist()]

    def _keys(self) -> tuple[str, ...]:
        return tuple(getattr(self, name) for name in (*_KEYS, *_UIDS))

    def _refuse_grid(self) -> None:
        if self.space != "source":
            raise ValueError("the boxes lie on the network's grid; to_source(geometry) moves them back first")

    def _spans(self) -> Spans:
        if self.spans is None:
            raise ValueError(
                "boxes on a single image have no slices; Detections.stack says which ones they are"
            )
        return self.spans


def prediction_table(images: Iterable[Detections]) -> pd.DataFrame:
    """Return the table of several volumes, as ``Detections.to_dataframe`` does of one."""
    return joined([one.to_dataframe() for one in images if len(one)], PREDICTION_COLUMNS)


def mammogram_table(images: Iterable[Detections]) -> pd.DataFrame:
    """Return the table of several mammograms, as ``Detections.to_dataframe`` does of one."""
    return joined([one.to_dataframe() for one in images if len(one)], MAMMOGRAM_COLUMNS)
