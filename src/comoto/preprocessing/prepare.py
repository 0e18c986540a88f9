"""Preparing a data set: decode, plan and render every image once, in parallel, resumable.

What is finished stays finished: files get their names when they are complete, an interrupted or killed run
goes on where it was, a file that cannot be read does not stop the others, and pixels that are there already
(under another image id, in another store, from before the files were moved) are not rendered again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from comoto.config import PreprocessConfig
from comoto.defaults import WORKERS
from comoto.errors import ComotoError, DatasetError
from comoto.output_files import write_json
from comoto.prefetch import prefetch
from comoto.preprocessing.fingerprint import stamp
from comoto.preprocessing.planes import planes_files, planes_key, sound_info
from comoto.preprocessing.render import How, Outcome, RenderTask, check, render
from comoto.preprocessing.slices import PrepareOptions
from comoto.preprocessing.store import FORMAT, PreparedStore, read_settings
from comoto.preprocessing.store_folder import (
    BROKEN,
    READERS,
    ImageNote,
    alone,
    finish,
    open_folder,
    read_note,
    sweep_planes,
    tidy,
    without_paths,
)
from comoto.preprocessing.workers import Execution, run_tasks
from comoto.progress import say, track
from comoto.records import ImageRecord, Manifest
from comoto.sources import SourceKind, look_at_file

Item = TypeVar("Item")
Result = TypeVar("Result")

_LISTED = 10


@dataclass(frozen=True)
class _Seen:
    """An image whose files are there.

    Attributes:
        stamp: of its files now.
        note: what the store knows of it, if its files have not changed since.
        kind: what the look at it told; None for what is no DICOM file.
    """

    record: ImageRecord
    stamp: str
    note: ImageNote | None
    kind: SourceKind | None


def prepare(
    manifest: Manifest,
    out: Path,
    config: PreprocessConfig,
    options: PrepareOptions | None = None,
    *,
    workers: int = WORKERS,
    skip_broken: bool = False,
) -> PreparedStore:
    """Render every image of a manifest into a store: ``prepare_with`` without its rarer choices."""
    return prepare_with(manifest, out, config, options, Execution(workers=workers, skip_broken=skip_broken))


def prepare_with(
    manifest: Manifest,
    out: Path,
    config: PreprocessConfig,
    options: PrepareOptions | None = None,
    work: Execution | None = None,
) -> PreparedStore:
    """Render every image of a manifest into a store.

    Calling it again on the same folder renders only what is missing or damaged, or whose source file changed;
    for that it reads all planes that are there. The disk takes about planes x h x w bytes. The store does not
    depend on workers, backend or interruptions.

    Args:
        manifest: images and lesions.
        out: folder of the store; new, empty, or a store of the same settings.
        config: grid, crop, mirror and window.
        options: which slices; all by default.
        work: how; see ``Execution``.

    Raises:
        OutputExistsError: ``out`` holds something else, or another preparation is working there.
        ConfigError: ``out`` is a store with other settings; the differences are named.
        DatasetError: some images cannot be prepared; all others are finished, and ``broken.json`` in the
            store names all the broken ones.
    """
    options, work = options or PrepareOptions(), work or Execution()
    out = out.absolute()  # a worker may have been started in another folder
    for other in work.reuse:
        if read_settings(other).format != FORMAT:
            say(f"{other}: is a store of a former format; nothing is taken from it")
    how = How(out, config, options, tuple(other.absolute() for other in work.reuse), work.isolate)
    with alone(out):
        open_folder(out, manifest.name, config, options)
        with tidy(out):
            _fill(manifest, how, work)
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


def _fill(manifest: Manifest, how: How, work: Execution) -> None:
    """Get the planes of all images into the store, and finish it if none is broken."""
    records = list(manifest.records())
    seen, broken = _look_at_files(records, how.out)
    there = _look_at_planes(seen, how)
    keys: dict[str, str] = {}
    for outcome in chain(there, _render_others(seen, {each.image_id for each in there}, how, work)):
        if outcome.note is None:
            broken[outcome.image_id] = outcome.error or ""
        else:
            (outcome.note if work.keep_paths else replace(outcome.note, stamp="")).write(how.out)
            keys[outcome.image_id] = outcome.note.planes
    broken = _in_order(broken, records, keep_paths=work.keep_paths)
    _write_broken(broken, how.out)
    if broken and (not work.skip_broken or len(broken) == len(records)):
        raise DatasetError(_listing(broken, len(records)))
    kept = manifest if work.keep_paths else without_paths(manifest)
    finish(how.out, _without(kept, broken), keys)
    sweep_planes(how.out, set(keys.values()))


def _look_at_files(records: list[ImageRecord], out: Path) -> tuple[list[_Seen], dict[str, str]]:
    """Find out which images are known; return also why some cannot be read, by image id."""

    def one(record: ImageRecord) -> _Seen | Outcome:
        try:
            kind = look_at_file(record.path)
            now = stamp(record.path, kind)
        except (ComotoError, OSError) as error:
            return Outcome(record.image_id, str(error))
        note = read_note(out, record.image_id)
        return _Seen(record, now, note if note is not None and note.stamp == now else None, kind)

    found = _in_threads(one, records, "look at the files")
    unreadable = {item.image_id: item.error or "" for item in found if isinstance(item, Outcome)}
    return [item for item in found if isinstance(item, _Seen)], unreadable


def _look_at_planes(seen: list[_Seen], how: How) -> list[Outcome]:
    """Return the outcome of every image whose planes are in the store, to the bit."""
    by_key: dict[str, list[tuple[ImageRecord, ImageNote]]] = defaultdict(list)
    for item in seen:
        if item.note is not None:
            key = planes_key(item.note.fingerprint, item.record, how.config, how.options)
            by_key[key].append((item.record, replace(item.note, planes=key)))

    def one(key: str) -> list[Outcome]:
        info = sound_info(how.out, key)
        if info is None:
            if planes_files(how.out, key)[1].exists():
                say(f"{key}: prepared planes are damaged; they are rendered anew")
            return []
        checked = [(check(each, info.num_slices, info.plan.source_shape), note) for each, note in by_key[key]]
        return [replace(each, note=note) if each.error is None else each for each, note in checked]

    outcomes = list(chain.from_iterable(_in_threads(one, list(by_key), "check what is there")))
    if outcomes:
        say(f"{len(outcomes)} of {len(seen)} images are already prepared")
    return outcomes


def _render_others(seen: list[_Seen], done: set[str], how: How, work: Execution) -> Iterable[Outcome]:
    """Yield the outcomes of the images that are not done; those of one file and one look are one task."""
    by_name: dict[str, list[_Seen]] = defaultdict(list)
    for item in seen:
        if item.record.image_id not in done:
            by_name[planes_key(item.stamp, item.record, how.config, how.options)].append(item)
    tasks = [
        RenderTask(name, items[0].stamp, tuple(item.record for item in items), items[0].kind)
        for name, items in by_name.items()
    ]
    job = partial(render, how=how)
    yield from chain.from_iterable(track(run_tasks(job, tasks, how.out, work), "prepare", len(tasks)))


def _in_threads(one: Callable[[Item], Result], items: list[Item], label: str) -> list[Result]:
    """Return the result of each item; threads, for the time goes into the disk and into hashing."""
    return list(track(prefetch(one, items, READERS), label, len(items))) if items else []


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
