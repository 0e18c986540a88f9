"""The focus head of a student: fitted on its best weights after the training, kept in its checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from comoto.config import FocusConfig, TrainConfig
from comoto.detectors.about import read_about
from comoto.detectors.checkpoint import save_focus
from comoto.detectors.device import autocast, resolve_precision
from comoto.detectors.focus_head import FocusHead
from comoto.detectors.focus_map import box_means, signed_parts
from comoto.geometry import clip_boxes
from comoto.inference.model import Model, load_model
from comoto.inference.volume import slice_indices
from comoto.preprocessing.plan import pad
from comoto.preprocessing.store import PreparedStore
from comoto.progress import progress_bar, say
from comoto.records import FloatArray, IntArray
from comoto.training.focus_fit import Float64Array, Sighting, fit_weights, prior_of

LEAST_LESIONS = 8
"""Fewer lesions than these say too little of depth."""
_LEAST_SLICES = 3
_SEED = 11
"""Draws the moved boxes, apart from all else that the run's seed draws."""
_MOVED, _STRETCHED = 0.12, 0.2
"""Deviation of the shift of a box, as a share of its sides, and of the logarithm of their stretch."""


def finish_focus(run: Path, store: PreparedStore, image_ids: Iterable[str], config: TrainConfig) -> None:
    """Give a trained run the focus head that its settings ask for; nothing happens where it has it.

    Args:
        run: the folder of a student whose training is over.
        store: its volumes.
        image_ids: those that it was trained on.
        config: of the run, as it was last resumed: it says where and how precisely to compute.

    Raises:
        CheckpointError: the checkpoint is damaged.
        DatasetError: planes of the store are.
    """
    settings = config.focus
    before, about, _ = read_about(run)
    if not settings.fit:
        if about.focus is not None:
            say("the focus head is taken away: focus.fit=false")
            save_focus(run, None, settings)
        return
    if about.focus is not None and before.focus == settings:
        return
    model, _ = load_model(run, role="student", device=config.device)
    model = replace(model, precision=resolve_precision(config.precision, model.device))
    head = fit_focus(model, store, image_ids, settings)
    if head is not None or about.focus is not None:
        save_focus(run, head, settings)


def fit_focus(
    model: Model, store: PreparedStore, image_ids: Iterable[str], settings: FocusConfig
) -> FocusHead | None:
    """Fit a focus head on the annotated lesions of volumes.

    Every ``selection.slice_step``-th prepared slice is looked at, without those that were prepared only
    because a lesion is near; volumes of fewer than three such slices are left out.

    Args:
        model: a student with its best weights, in eval mode.
        store: volumes, prepared as the model's preset says.
        image_ids: those that it was trained on, no others: a depth that was fitted on a patient is not judged
            on it.
        settings: how.

    Returns:
        The head; None, and a note, where the volumes show too few lesions.

    Raises:
        DatasetError: planes are damaged.
    """
    step = model.config.selection.slice_step
    annotated = [name for name in image_ids if len(store.lesions_on_grid(name)[0])]
    volumes = {name: _planes(store, name, step) for name in annotated}
    volumes = {name: planes for name, planes in volumes.items() if len(planes) >= _LEAST_SLICES}
    depths = [
        (index + 0.5) / store.num_slices(name)
        for name in volumes
        for index in store.lesions_on_grid(name)[1].tolist()
    ]
    if len(depths) < LEAST_LESIONS:
        say(
            f"note: no focus head: the training volumes show {len(depths)} lesions with a depth, "
            f"{LEAST_LESIONS} are needed; depths are read off the scores alone"
        )
        return None
    prior = prior_of(depths)
    sightings: list[Sighting] = []
    generator = np.random.default_rng([model.config.seed, _SEED])
    with progress_bar(f"fit the focus head on {model.device}", len(volumes)) as advance:
        for name, planes in volumes.items():
            boxes, lesion_slices = _copies(store, name, settings.jitter, generator)
            features = _features(model, store, name, planes, boxes, settings.level)
            slices, number = store.slice_indices(name)[planes], store.num_slices(name)
            for own, index in zip(np.moveaxis(features, 1, 0), lesion_slices.tolist(), strict=True):
                sightings.append(Sighting(own, slices, index, number))
            advance(1)
    weights = fit_weights(sightings, prior, settings.ridge, settings.spread)
    say(
        f"focus head: fitted on {len(depths)} lesions in {len(volumes)} volumes; they lie at "
        f"{prior.center:.2f} of the stack, give or take {prior.deviation:.2f}"
    )
    return FocusHead(settings.level, tuple(weights.tolist()), prior, len(depths))


def _planes(store: PreparedStore, name: str, step: int) -> IntArray:
    regular = store.regular_planes(name)
    return regular[slice_indices(len(regular), step)]


def _copies(
    store: PreparedStore, name: str, copies: int, generator: np.random.Generator
) -> tuple[FloatArray, IntArray]:
    """Return the lesions' boxes (N, 4) on the grid and moved copies of them, and the slice (N,) of each."""
    boxes, slices = store.lesions_on_grid(name)
    centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    moved = [boxes]
    for _ in range(copies):
        center = centers + generator.normal(0, _MOVED, centers.shape) * sides
        half = sides * np.exp(generator.normal(0, _STRETCHED, sides.shape)) / 2
        moved.append(np.concatenate([center - half, center + half], axis=1))
    all_boxes = clip_boxes(np.concatenate(moved), store.plan(name).grid_shape)
    return all_boxes.astype(np.float32), np.tile(slices, copies + 1)


@torch.inference_mode()
def _features(
    model: Model, store: PreparedStore, name: str, planes: IntArray, boxes: FloatArray, level: str
) -> Float64Array:
    """Return what a head may weigh: the mean of a level's signed parts in each plane and box, (S, N, 2 C)."""
    grid, size = model.config.preprocess, model.config.inference.batch_size
    found = []
    for begin in range(0, len(planes), size):
        chosen = planes[begin : begin + size].tolist()
        pixels = np.stack([pad(store.plane(name, plane), grid.rows, grid.columns) for plane in chosen])
        images = torch.from_numpy(pixels).unsqueeze(1).to(model.device).float() / 255
        with autocast(model.device, model.precision):
            features = model.detector.features(images)
        parts = signed_parts(features.levels[level])
        means = box_means(parts, [torch.from_numpy(boxes)] * len(chosen), features.image_shape)
        found.append(means.cpu().double().numpy().reshape(len(chosen), len(boxes), -1))
    return np.concatenate(found)
