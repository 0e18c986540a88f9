"""The plan of one image: from stored pixels to the network's grid, and back for boxes.

Three grids (docs/coordinates.md): *stored* is what the file holds, *source* is the corrected orientation in
which boxes are annotated and reported, *grid* is what the network sees. A plan is made once per image from
its header and a few frames, is the same for training and inference, and renders every frame alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from comoto.config.models import PreprocessConfig
from comoto.dicom.decode import reduced_shape
from comoto.dicom.read import touching_side
from comoto.errors import DatasetError, DicomError
from comoto.geometry import Chain, Crop, Mirror, Resize, Rotate180, Step, chain_from_json
from comoto.image_header import ImageHeader
from comoto.preprocessing.breast import BreastRegion, find_breast
from comoto.preprocessing.detector_data import DetectorCurve, detector_curve
from comoto.preprocessing.padding import Padding, find_padding, thinned
from comoto.preprocessing.reduced import halvings_that_fit, onto_grid
from comoto.preprocessing.window import WindowSource, choose_window, frame_window, to_bytes, windowed
from comoto.records import FloatArray, Laterality, Modality
from comoto.sources import Source
from comoto.sources.parallel import frames_in_parallel
from comoto.sources.volume_orientation import VolumeOrientation, volume_orientation

Image = NDArray[Any]
ByteImage = NDArray[np.uint8]
Shape = tuple[int, int]

_SAMPLED_SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Plan:
    """How one image becomes the network's input.

    Attributes:
        orient: stored -> source; a turn by 180 degrees or nothing.
        to_grid: source -> grid without padding: crop, mirror, resize.
        window: values of ``upright`` that become 0 and 255, ``low < high``; with ``frame`` for pictures only.
        window_source: where the window comes from; ``frame`` stretches every frame on its own.
        laterality: side of the patient's body.
        notes: what was odd, one sentence each.
        halvings: how often the sides of a stored frame are to be halved while it is decoded; the grid is too
            coarse for more.
        curve: what is done first with the values of a mammogram "for processing"; None for all others.
        padding: what is made black; None where there is no bright padding. Only full frames have it.
    """

    orient: Chain
    to_grid: Chain
    window: tuple[float, float]
    window_source: WindowSource
    laterality: Laterality
    notes: tuple[str, ...] = ()
    halvings: int = 0
    curve: DetectorCurve | None = None
    padding: Padding | None = None

    @property
    def stored_shape(self) -> Shape:
        """Shape (rows, columns) of the frames in the file."""
        return self.orient.in_shape

    @property
    def source_shape(self) -> Shape:
        """Shape (rows, columns) of the corrected orientation."""
        return self.to_grid.in_shape

    @property
    def grid_shape(self) -> Shape:
        """Shape (h, w) on the network's grid, before padding."""
        return self.to_grid.out_shape

    def render(self, frame: Image) -> ByteImage:
        """Return a stored frame on the grid, uint8 (h, w).

        Args:
            frame: (H, W) of ``stored_shape``, or decoded with ``reduce=halvings``; both give the same
                geometry and nearly the same values.

        Raises:
            ValueError: the frame is of another shape.
        """
        frame = self._shades(frame)
        low, high = frame_window(frame) if self.window_source == "frame" else self.window
        if self.halvings and frame.shape == reduced_shape(self.stored_shape, self.halvings):
            reduced = windowed(frame, low, high)
            return to_bytes(onto_grid(reduced, self.orient, self.to_grid, self.halvings))
        array = self.orient.image(frame)
        steps = self.to_grid.steps
        if steps and isinstance(steps[0], Crop):  # windowing is done pixel by pixel, so only on what is kept
            array, steps = steps[0].image(array), steps[1:]
        grey = windowed(array, low, high)
        for step in steps:
            grey = step.image(grey)
        return to_bytes(grey)

    def upright(self, frame: Image) -> Image:
        """Return a stored frame (H, W) in its corrected orientation, in the values that ``window`` means."""
        return self.orient.image(self._shades(frame))

    def _shades(self, frame: Image) -> Image:
        return _shades(frame, self.curve, self.padding)

    def boxes_to_grid(self, boxes_on_source: ArrayLike) -> FloatArray:
        """Return boxes (N, 4) on the grid; nothing is clipped, so ``boxes_to_source`` undoes it."""
        return self.to_grid.boxes(boxes_on_source).astype(np.float32)

    def boxes_to_source(self, boxes_on_grid: ArrayLike) -> FloatArray:
        """Return boxes (N, 4) in source pixels of the corrected orientation."""
        return self.to_grid.undo_boxes(boxes_on_grid).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which ``from_json`` makes an equal plan."""
        return {
            "orient": self.orient.to_json(),
            "to_grid": self.to_grid.to_json(),
            "window": list(self.window),
            "window_source": self.window_source,
            "laterality": self.laterality.value,
            "notes": list(self.notes),
            "halvings": self.halvings,
            "curve": None if self.curve is None else asdict(self.curve),
            "padding": None if self.padding is None else asdict(self.padding),
        }

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Plan:
        """Make the plan that ``to_json`` described.

        Raises:
            DatasetError: the description is not one of a plan.
        """
        try:
            low, high = content["window"]
            source = content["window_source"]
            if source not in get_args(WindowSource):
                raise ValueError(f"window_source {source!r}")
            return Plan(
                chain_from_json(content["orient"]),
                chain_from_json(content["to_grid"]),
                (float(low), float(high)),
                source,
                Laterality(content["laterality"]),
                tuple(content["notes"]),
                int(content.get("halvings", 0)),
                None if content.get("curve") is None else DetectorCurve(**content["curve"]),
                None if content.get("padding") is None else Padding(**content["padding"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"not the description of a plan: {error!r}") from error


def plan_image(
    image: Source, laterality: Laterality | None, modality: Modality, config: PreprocessConfig
) -> Plan:
    """Look at a few frames of an image and decide how to render it.

    How a volume lies, and whether it is turned by 180 degrees, says ``comoto.sources.volume_orientation``. A
    mammogram is never turned; where its pixels clearly lean on one side, they decide whether it is mirrored,
    so that the chest wall is at column 0 even if the image is stored the other way round.

    Args:
        image: an open file.
        laterality: from the data set's table; None takes the side that the pixels touch, or that of a header
            which agrees with them. Other headers are not asked: they are wrong on a whole public data set.
        modality: decides orientation rule and window formula.
        config: grid, crop, mirror and window.

    Raises:
        DicomError: the file holds several frames where a mammogram was expected, one where a volume was, or
            its rescale is not usable.
    """
    header = image.header
    if modality is Modality.MAMMOGRAM and header.num_frames != 1:
        raise DicomError(
            f"{header.path}: a mammogram was expected, but the file holds {header.num_frames} frames"
        )
    if modality is Modality.TOMOSYNTHESIS:
        header.require_volume()
    frames = list(frames_in_parallel(image, [0, *(_sampled(header) if header.num_frames > 1 else ())]))
    curve, said = detector_curve(header, frames[0], modality, config.for_processing)
    padding, padded = find_padding(header.padding, frames, curve)
    frames = [_shades(frame, curve, padding) for frame in frames]
    orientation = _orientation(header, frames[0], laterality, modality)
    orient = _orient(frames[0], orientation)
    notes = [*orientation.notes, *(note for note in (said, padded) if note)]
    frames = frames[1:] or frames
    breast = find_breast([orient.image(frame) for frame in frames])
    about = header if curve is None else replace(header, window=None)  # it speaks of other values
    window = choose_window(about, modality, config.window, _values(frames, orient, breast))
    chest_wall = (breast.side() if orientation.from_breast else None) or orientation.chest_wall
    if laterality is not None and chest_wall is not laterality:
        notes.append(
            f"the {laterality} breast leans on the other side of the image; its pixels decide the mirroring"
        )
    if not breast.found:
        notes.append("no breast found; the whole image is kept")
    notes.extend([window.note] if window.note else [])
    to_grid = _to_grid(orient.out_shape, breast, chest_wall, orientation.is_upside_down, config)
    side = orientation.laterality or chest_wall
    halvings = 0
    # reduced frames lack the extremes of full ones, and mix padding with what is beside it
    if config.decode != "full" and window.source != "frame" and padding is None:
        halvings = halvings_that_fit(orient, to_grid, image.reductions, 2 if config.decode == "auto" else 1)
    shown = (window.low, window.high)
    return Plan(orient, to_grid, shown, window.source, side, tuple(notes), halvings, curve, padding)


def pad(array: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Fill with zeros at the bottom and at the right, so that boxes stay where they are.

    Args:
        array: (..., h, w).
        rows: of the result, at least h.
        columns: of the result, at least w.

    Raises:
        ValueError: the array is larger than the result.
    """
    missing = (rows - array.shape[-2], columns - array.shape[-1])
    if min(missing) < 0:
        raise ValueError(f"an array of shape {array.shape} does not fit into {rows} x {columns}")
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, missing[0]), (0, missing[1])])


def _shades(frame: Image, curve: DetectorCurve | None, padding: Padding | None) -> Image:
    shades = frame if curve is None else curve.values(frame)
    return shades if padding is None else padding.blackened(frame, shades)


def _sampled(header: ImageHeader) -> list[int]:
    return sorted({int(share * header.num_frames) for share in _SAMPLED_SHARES})


def _orientation(
    header: ImageHeader, first: Image, laterality: Laterality | None, modality: Modality
) -> VolumeOrientation:
    if modality is Modality.TOMOSYNTHESIS:
        return volume_orientation(header, first, laterality)
    touched = touching_side(first)
    notes = () if laterality else ("laterality was taken from the pixels",)
    return VolumeOrientation(False, laterality or touched, False, laterality, True, notes)


def _orient(first: Image, orientation: VolumeOrientation) -> Chain:
    shape = (first.shape[0], first.shape[1])
    return Chain(shape, (Rotate180(*shape),) if orientation.is_turned else ())


def _values(frames: list[Image], orient: Chain, breast: BreastRegion) -> NDArray[Any]:
    """Return frame values of the breast on every n-th pixel of the frames."""
    few = [thinned(orient.image(frame)) for frame in frames]
    return np.concatenate([frame[breast.on(frame.shape)] for frame in few])


def _to_grid(
    shape: Shape, breast: BreastRegion, chest_wall: Laterality, is_upside_down: bool, config: PreprocessConfig
) -> Chain:
    steps: list[Step] = []
    if config.crop_air and breast.bounds() != (0, 0, *shape):
        steps.append(Crop(*shape, *breast.bounds()))
        shape = steps[-1].out_shape
    if is_upside_down:
        steps.append(Rotate180(*shape))
    is_right = (chest_wall is Laterality.RIGHT) != is_upside_down  # after that turn
    if is_right if config.mirror else is_upside_down:
        steps.append(Mirror(*shape))
    if config.fit == "stretch":
        steps.append(Resize(*shape, config.rows, config.columns))
    else:
        steps.append(Resize.to_fit(shape, (config.rows, config.columns), config.max_scale))
    return Chain(steps[0].in_shape, tuple(steps))
