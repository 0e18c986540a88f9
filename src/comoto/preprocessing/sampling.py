"""Training batches from a prepared store.

A batch is a pure function of (seed, step): there is no worker state, no queue and no global random number.
A run that is resumed at step k sees what it would have seen, and step k can be looked at alone.

Shapes: B images of a batch, N lesions of an image, (rows, columns) the padded grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from comoto.config import AugmentConfig, BatchConfig
from comoto.errors import ConfigError, DatasetError
from comoto.preprocessing.augment import Change, draw_change, moved_boxes
from comoto.preprocessing.slices import near_lesions
from comoto.preprocessing.store import PreparedStore
from comoto.preprocessing.uint8_batch import Uint8Batch
from comoto.records import FloatArray, IntArray

T = TypeVar("T")

_ORDER, _DRAW = 0, 1
_POSITIVE, _BACKGROUND, _NORMAL = 0, 1, 2
_WANTED = {
    "both": "no slice without a lesion",
    "background": "no slice far from every lesion of its volume",
    "normal": "no image without a lesion",
}


@dataclass(frozen=True)
class Example:
    """One training image that was drawn, not read yet.

    Attributes:
        image_id, plane: which plane of the store.
        change: what is done to it.
        boxes: float32 (N, 4), x1 y1 x2 y2 on the grid, changed already.
    """

    image_id: str
    plane: int
    change: Change
    boxes: FloatArray


@dataclass(frozen=True)
class _Annotated:
    """A positive image: its lesions on the grid and the planes that may be drawn."""

    image_id: str
    boxes: FloatArray  # (N, 4)
    lesion_slices: IntArray  # (N,)
    slice_indices: IntArray  # (planes,)
    num_slices: int

    def near(self, slices: IntArray, reach: float) -> IntArray:
        """Return the planes within reach of one of ``slices``."""
        return np.flatnonzero(near_lesions(self.slice_indices, slices, self.num_slices, reach))

    def far(self, annotated: IntArray, distance: float) -> IntArray:
        """Return the planes farther than ``distance`` from every annotated slice."""
        return np.flatnonzero(~near_lesions(self.slice_indices, annotated, self.num_slices, distance))

    def boxes_near(self, plane: int, reach: float) -> FloatArray:
        """Return the boxes of all lesions within reach of a plane."""
        position = self.slice_indices[plane : plane + 1]
        return self.boxes[near_lesions(self.lesion_slices, position, self.num_slices, reach)]


class SliceBatches:
    """Draws batches of positive and negative slices; mammograms are volumes of one slice.

    A batch holds the positives first. Patients with lesions (or, with ``draw=images``, their images) come in
    shuffled rounds: each is drawn once before any is drawn again; of a patient one image, one lesion and one
    slice within ``slice_reach`` are drawn, and the slice carries the boxes of all lesions within that reach.
    Negatives alternate between background slices of the positive volumes (farther than ``negative_distance``
    from every lesion of the volume) and slices of images without any lesion, each again in rounds; where one
    kind does not exist the other fills its place. ``negatives`` leaves one kind out. Of the slices of images
    without any lesion a share is drawn from what ``mine`` was told, once it was.

    Args:
        store: prepared images.
        image_ids: the images to draw from, such as those of the training split.
        batch: size and shares.
        augment: random changes; None draws images as they are.
        seed: of everything random.
        section: of the configuration, for messages.

    Raises:
        DatasetError: no image of ``image_ids`` shows a lesion although the batch wants some.
        ConfigError: the batch wants negatives and there are none.
    """

    def __init__(
        self,
        store: PreparedStore,
        image_ids: Iterable[str],
        batch: BatchConfig,
        augment: AugmentConfig | None,
        seed: int,
        section: str = "batch",
    ) -> None:
        self._store, self._batch, self._augment, self._seed = store, batch, augment, seed
        self._positive: dict[str, list[_Annotated]] = {}
        self._background: dict[str, list[tuple[_Annotated, IntArray]]] = {}
        self._normal: dict[str, list[str]] = {}
        for image_id in sorted(set(image_ids)):
            self._sort_in(image_id)
        self.num_negatives = round(batch.size * batch.negative_share)
        self.num_positives = batch.size - self.num_negatives
        self._check(section)
        self._mined: tuple[tuple[str, int], ...] = ()
        self._orders: dict[int, tuple[int, IntArray]] = {}
        self._units = tuple(sorted(kind) for kind in (self._positive, self._background, self._normal))

    def mine(self, slices: Iterable[tuple[str, int]]) -> None:
        """From here on draw a share of the normal slices, ``mined_negatives.share``, from these.

        Args:
            slices: image id and plane of each; none draws all by chance again.
        """
        self._mined = tuple(slices)

    @property
    def steps_per_round(self) -> int:
        """Steps until every positive patient (or image) has been drawn once; 0 if none is drawn."""
        return -(-len(self._positive) // self.num_positives) if self.num_positives else 0

    def batch(self, step: int) -> tuple[Tensor, list[Tensor]]:
        """Return the batch of a step.

        Args:
            step: counts from 0 over the whole training.

        Returns:
            Images float32 (B, 1, rows, columns) in 0..1 and for each its boxes float32 (N, 4) on the grid;
            N is 0 on negatives.
        """
        grey, boxes = self.uint8_batch(step)
        return grey.images(), boxes

    def uint8_batch(self, step: int) -> tuple[Uint8Batch, list[Tensor]]:
        """Return the batch of a step as bytes; ``batch`` is what it stands for."""
        examples = [self._positive_example(step, place) for place in range(self.num_positives)]
        examples += [self._negative_example(step, place) for place in range(self.num_negatives)]
        config = self._store.config
        pixels = torch.zeros((len(examples), 1, config.rows, config.columns), dtype=torch.uint8)
        lut = torch.empty((len(examples), 256), dtype=torch.float32)
        for number, example in enumerate(examples):
            plane = self._store.plane(example.image_id, example.plane)
            example.change.place(plane, pixels[number, 0].numpy())
            lut[number] = torch.from_numpy(example.change.lut())
        return Uint8Batch(pixels, lut), [torch.from_numpy(example.boxes) for example in examples]

    def _sort_in(self, image_id: str) -> None:
        """Put an image among the positive, the normal, or neither.

        An image whose lesions all lie outside the crop, or whose label alone tells of a lesion, is neither:
        no box can be learnt from it, and it must not pass for normal.
        """
        record = self._store.record(image_id)
        unit = image_id if self._batch.draw == "images" else record.patient_id
        if not record.lesions:
            if self._batch.negatives != "background" and not record.lacks_boxes:
                self._normal.setdefault(unit, []).append(image_id)
            return
        boxes, lesion_slices = self._store.lesions_on_grid(image_id)
        image = _Annotated(
            image_id,
            boxes,
            lesion_slices,
            self._store.slice_indices(image_id),
            self._store.num_slices(image_id),
        )
        reach = self._batch.slice_reach
        if len(image.near(lesion_slices, reach)):
            self._positive.setdefault(unit, []).append(image)
        annotated = np.array([lesion.slice_index or 0 for lesion in record.lesions], dtype=np.int64)
        far = image.far(annotated, self._batch.negative_distance)
        if len(far) and self._batch.negatives != "normal":
            self._background.setdefault(unit, []).append((image, far))

    def _check(self, section: str) -> None:
        if self.num_positives and not self._positive:
            raise DatasetError(
                f"{self._store.folder}: none of the chosen images shows a lesion on a prepared slice"
            )
        if self.num_negatives and not (self._background or self._normal):
            raise ConfigError(
                f"{self._store.folder}: {section}.negative_share is {self._batch.negative_share:g}, but the "
                f"chosen images hold {_WANTED[self._batch.negatives]}; lower batch.negative_distance, add "
                f"images without lesions, or set {section}.negative_share=0"
            )
        distance, reach = self._batch.negative_distance, self._batch.slice_reach
        if self.num_negatives and self._background and distance < reach:
            raise ConfigError(
                f"batch.negative_distance ({distance}) is smaller than batch.slice_reach ({reach}): "
                "the same slice would be shown with and without its lesion"
            )

    def _positive_example(self, step: int, place: int) -> Example:
        rng = self._rng(_DRAW, _POSITIVE, step, place)
        reach = self._batch.slice_reach
        image = _pick(self._positive[self._unit(_POSITIVE, step * self.num_positives + place)], rng)
        reachable = [image.near(position, reach) for position in image.lesion_slices[:, None]]
        plane = _pick(_pick([planes.tolist() for planes in reachable if len(planes)], rng), rng)
        return self._example(image.image_id, plane, image.boxes_near(plane, reach), rng)

    def _negative_example(self, step: int, place: int) -> Example:
        index = step * self.num_negatives + place
        both = bool(self._background) and bool(self._normal or self._mined)
        kind = (_BACKGROUND, _NORMAL)[index % 2] if both else (_BACKGROUND if self._background else _NORMAL)
        turn = index // 2 if both else index
        rng = self._rng(_DRAW, kind, step, place)
        if kind == _BACKGROUND:
            image, far = _pick(self._background[self._unit(kind, turn)], rng)
            image_id, plane = image.image_id, _pick(far.tolist(), rng)
        else:
            image_id, plane = self._normal_slice(turn, rng)
        return self._example(image_id, plane, np.zeros((0, 4), dtype=np.float32), rng)

    def _normal_slice(self, turn: int, rng: np.random.Generator) -> tuple[str, int]:
        if self._mined and (not self._normal or rng.random() < self._batch.mined_negatives.share):
            return _pick(self._mined, rng)
        image_id = _pick(self._normal[self._unit(_NORMAL, turn)], rng)
        return image_id, int(rng.integers(len(self._store.slice_indices(image_id))))

    def _example(self, image_id: str, plane: int, boxes: FloatArray, rng: np.random.Generator) -> Example:
        """Draw the change of an image and move its boxes."""
        config, shape = self._store.config, self._store.plan(image_id).grid_shape
        change = Change() if self._augment is None else draw_change(self._augment, shape, rng)
        boxes = moved_boxes(change, boxes, shape, (config.rows, config.columns))
        return Example(image_id, plane, change, boxes)

    def _unit(self, kind: int, turn: int) -> str:
        """Return the patient (or image) whose turn it is: rounds of all, each round in its own order."""
        units = self._units[kind]
        round_number, position = divmod(turn, len(units))
        former, order = self._orders.get(kind, (-1, None))
        if order is None or former != round_number:
            order = self._rng(_ORDER, kind, round_number, 0).permutation(len(units))
            self._orders[kind] = round_number, order  # threads may each draw it; they draw the same
        return units[int(order[position])]

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, *key))


def _pick(items: Sequence[T], rng: np.random.Generator) -> T:
    return items[int(rng.integers(len(items)))]
