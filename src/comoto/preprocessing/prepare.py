"""Preparing a data set: decode, plan and render every image once, in parallel, resumable.

Each image is its own task. What is finished stays finished: files get their names when they are complete,
an interrupted run goes on where it was, and a file that cannot be read does not stop the others.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from joblib import Parallel, delayed

from comoto.config import PreprocessConfig, config_hash
from comoto.errors import ComotoError, ConfigError, DatasetError, OutputExistsError
from comoto.geometry import clip_boxes
from comoto.geometry.boxes import area
from comoto.output_files import whole_file, write_json
from comoto.preprocessing.plan import Plan, plan_image
from comoto.preprocessing.slices import PrepareOptions, slices_to_prepare
from comoto.preprocessing.store import (
    FORMAT,
    PreparedStore,
    image_files,
    read_json,
    read_settings,
)
from comoto.progress import progress_bar, say
from comoto.records import ImageRecord, IntArray, Manifest, Modality
from comoto.sources import Source, open_source

_LISTED = 10


@dataclass(frozen=True)
class _Outcome:
    """What became of one image."""

    image_id: str
    error: str | None = None


def prepare(
    manifest: Manifest,
    out: Path,
    config: PreprocessConfig,
    options: PrepareOptions | None = None,
    *,
    workers: int = 2,
    skip_broken: bool = False,
) -> PreparedStore:
    """Render every image of a manifest into a store.

    Calling it again on the same folder renders only what is missing or whose source file changed. The disk
    takes about planes x h x w bytes.

    Args:
        manifest: images and lesions.
        out: folder of the store; new, empty, or a store of the same settings.
        config: grid, crop, mirror and window.
        options: which slices; all by default.
        workers: processes.
        skip_broken: leave out images that cannot be prepared and note them in the store's manifest.

    Raises:
        OutputExistsError: ``out`` holds something else.
        ConfigError: ``out`` is a store with other settings; the differences are named.
        DatasetError: some images cannot be prepared; all others are finished and the broken ones are listed.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    options = options or PrepareOptions()
    _open_folder(out, manifest.name, config, options)
    records = list(manifest.records())
    todo = [record for record in records if not _is_finished(record, out, options)]
    if len(todo) < len(records):
        say(f"{len(records) - len(todo)} of {len(records)} images are already prepared")
    broken = _render_all(todo, out, config, options, workers)
    if broken and (not skip_broken or len(broken) == len(records)):
        raise DatasetError(_listing(broken, len(records)))
    _save_manifest(_without(manifest, broken), out)
    store = PreparedStore(out)
    say(summary(store))
    return store


def summary(store: PreparedStore) -> str:
    """Return what a store holds and what was odd, as lines of text."""
    plans = {image_id: store.plan(image_id) for image_id in store.image_ids}
    planes = sum(len(store.slice_indices(image_id)) for image_id in store.image_ids)
    size = sum(image_files(store.folder, image_id)[0].stat().st_size for image_id in store.image_ids)
    lines = [f"{len(store)} images, {planes} planes, {size / 2**20:.1f} MiB in {store.folder}"]
    from_file = sum(plan.window_source == "file" for plan in plans.values())
    lines.append(f"window: {from_file} from the file, {len(plans) - from_file} from percentiles")
    lost = sum(len(store.record(name).lesions) - len(store.lesions_on_grid(name)[0]) for name in plans)
    if lost:
        lines.append(f"note: {lost} lesions lie outside the cropped breast and cannot be trained on")
    notes = [f"{image_id}: {note}" for image_id, plan in plans.items() for note in plan.notes]
    lines.extend(f"note: {note}" for note in notes[:_LISTED])
    if len(notes) > _LISTED:
        lines.append(f"note: and {len(notes) - _LISTED} more, in images/*.json")
    return "\n".join(lines)


def _open_folder(out: Path, name: str, config: PreprocessConfig, options: PrepareOptions) -> None:
    """Make the store's folder, or check that it is one of the same settings."""
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out}: is a file; name a folder")
    if not (out / "store.json").is_file():
        if out.is_dir() and any(out.iterdir()):
            raise OutputExistsError(f"{out}: is not empty and holds no prepared store; name another folder")
        (out / "images").mkdir(parents=True, exist_ok=True)
        write_json(out / "store.json", _settings(name, config, options))
        return
    old_config, old_options, old_name = read_settings(out)
    if old_name != name:
        raise OutputExistsError(f"{out}: holds images of '{old_name}', not of '{name}'; name another folder")
    old = old_config.model_dump() | old_options.model_dump()
    new = config.model_dump() | options.model_dump()
    differences = [f"{key} {old[key]} there, {new[key]} asked" for key in new if old[key] != new[key]]
    if differences:
        raise ConfigError(
            f"{out}: was prepared with other settings ({'; '.join(differences)}); name another folder"
        )
    (out / "images").mkdir(exist_ok=True)


def _settings(name: str, config: PreprocessConfig, options: PrepareOptions) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "manifest": name,
        "config": config.model_dump(mode="json"),
        "options": options.model_dump(mode="json"),
        "config_hash": config_hash(config),
    }


def _is_finished(record: ImageRecord, out: Path, options: PrepareOptions) -> bool:
    """Say whether the image was rendered from the file that is there now, with the slices wanted now."""
    planes, about = image_files(out, record.image_id)
    if not (planes.is_file() and about.is_file()):
        return False
    content = read_json(about)
    if not record.path.is_file() or content["source"] != _source(record):
        return False
    wanted = slices_to_prepare(content["num_slices"], _lesion_slices(record), options)
    return bool(content["slice_indices"] == wanted.tolist())


def _render_all(
    todo: list[ImageRecord], out: Path, config: PreprocessConfig, options: PrepareOptions, workers: int
) -> list[_Outcome]:
    """Render images in parallel and return those that failed, in the order given."""
    if not todo:
        return []
    run = Parallel(n_jobs=min(workers, len(todo)), return_as="generator_unordered", batch_size=1)
    outcomes: Iterable[_Outcome] = run(delayed(_render_one)(record, out, config, options) for record in todo)
    failed: dict[str, _Outcome] = {}
    with progress_bar("prepare", len(todo)) as advance:
        for outcome in outcomes:
            if outcome.error is not None:
                failed[outcome.image_id] = outcome
            advance(1)
    return [failed[record.image_id] for record in todo if record.image_id in failed]


def _render_one(
    record: ImageRecord, out: Path, config: PreprocessConfig, options: PrepareOptions
) -> _Outcome:
    """Render one image in a worker; input errors become part of the outcome."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        if not record.path.is_file():
            raise DatasetError(f"{record.path}: no such file")
        with open_source(record.path) as image:
            _check(record, image)
            plan = plan_image(image, record.laterality, record.modality, config)
            _check_lesions(record, plan)
            num_slices = image.header.num_frames
            chosen = slices_to_prepare(num_slices, _lesion_slices(record), options)
            planes, about = image_files(out, record.image_id)
            about.unlink(missing_ok=True)
            _write_planes(image, chosen, plan, planes)
    except ComotoError as error:
        return _Outcome(record.image_id, str(error))
    finally:
        cv2.setNumThreads(threads)
    content = {
        "image_id": record.image_id,
        "source": _source(record),
        "num_slices": num_slices,
        "slice_indices": chosen.tolist(),
        "plan": plan.to_json(),
    }
    write_json(about, content)
    return _Outcome(record.image_id)


def _check(record: ImageRecord, image: Source) -> None:
    """Compare the table with the file."""
    frames = image.header.num_frames
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


def _check_lesions(record: ImageRecord, plan: Plan) -> None:
    rows, columns = plan.source_shape
    boxes = [lesion.box_xyxy for lesion in record.lesions]
    for box, inside in zip(boxes, area(clip_boxes(boxes, plan.source_shape)), strict=True):
        if inside == 0:
            raise DatasetError(
                f"{record.image_id}: lesion box {box} lies outside the image of {columns} x {rows} pixels"
            )


def _write_planes(image: Source, chosen: IntArray, plan: Plan, path: Path) -> None:
    """Write planes one by one; memory holds one frame, and the file appears when it is complete.

    The file is written, not mapped: a full disk is then an error and not a crash of the process.
    """
    shape = (len(chosen), *plan.grid_shape)
    with whole_file(path) as part, part.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in image.frames(chosen.tolist()):
            file.write(plan.render(frame).tobytes())


def _lesion_slices(record: ImageRecord) -> list[int]:
    return [lesion.slice_index or 0 for lesion in record.lesions]


def _source(record: ImageRecord) -> dict[str, Any]:
    """Return what tells a changed source file from an unchanged one."""
    status = record.path.stat()
    return {"path": str(record.path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _listing(broken: list[_Outcome], total: int) -> str:
    parts = [f"{outcome.image_id}: {outcome.error}" for outcome in broken[:_LISTED]]
    if len(broken) > _LISTED:
        parts.append(f"and {len(broken) - _LISTED} more")
    if len(broken) == total:
        return f"none of {total} images can be prepared: {'; '.join(parts)}"
    parts.append("repair the files and run the same command again, or leave them out with --skip-broken")
    return f"{len(broken)} of {total} images cannot be prepared, the others are finished: {'; '.join(parts)}"


def _without(manifest: Manifest, broken: list[_Outcome]) -> Manifest:
    if not broken:
        return manifest
    kept = manifest.select(~manifest.images["image_id"].isin([outcome.image_id for outcome in broken]))
    notes = tuple(f"left out {outcome.image_id}: {outcome.error}" for outcome in broken)
    return Manifest(kept.name, kept.images, kept.lesions, kept.notes + notes)


def _save_manifest(manifest: Manifest, out: Path) -> None:
    """Write the manifest beside its place and move it there, its marker file last."""
    part = out / "manifest.part"
    shutil.rmtree(part, ignore_errors=True)
    manifest.save(part)
    (out / "manifest").mkdir(exist_ok=True)
    for path in sorted(part.iterdir(), key=lambda path: path.name == "manifest.json"):
        path.replace(out / "manifest" / path.name)
    part.rmdir()
