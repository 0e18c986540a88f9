"""Rendering the planes of one image: what a worker process does, for all images that show the same file.

The file is read once for its fingerprint, which is a fraction of what decoding takes and leaves it in memory
for the decoder. Only then is it known whether its planes are there already.

Wrong input becomes part of the outcome, so that one bad file among thousands stops nothing. A worker that is
killed (by a decoder's crash, or for want of memory) leaves a marker behind that says what it was reading.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from comoto.config import PreprocessConfig
from comoto.errors import ComotoError, DatasetError
from comoto.geometry import clip_boxes
from comoto.geometry.boxes import area
from comoto.preprocessing.fingerprint import fingerprint, stamp
from comoto.preprocessing.plan import plan_image
from comoto.preprocessing.planes import PlanesInfo, planes_key, sound_info, take_planes, write_planes
from comoto.preprocessing.slices import PrepareOptions, slices_to_prepare
from comoto.preprocessing.store_folder import WORKING, ImageNote, reopen
from comoto.records import ImageRecord, Modality
from comoto.sources import Source, SourceKind
from comoto.sources.isolated import Limits, open_image, reading_within

_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True)
class RenderTask:
    """An image to render, unless its planes are there.

    Attributes:
        name: of the marker, unlike that of any other task.
        stamp: of the image's files when the work was planned.
        records: the images that show it, at least one, of one path and one way to render it.
        kind: what the look at the files told; see ``open_source``.
    """

    name: str
    stamp: str
    records: tuple[ImageRecord, ...]
    kind: SourceKind | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one image.

    Attributes:
        error: why it cannot be prepared; None if it can.
        note: what the store is to know about it; None if it cannot be prepared.
    """

    image_id: str
    error: str | None = None
    note: ImageNote | None = None


@dataclass(frozen=True)
class How:
    """How images are rendered.

    Attributes:
        out: folder of the store.
        config: grid, crop, mirror and window.
        options: which slices.
        reuse: other stores to take planes from.
        isolate: read in a worker process with these limits.
    """

    out: Path
    config: PreprocessConfig
    options: PrepareOptions
    reuse: tuple[Path, ...] = ()
    isolate: Limits | None = None


def render(task: RenderTask, how: How) -> list[Outcome]:
    """Render the planes of a task into the store and say for each of its images whether they fit it.

    Raises:
        OSError: the store cannot be written to.
    """
    marker = how.out / WORKING / task.name
    marker.touch()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with reading_within(how.isolate):
            return _outcomes(task, how)
    except ComotoError as error:
        return [Outcome(record.image_id, str(error)) for record in task.records]
    except OSError as error:
        if error.errno in _OF_THE_MACHINE or _is_inside(error.filename, how.out):
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


def _outcomes(task: RenderTask, how: How) -> list[Outcome]:
    """Find the planes in the store, or in another one, or render them."""
    record = task.records[0]
    print_ = fingerprint(record.path, task.kind)
    key = planes_key(print_, record, how.config, how.options)
    info = sound_info(how.out, key)
    for other in how.reuse:
        info = info or take_planes(how.out, key, other)
    if info is None:
        outcomes = _render(task, key, how)
    else:
        outcomes = [check(each, info.num_slices, info.plan.source_shape) for each in task.records]
    return [
        replace(each, note=ImageNote(each.image_id, task.stamp, print_, key)) if each.error is None else each
        for each in outcomes
    ]


def _render(task: RenderTask, key: str, how: How) -> list[Outcome]:
    record = task.records[0]
    with open_image(record.path, task.kind) as image:
        frames = image.header.num_frames
        outcomes = [check(each, frames) for each in task.records]
        if all(outcome.error is not None for outcome in outcomes):
            return outcomes
        plan = plan_image(image, record.laterality, record.modality, how.config)
        lesions = [lesion.slice_index or 0 for lesion in record.lesions]
        info = PlanesInfo(plan, frames, slices_to_prepare(frames, lesions, how.options))
        outcomes = [check(each, frames, plan.source_shape) for each in task.records]
        if any(outcome.error is None for outcome in outcomes):
            reopen(how.out)
            write_planes(how.out, key, info, _planes(task, image, info))
    return outcomes


def _planes(task: RenderTask, image: Source, info: PlanesInfo) -> Iterator[NDArray[np.uint8]]:
    """Yield the planes; what was read is in the end known to be what the fingerprint was taken of.

    Raises:
        DatasetError: the file was changed while it was read.
    """
    for frame in image.frames(info.slice_indices.tolist(), info.plan.halvings):
        yield info.plan.render(frame)
    path = task.records[0].path
    if stamp(path, task.kind) != task.stamp:
        raise DatasetError(f"{path}: was changed while it was being prepared; run the same command again")


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
