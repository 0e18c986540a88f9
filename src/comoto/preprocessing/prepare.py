"""Preparing a data set: decode, plan and render every image once, in parallel, resumable.

What is finished stays finished: files get their names when they are complete, an interrupted or killed run
goes on where it was, a file that cannot be read does not stop the others, and pixels that are there already
(under another image id, in another store, from before the files were moved) are not rendered again.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

from comoto.config import PreprocessConfig
from comoto.errors import ComotoError, DatasetError
from comoto.output_files import write_json
from comoto.preprocessing.fingerprint import fingerprint, stamp
from comoto.preprocessing.planes import planes_key, read_info, take_planes
from comoto.preprocessing.render import Outcome, Task, check, render
from comoto.preprocessing.slices import PrepareOptions
from comoto.preprocessing.spread import Job, Work, spread
from comoto.preprocessing.store import PreparedStore, image_file, read_json, read_settings
from comoto.preprocessing.store_folder import (
    alone,
    finish,
    open_folder,
    reopen,
    sweep_planes,
    without_paths,
)
from comoto.progress import say, track
from comoto.records import ImageRecord, Manifest

BROKEN = "broken.json"
_LISTED = 10
_READERS = 8


@dataclass(frozen=True)
class _Known:
    """An image, recognised by its content."""

    record: ImageRecord
    stamp: str
    fingerprint: str
    key: str

    def write(self, out: Path, *, with_stamp: bool) -> None:
        """Write down that the image's planes are in the store; a file that says so already is left alone."""
        path = image_file(out, self.record.image_id)
        content = {
            "image_id": self.record.image_id,
            "stamp": self.stamp if with_stamp else "",
            "fingerprint": self.fingerprint,
            "planes": self.key,
        }
        if not path.is_file() or read_json(path) != content:
            write_json(path, content)


def prepare(
    manifest: Manifest,
    out: Path,
    config: PreprocessConfig,
    options: PrepareOptions | None = None,
    *,
    workers: int = 2,
    skip_broken: bool = False,
) -> PreparedStore:
    """Render every image of a manifest into a store: ``prepare_with`` without its rarer choices."""
    return prepare_with(manifest, out, config, options, Work(workers=workers, skip_broken=skip_broken))


def prepare_with(
    manifest: Manifest,
    out: Path,
    config: PreprocessConfig,
    options: PrepareOptions | None = None,
    work: Work | None = None,
) -> PreparedStore:
    """Render every image of a manifest into a store.

    Calling it again on the same folder renders only what is missing or whose source file changed. The disk
    takes about planes x h x w bytes. The store does not depend on workers, backend or interruptions.

    Args:
        manifest: images and lesions.
        out: folder of the store; new, empty, or a store of the same settings.
        config: grid, crop, mirror and window.
        options: which slices; all by default.
        work: how; see ``Work``.

    Raises:
        OutputExistsError: ``out`` holds something else, or another preparation is working there.
        ConfigError: ``out`` is a store with other settings; the differences are named.
        DatasetError: some images cannot be prepared; all others are finished, and ``broken.json`` in the
            store names all the broken ones.
    """
    options, work = options or PrepareOptions(), work or Work()
    out = out.absolute()  # a worker may have been started in another folder
    for other in work.reuse:
        read_settings(other)
    open_folder(out, manifest.name, config, options)
    with alone(out):
        records = list(manifest.records())
        known, unreadable = _identify(records, out, config, options)
        job = partial(render, out=out, config=config, options=options, isolate=work.isolate)
        broken = _make(known, out, job, work)
        broken = _in_order(unreadable | broken, records, keep_paths=work.keep_paths)
        _write_broken(broken, out)
        if broken and (not work.skip_broken or len(broken) == len(records)):
            raise DatasetError(_listing(broken, len(records)))
        keys = {item.record.image_id: item.key for item in known if item.record.image_id not in broken}
        kept = manifest if work.keep_paths else without_paths(manifest)
        finish(out, _without(kept, broken), keys)
        sweep_planes(out, set(keys.values()))
    store = PreparedStore(out)
    say(summary(store))
    return store


def summary(store: PreparedStore) -> str:
    """Return what a store holds and what was odd, as lines of text."""
    plans = {image_id: store.plan(image_id) for image_id in store.image_ids}
    files = {store.planes_path(image_id): len(store.slice_indices(image_id)) for image_id in store.image_ids}
    size = sum(path.stat().st_size for path in files)
    planes = sum(len(store.slice_indices(image_id)) for image_id in store.image_ids)
    lines = [f"{len(store)} images, {planes} planes, {size / 2**20:.1f} MiB in {store.folder}"]
    if len(files) < len(store):
        lines.append(f"{len(store) - len(files)} images show the same as others and are stored once")
    from_file = sum(plan.window_source == "file" for plan in plans.values())
    lines.append(f"window: {from_file} from the file, {len(plans) - from_file} from percentiles")
    lines.extend(_lost_lesions(store))
    images: dict[str, list[str]] = {}
    for image_id, plan in plans.items():
        for note in plan.notes:
            images.setdefault(note, []).append(image_id)
    notes = [_note(note, image_ids) for note, image_ids in images.items()]
    lines.extend(notes[:_LISTED])
    if len(notes) > _LISTED:
        lines.append(f"note: and {len(notes) - _LISTED} more notes; 'comoto inspect' shows them")
    return "\n".join(lines)


def _note(note: str, image_ids: list[str]) -> str:
    """Return one line for all images of which the same is to be said."""
    if len(image_ids) == 1:
        return f"note: {image_ids[0]}: {note}"
    return f"note: {len(image_ids)} images: {note} (such as {image_ids[0]}; 'comoto inspect' shows all)"


def _lost_lesions(store: PreparedStore) -> list[str]:
    """Say which lesions the crop to the breast has cut away."""
    lost = [
        f"note: {image_id}: the lesion {lesion.box_xyxy}"
        f"{'' if lesion.slice_index is None else f' on slice {lesion.slice_index}'} lies outside the cropped "
        f"breast ({share:.0%} of its box is left) and cannot be trained on"
        for image_id in store.image_ids
        for lesion, share in store.lost_lesions(image_id)
    ]
    if len(lost) <= _LISTED:
        return lost
    return [
        *lost[:_LISTED],
        f"note: and {len(lost) - _LISTED} more lesions; PreparedStore.lost_lesions names them",
    ]


def _identify(
    records: list[ImageRecord], out: Path, config: PreprocessConfig, options: PrepareOptions
) -> tuple[list[_Known], dict[str, str]]:
    """Recognise images by content; return also why some cannot be read, by image id.

    Threads, for the time goes into waiting for the disk.
    """

    def one(record: ImageRecord) -> _Known | Outcome:
        try:
            now, print_ = _recognised(record, out)
        except (ComotoError, OSError) as error:
            return Outcome(record.image_id, str(error))
        return _Known(record, now, print_, planes_key(print_, record, config, options))

    with ThreadPoolExecutor(_READERS) as pool:
        found = list(track(pool.map(one, records), "look at the files", len(records)))
    known = [item for item in found if isinstance(item, _Known)]
    return known, {item.image_id: item.error or "" for item in found if isinstance(item, Outcome)}


def _recognised(record: ImageRecord, out: Path) -> tuple[str, str]:
    """Return stamp and fingerprint of an image; its file is opened only if the stamp is a new one."""
    now, path = stamp(record.path), image_file(out, record.image_id)
    before = read_json(path) if path.is_file() else {}
    if before.get("stamp") == now and isinstance(before.get("fingerprint"), str):
        return now, str(before["fingerprint"])
    return now, fingerprint(record.path)


def _make(known: list[_Known], out: Path, job: Job, work: Work) -> dict[str, str]:
    """Get the planes of all images into the store; return why some cannot be prepared, by image id."""
    by_key: dict[str, list[_Known]] = defaultdict(list)
    for item in known:
        by_key[item.key].append(item)
    there: list[list[Outcome]] = []
    tasks: list[Task] = []
    for key, items in by_key.items():
        records = tuple(item.record for item in items)
        info = read_info(out, key)
        if info is None and any(take_planes(out, key, other) for other in work.reuse):
            info = read_info(out, key)
        if info is None:
            tasks.append(Task(key, records))
        else:
            shape = info.plan.source_shape
            there.append([check(record, info.num_slices, shape) for record in records])
    if there:
        say(f"{sum(map(len, there))} of {len(known)} images are already prepared")
    if tasks:
        reopen(out)
    images = {item.record.image_id: item for item in known}
    broken: dict[str, str] = {}
    outcomes = chain(there, track(spread(job, tasks, out, work), "prepare", len(tasks)))
    for outcome in chain.from_iterable(outcomes):
        if outcome.error is None:
            images[outcome.image_id].write(out, with_stamp=work.keep_paths)
        else:
            broken[outcome.image_id] = outcome.error
    return broken


def _in_order(broken: dict[str, str], records: list[ImageRecord], *, keep_paths: bool) -> dict[str, str]:
    """Return the broken images in the order of the manifest, paths replaced where they are not kept."""
    ordered = {}
    for record in records:
        if record.image_id in broken:
            reason = broken[record.image_id]
            ordered[record.image_id] = (
                reason if keep_paths else reason.replace(str(record.path), record.image_id)
            )
    return ordered


def _write_broken(broken: dict[str, str], out: Path) -> None:
    """List all broken images in the store; a list of former ones goes."""
    if broken:
        write_json(out / BROKEN, broken)
    else:
        (out / BROKEN).unlink(missing_ok=True)


def _listing(broken: dict[str, str], total: int) -> str:
    parts = [f"{image_id}: {reason}" for image_id, reason in list(broken.items())[:_LISTED]]
    if len(broken) > _LISTED:
        parts.append(f"and {len(broken) - _LISTED} more, all of them in {BROKEN} in the store")
    if len(broken) == total:
        return f"none of {total} images can be prepared: {'; '.join(parts)}"
    parts.append("repair the files and run the same command again, or leave them out with --skip-broken")
    return f"{len(broken)} of {total} images cannot be prepared, the others are finished: {'; '.join(parts)}"


def _without(manifest: Manifest, broken: dict[str, str]) -> Manifest:
    if not broken:
        return manifest
    kept = manifest.select(~manifest.images["image_id"].isin(list(broken)))
    notes = tuple(f"left out {image_id}: {reason}" for image_id, reason in broken.items())
    return replace(kept, notes=kept.notes + notes)
