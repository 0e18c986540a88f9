"""Rendering the planes of one image: what a worker process does, for all images that show the same pixels.

Wrong input becomes part of the outcome, so that one bad file among thousands stops nothing. A worker that is
killed (by a decoder's crash, or for want of memory) leaves a marker behind that says what it was reading.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from comoto.config import PreprocessConfig
from comoto.errors import ComotoError, DatasetError
from comoto.geometry import clip_boxes
from comoto.geometry.boxes import area
from comoto.preprocessing.plan import plan_image
from comoto.preprocessing.planes import PlanesInfo, write_planes
from comoto.preprocessing.slices import PrepareOptions, slices_to_prepare
from comoto.records import ImageRecord, Modality
from comoto.sources.isolated import Limits, open_image, reading_within

WORKING = "working"
_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True)
class Task:
    """Planes to render.

    Attributes:
        key: their name in the store.
        records: the images that show them, at least one; the first is read.
    """

    key: str
    records: tuple[ImageRecord, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one image.

    Attributes:
        error: why it cannot be prepared; None if it can.
    """

    image_id: str
    error: str | None = None


def render(
    task: Task,
    out: Path,
    config: PreprocessConfig,
    options: PrepareOptions,
    isolate: Limits | None = None,
) -> list[Outcome]:
    """Render the planes of a task into the store and say for each of its images whether they fit it.

    Args:
        task: what to render.
        out: folder of the store.
        config: grid, crop, mirror and window.
        options: which slices.
        isolate: read in a worker process with these limits.

    Raises:
        OSError: the store cannot be written to.
    """
    marker = out / WORKING / task.key
    marker.touch()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with reading_within(isolate):
            return _render(task, out, config, options)
    except ComotoError as error:
        return [Outcome(record.image_id, str(error)) for record in task.records]
    except OSError as error:
        if error.errno in _OF_THE_MACHINE or _is_inside(error.filename, out):
            raise
        reason = f"{task.records[0].path}: cannot be read: {error.strerror or error}"
        return [Outcome(record.image_id, reason) for record in task.records]
    finally:
        cv2.setNumThreads(threads)
        marker.unlink(missing_ok=True)


def check(record: ImageRecord, num_slices: int, shape: tuple[int, int] | None = None) -> Outcome:
    """Compare the data set's table with the image.

    Args:
        record: what the table says.
        num_slices: of the image.
        shape: (rows, columns) of the image in its corrected orientation; None does not look at boxes.
    """
    try:
        _check_slices(record, num_slices)
        if shape is not None:
            _check_boxes(record, shape)
    except DatasetError as error:
        return Outcome(record.image_id, str(error))
    return Outcome(record.image_id)


def _render(task: Task, out: Path, config: PreprocessConfig, options: PrepareOptions) -> list[Outcome]:
    record = task.records[0]
    with open_image(record.path) as image:
        frames = image.header.num_frames
        outcomes = [check(each, frames) for each in task.records]
        if all(outcome.error is not None for outcome in outcomes):
            return outcomes
        plan = plan_image(image, record.laterality, record.modality, config)
        chosen = slices_to_prepare(frames, [lesion.slice_index or 0 for lesion in record.lesions], options)
        info = PlanesInfo(plan, frames, chosen)
        outcomes = [check(each, frames, plan.source_shape) for each in task.records]
        if any(outcome.error is None for outcome in outcomes):
            planes = (plan.render(frame) for frame in image.frames(chosen.tolist(), plan.halvings))
            write_planes(out, task.key, info, planes)
    return outcomes


def _check_slices(record: ImageRecord, frames: int) -> None:
    if record.num_slices is not None and record.num_slices != frames:
        raise DatasetError(f"{record.path}: holds {frames} slices, the table says {record.num_slices}")
    for lesion in record.lesions:
        if record.modality is Modality.TOMOSYNTHESIS and lesion.slice_index is None:
            raise DatasetError(f"{record.image_id}: a lesion of this volume names no slice")
        if not 0 <= (lesion.slice_index or 0) < frames:
            raise DatasetError(
                f"{record.image_id}: a lesion lies on slice {lesion.slice_index}, "
                f"but {record.path} has slices 0 to {frames - 1}"
            )


def _check_boxes(record: ImageRecord, shape: tuple[int, int]) -> None:
    boxes: Sequence[tuple[float, ...]] = [lesion.box_xyxy for lesion in record.lesions]
    for box, inside in zip(boxes, area(clip_boxes(boxes, shape)), strict=True):
        if inside == 0:
            rows, columns = shape
            raise DatasetError(
                f"{record.image_id}: lesion box {box} lies outside the image of {columns} x {rows} pixels"
            )


def _is_inside(filename: object, folder: Path) -> bool:
    """Say whether a file that caused an error belongs to the store."""
    return isinstance(filename, str | os.PathLike) and Path(filename).is_relative_to(folder)
