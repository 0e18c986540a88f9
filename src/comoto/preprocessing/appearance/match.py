"""A store whose mammograms look like the slices of another one; all else in it stays as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from comoto.checksums import content_sha256
from comoto.defaults import How
from comoto.errors import ConfigError, DatasetError
from comoto.output_files import atomic_folder, refuse_folder
from comoto.preprocessing.appearance.gap import read_both
from comoto.preprocessing.appearance.looks import Look, Matched, RandomlyFiltered, equalised, fitted_gain
from comoto.preprocessing.appearance.sample import Appearance, Sampling
from comoto.preprocessing.appearance.spectra import PATCH, ByteImage, Floats
from comoto.preprocessing.planes import planes_files, write_planes
from comoto.preprocessing.store import FORMAT, PreparedStore, image_file, read_index, read_settings
from comoto.preprocessing.store_folder import finish, read_note_file, start_folder
from comoto.progress import say, track

MATCHING = 1
"""Counts up when the same stores give other pixels."""


def match(
    mammograms: PreparedStore, volumes: PreparedStore, out: Path, how: How, sampling: Sampling
) -> PreparedStore:
    """Write a store of the same mammograms that look like the slices of the volumes.

    One plane is in memory at a time. The store appears when it is complete.

    Args:
        mammograms: of the present format; all of its images are changed, whatever their split.
        volumes: of the same grid.
        out: folder of the new store.
        how: ``spectrum``, or one of its controls.
        sampling: the training patients that the change is fitted on; its seed also draws random filters.

    Raises:
        ConfigError: the stores were prepared with other settings, or there is no such way.
        DatasetError: as ``measure``; ``mammograms`` is of a former format or was matched already; or planes
            are damaged.
        OutputExistsError: ``out`` is not empty, or another command is writing it.
    """
    if how not in get_args(How):
        raise ConfigError(f"how: {how!r} is none of {', '.join(get_args(How))}")
    refuse_folder(out, "a prepared store", (), overwrite=False)
    _refuse_unfit(mammograms)
    one, other = read_both(mammograms, volumes, sampling)
    gain, shares = fitted_gain(one, other), other.histograms.mean(axis=0)
    looks: dict[How, Look] = {
        "spectrum": Matched(gain, shares),
        "histogram": Matched(None, shares),
        "clahe": equalised,
        "random_filter": RandomlyFiltered(gain, shares),
    }
    recipe = {"matching": MATCHING, "how": how, "seed": sampling.seed}
    recipe |= {"gain": gain.tolist(), "shares": shares.tolist()}
    about = _provenance(one, other, gain, how, sampling) | {"recipe": content_sha256(recipe)}
    with atomic_folder(out, overwrite=False) as part:
        start_folder(part, mammograms.manifest.name, mammograms.config, mammograms.options, about)
        _fill(part, mammograms, looks[how], about["recipe"])
    say(f"{len(mammograms)} mammograms in {out}, changed by {how}")
    return PreparedStore(out)


def _refuse_unfit(mammograms: PreparedStore) -> None:
    if read_settings(mammograms.folder).format != FORMAT:
        raise DatasetError(
            f"{mammograms.folder}: is a store of a former format, without checksums; prepare the mammograms "
            "into a new folder"
        )
    if mammograms.appearance is not None:
        raise DatasetError(
            f"{mammograms.folder}: was written by 'comoto appearance match' itself; name the store that it "
            "was made from"
        )


def _provenance(
    mammograms: Appearance, slices: Appearance, gain: Floats, how: How, sampling: Sampling
) -> dict[str, Any]:
    """Return what was fitted to what, without places and names of people."""
    half = PATCH // 2 + 1
    gains = {"cycles_per_pixel": [number / PATCH for number in range(half)]}
    gains |= {"along_chest_wall": gain[:half, 0].round(4).tolist()}
    gains |= {"across_chest_wall": gain[0, :half].round(4).tolist()}
    looked_at = {
        name: {"store": each.store, "training_patients": each.patients, "images": each.images}
        for name, each in (("mammograms", mammograms), ("slices", slices))
    }
    return {
        "how": how,
        "seed": sampling.seed,
        "split_file": None if sampling.split is None else sampling.split.hash,
        "fitted_to": looked_at,
        **({"gain": gains} if how in ("spectrum", "random_filter") else {}),
    }


def _fill(part: Path, mammograms: PreparedStore, look: Look, recipe: str) -> None:
    """Write all planes, what is known about each image, and the manifest last."""
    index = read_index(mammograms.folder)
    keys = {image_id: _new_key(index[image_id], recipe) for image_id in mammograms.image_ids}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for image_id in track(mammograms.image_ids, "match", len(mammograms)):
            key = keys[image_id]
            if not planes_files(part, key)[1].is_file():  # images that show the same share their planes
                info = replace(mammograms.info(image_id), sha256=())
                write_planes(part, key, info, _changed(mammograms, image_id, look, key))
            note = read_note_file(image_file(mammograms.folder, image_id))
            replace(note, planes=key).write(part)
    finally:
        cv2.setNumThreads(threads)
    finish(part, mammograms.manifest, keys)


def _changed(store: PreparedStore, image_id: str, look: Look, key: str) -> Iterator[ByteImage]:
    for number in range(store.info(image_id).shape[0]):
        rng = np.random.default_rng((int(key[:16], 16), number))
        yield look(np.array(store.plane(image_id, number)), rng)


def _new_key(key: str, recipe: str) -> str:
    """Return the name of changed planes: of what they were, and of all that decides the change."""
    return hashlib.sha256(f"{key} {recipe}".encode()).hexdigest()[:40]
