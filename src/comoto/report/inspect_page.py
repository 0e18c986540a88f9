"""The page of ``comoto inspect``: random cases of a prepared store, as training will see them.

Pictures are planes of the store with boxes on the grid: after orientation, window, crop, mirroring and
resizing. Names of people are not in a store; image ids, studies and labels of the data set are shown.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comoto.config import PreprocessConfig
from comoto.geometry import Crop, Mirror
from comoto.output_files import output_files
from comoto.preprocessing import prepare
from comoto.preprocessing.plan import Plan
from comoto.preprocessing.slices import PrepareOptions
from comoto.preprocessing.store import PreparedStore
from comoto.progress import track
from comoto.records import FloatArray, ImageRecord, IntArray, Manifest, Modality
from comoto.report.inputs import split_rows
from comoto.report.page import fill
from comoto.report.pictures import Box, PictureBox, picture, region_around
from comoto.report.wording import count

_CLOSE_UPS = 3
_STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Where the slices around a lesion are taken, in units of the reach within which training shows them."""
_REACH = 0.1
_NORMAL_SHARES = (0.25, 0.5, 0.75)
_LISTED_NOTES = 50
_LOOK = PreprocessConfig(rows=1024, columns=512)
_LOOK_SLICES = PrepareOptions(slices="sampled", step=8, reach=_REACH)
"""How images of a manifest are prepared to be looked at; with the default settings otherwise."""


Shown = dict[str, Any]
"""``picture`` of a case, and ``lines`` that stand below it."""


def inspect_folder(folder: Path, out: Path, cases: int, seed: int, *, overwrite: bool = False) -> Path:
    """Write the page of a prepared store, or of a manifest: then only the cases shown are prepared for it.

    Args:
        folder: what ``comoto prepare`` or ``comoto index`` wrote.
        out: the HTML file.
        cases: images to show.
        seed: of the draw.
        overwrite: replace an existing file.

    Raises:
        OutputExistsError: ``out`` exists.
        DatasetError: the folder is neither; or none of the chosen images can be prepared.
    """
    if (folder / "store.json").is_file() or not (folder / "manifest.json").is_file():
        return write_inspect_page(PreparedStore(folder), out, cases, seed, overwrite=overwrite)
    manifest = Manifest.load(folder)
    chosen = choose(list(manifest.records()), cases, seed)
    few = manifest.select(manifest.images["image_id"].isin(chosen))
    with tempfile.TemporaryDirectory(prefix="comoto-inspect-") as name:
        store = prepare(few, Path(name), _LOOK, _LOOK_SLICES, workers=1, skip_broken=True)
        return write_inspect_page(store, out, cases, seed, overwrite=overwrite)


def write_inspect_page(
    store: PreparedStore, out: Path, cases: int, seed: int, *, overwrite: bool = False
) -> Path:
    """Write the page; the same store, number and seed give the same page.

    Args:
        store: any finished store.
        out: the HTML file.
        cases: images to show: half with lesions and half without, where there are as many.
        seed: of the draw.
        overwrite: replace an existing file.

    Returns:
        ``out``.

    Raises:
        OutputExistsError: ``out`` exists.
    """
    chosen = choose([store.record(name) for name in store.image_ids], cases, seed)
    shown = [_case(store, name) for name in track(chosen, "draw cases", len(chosen))]
    page = fill("inspect.html.j2", _summary(store) | {"cases": shown, "seed": seed})
    output_files({out: page.encode()}, overwrite)
    return out


def choose(records: Sequence[ImageRecord], cases: int, seed: int) -> list[str]:
    """Return ids of random images, those with lesions first; what one kind lacks the other fills up."""
    rng = np.random.default_rng(seed)
    positive = [record.image_id for record in records if record.lesions]
    negative = [record.image_id for record in records if not record.lesions]
    few = min(len(negative), cases // 2)
    many = min(len(positive), cases - few)
    few = min(len(negative), cases - many)
    drawn = [
        [kind[number] for number in sorted(rng.permutation(len(kind))[:wanted])]
        for kind, wanted in ((positive, many), (negative, few))
    ]
    return drawn[0] + drawn[1]


def _summary(store: PreparedStore) -> dict[str, Any]:
    infos = {name: store.info(name) for name in store.image_ids}
    planes = sum(len(info.slice_indices) for info in infos.values())
    notes = [f"{name}: {note}" for name, info in infos.items() for note in info.plan.notes]
    windows = Counter(info.plan.window_source for info in infos.values())
    return {
        "name": store.manifest.name,
        "holds": f"{count(len(store), 'image')}, {count(planes, 'plane')}, "
        f"grid {store.config.rows} x {store.config.columns}",
        "splits": split_rows(store.manifest),
        "windows": ", ".join(f"{number} {_WINDOWS[source]}" for source, number in sorted(windows.items())),
        "left_out": [note for note in store.manifest.notes if note.startswith("left out ")],
        "notes": notes[:_LISTED_NOTES],
        "num_notes": len(notes),
        "settings": store.config.model_dump(mode="json") | store.options.model_dump(mode="json"),
    }


_WINDOWS = {
    "file": "from the file",
    "percentile": "from percentiles of the breast",
    "frame": "every frame from its own minimum to its own maximum",
}


def _case(store: PreparedStore, name: str) -> dict[str, Any]:
    """Show an image: whole planes, and close-ups of each lesion through the slices, a row a lesion."""
    record, info = store.record(name), store.info(name)
    boxes, slices = store.lesions_on_grid(name)
    planes = _planes_to_show(info.slice_indices, info.num_slices, slices, record)
    kind = "volume" if record.modality is Modality.TOMOSYNTHESIS else "mammogram"
    what = count(len(record.lesions), "lesion") if record.lesions else "no lesion"
    title = f"{name}: {kind}, {record.view_key}, {record.split.value}, {record.label}, {what}"
    return {
        "title": title,
        "facts": _facts(store, record, info.plan, len(boxes)),
        "notes": info.plan.notes,
        "whole": [_whole(store, record, int(plane), boxes, slices) for plane in planes],
        "around": [
            _around(store, record, box, int(position))
            for box, position in list(zip(boxes, slices, strict=True))[:_CLOSE_UPS]
        ],
    }


def _planes_to_show(
    slice_indices: IntArray, num_slices: int, lesion_slices: IntArray, record: ImageRecord
) -> list[int]:
    """Return planes: those of the lesions, or three of a volume without."""
    if len(lesion_slices):
        wanted = sorted(set(lesion_slices.tolist()))[:_CLOSE_UPS]
    elif record.modality is Modality.MAMMOGRAM:
        wanted = [0]
    else:
        wanted = [int(share * num_slices) for share in _NORMAL_SHARES]
    return sorted({int(np.abs(slice_indices - index).argmin()) for index in wanted})


def _whole(
    store: PreparedStore, record: ImageRecord, plane: int, boxes: FloatArray, slices: IntArray
) -> Shown:
    index = int(store.slice_indices(record.image_id)[plane])
    marks = [
        PictureBox(_box(box), "lesion", "" if position == index else f"slice {position}")
        for box, position in zip(boxes, slices, strict=True)
    ]
    place = _place(store, record, index)
    alt = f"{record.image_id}, {place}, {count(len(marks), 'box', 'boxes')}"
    return {"picture": picture(store.plane(record.image_id, plane), marks, alt), "lines": [place]}


def _around(store: PreparedStore, record: ImageRecord, box: FloatArray, position: int) -> list[Shown]:
    """Return close-ups of a lesion through the slices within reach, its own one in the middle."""
    indices, num_slices = store.slice_indices(record.image_id), store.num_slices(record.image_id)
    wanted = [position + step * _REACH * num_slices for step in _STEPS] if num_slices > 1 else [position]
    planes = sorted({int(np.abs(indices - index).argmin()) for index in wanted})
    shown = []
    for plane in planes:
        pixels, index = store.plane(record.image_id, plane), int(indices[plane])
        place = _place(store, record, index) + (", annotated" if index == position else "")
        alt = f"{record.image_id}, close-up, {place}"
        mark = PictureBox(_box(box), "lesion" if index == position else "other")
        close_up = picture(pixels, [mark], alt, region_around(_box(box), pixels.shape))
        shown.append({"picture": close_up, "lines": [place]})
    return shown


def _place(store: PreparedStore, record: ImageRecord, index: int) -> str:
    if record.modality is Modality.MAMMOGRAM:
        return "mammogram"
    return f"slice {index} of 0-{store.num_slices(record.image_id) - 1}"


def _facts(
    store: PreparedStore, record: ImageRecord, plan: Plan, on_grid: int
) -> tuple[tuple[str, str], ...]:
    low, high = plan.window
    prepared = len(store.slice_indices(record.image_id))
    steps = plan.to_grid.steps
    done = ["turned by 180 degrees"] if plan.orient.steps else ["as stored"]
    done += [
        f"cropped to rows {step.top}-{step.bottom}, columns {step.left}-{step.right}"
        for step in steps
        if isinstance(step, Crop)
    ]
    done += ["mirrored" for step in steps if isinstance(step, Mirror)]
    facts = [
        ("Window", f"{low:.0f} to {high:.0f}, {_WINDOWS[plan.window_source]}"),
        ("Shape", f"{_by(plan.source_shape)} to {_by(plan.grid_shape)}"),
        ("Orientation", ", ".join(done)),
    ]
    if record.modality is Modality.TOMOSYNTHESIS:
        facts.append(("Slices", f"{prepared} of {store.num_slices(record.image_id)} prepared"))
    if record.lesions:
        words = Counter(lesion.category for lesion in record.lesions)
        facts.append(("Lesions", ", ".join(f"{number} {word}" for word, number in words.items())))
    if on_grid < len(record.lesions):
        facts.append(("Not on the grid", count(len(record.lesions) - on_grid, "lesion outside the crop")))
    return tuple(facts)


def _by(shape: Sequence[int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _box(box: FloatArray) -> Box:
    x1, y1, x2, y2 = (float(value) for value in box)
    return x1, y1, x2, y2
