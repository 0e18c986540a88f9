"""What the depth of detections is worth: ways to read it off the scores along the stack, judged alike.

For each student and slice-to-volume rule the same boxes get one depth after the other: the spans that the
rule writes (``spread``, and ``strong`` of former versions), slices that several estimators read off the
profile of a detection's own boxes or of all boxes that overlap it (``overlapping``), and two constants; where
the run has a focus head, also what it makes of them, and its prior alone.

Columns: the challenge's mean sensitivity; then, over the lesions that some detection meets in the plane, by
the best scored of these whatever its depth: their number, the share within a quarter of the stack, the median
and the 90 % quantile of the error, in slices and as shares of the stack; for spans their median share of the
stack and how many of the lesions' slices they hold. A span counts at Z + Depth/2, as in the challenge, half a
slice behind its middle slice. Choose on validation volumes; look at test volumes once.

Run: python benchmarks/depth_rules.py --run demo-output/runs/scratch demo-output/runs/comoto \
         --store demo-output/prepared/bcs-dbt --split validation --min-radius 10.62
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from comoto import api, components
from comoto.config import AggregationConfig
from comoto.defaults import CONSTANT_DEPTH
from comoto.depth import Depths
from comoto.detections import Detections
from comoto.detectors.focus_head import FocusHead
from comoto.evaluation.challenge import challenge_metric
from comoto.evaluation.challenge_tables import SLICE_SHARE, challenge_tables, read_predictions, read_truth
from comoto.geometry.boxes import iou_matrix
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.inference.volume import detect_slices, slice_indices
from comoto.preprocessing.store import PreparedStore
from comoto.records import ImageRecord, Manifest, Split
from comoto.training.record import trained_on

Float64Array = np.ndarray[Any, np.dtype[np.float64]]
OVERLAP, LOBE = 0.3, 0.5
WIDTH = 48


@dataclass(frozen=True)
class Volume:
    """A volume and the detections on its slices."""

    record: ImageRecord
    num_slices: int
    slices: dict[int, Detections]


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    store = PreparedStore(options.store)
    for run in options.run:
        manifest = volumes(store, run, options)
        model = api.load_model(run)
        found = detected(store, model, manifest, options.slice_step)
        tables = challenge_tables(manifest)
        print(
            f"{run.name}: {len(found)} volumes, {len(manifest.lesions)} lesions\n{'rule, depth':<{WIDTH}}"
            f"{'mean sens.':>10}{'met':>5}{'within':>8}{'<= 10':>7}"
            f"{'median':>15}{'90 %':>15}{'span':>7}{'holds':>7}"
        )
        for kind in options.rules:
            for name, way in (WAYS | ways_of_head(model.focus)).items():
                rows = pd.concat([way(store, volume, kind) for volume in found])
                line = judged(rows, tables, options.min_radius)
                print(f"{f'{kind}, {name}':<{WIDTH}}{line}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="run folders of students")
    parser.add_argument("--store", type=Path, required=True, help="prepared store that holds all slices")
    parser.add_argument("--split", choices=[split.value for split in Split], required=True)
    parser.add_argument("--rules", nargs="+", default=["box_fusion"], choices=list(components.AGGREGATORS))
    parser.add_argument("--slice-step", type=int, default=2)
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def volumes(store: PreparedStore, run: Path, options: argparse.Namespace) -> Manifest:
    """Return the volumes of a split but for the patients that the run was trained on."""
    manifest = store.manifest.split(Split(options.split))
    return manifest.select(~manifest.images["patient_id"].isin(trained_on(run)[0]))


def detected(store: PreparedStore, model: Model, manifest: Manifest, step: int) -> list[Volume]:
    """Run the network once over every volume."""
    found = []
    for record in manifest.records():
        indices, planes = store.slice_indices(record.image_id), store.regular_planes(record.image_id)
        chosen = planes[slice_indices(len(planes), step)].tolist()
        rendered = ((int(indices[plane]), store.plane(record.image_id, plane)) for plane in chosen)
        number = store.num_slices(record.image_id)
        found.append(Volume(record, number, detect_slices(model, rendered, 16)))
    return found


Way = Callable[[PreparedStore, Volume, str], pd.DataFrame]


def spans(span: str, reading: str = "scores") -> Way:
    """Keep what a rule writes."""

    def way(store: PreparedStore, volume: Volume, kind: str) -> pd.DataFrame:
        settings = {"kind": kind, "span": span, "depth": reading}
        return table(store, volume, merged(volume, AggregationConfig.model_validate(settings)))

    return way


def single(
    depth: Callable[[Depths, int], Float64Array],
    *,
    overlapping: bool = False,
    reading: Literal["auto", "scores"] = "scores",
) -> Way:
    """Replace what a rule writes by one place along the stack, between slices too."""

    def way(store: PreparedStore, volume: Volume, kind: str) -> pd.DataFrame:
        found = merged(volume, AggregationConfig(kind=kind, depth=reading))
        depths = all_overlapping(found, volume) if overlapping else found.depths
        return table(store, volume, found).assign(Z=depth(depths, volume.num_slices), Depth=0)

    return way


def merged(volume: Volume, config: AggregationConfig) -> Detections:
    return aggregate(volume.slices, volume.num_slices, config)


def table(store: PreparedStore, volume: Volume, found: Detections) -> pd.DataFrame:
    keys = {key: getattr(volume.record, key) for key in ("image_id", "patient_id", "study_id", "view_key")}
    return replace(found.to_source(store.plan(volume.record.image_id)), **keys).to_dataframe()


def all_overlapping(found: Detections, volume: Volume) -> Depths:
    """Return the profiles of all boxes that overlap a detection, whatever they were merged into."""
    looked_at = np.asarray(sorted(volume.slices))
    profile = np.zeros((len(found), len(looked_at)))
    for place, index in enumerate(looked_at.tolist()):
        boxes = volume.slices[index]
        if len(found) and len(boxes):
            meets = iou_matrix(found.boxes_xyxy, boxes.boxes_xyxy) > OVERLAP
            profile[:, place] = np.where(meets, boxes.scores, 0.0).max(axis=1)
    return Depths.of(profile, looked_at)


def peak(depths: Depths, _: int) -> Float64Array:
    return depths.looked_at[depths.profile.argmax(axis=1)].astype(np.float64)


def parabola(depths: Depths, _: int) -> Float64Array:
    """Return the top of the parabola through the peak and its neighbours."""
    top = depths.profile.argmax(axis=1)
    inner = np.clip(top, 1, max(len(depths.looked_at) - 2, 1))
    rows = np.arange(len(top))
    before, at, after = (depths.profile[rows, inner + shift].astype(np.float64) for shift in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend < 0, (before - after) / 2 / np.where(bend < 0, bend, 1.0), 0.0)
    step = depths.looked_at[inner + 1] - depths.looked_at[inner]
    return peak(depths, 0) + np.where(top == inner, shift * step, 0.0)


def centroid(power: float) -> Callable[[Depths, int], Float64Array]:
    def depth(depths: Depths, _: int) -> Float64Array:
        weight = np.maximum(depths.profile.astype(np.float64), 1e-9) ** power
        return (weight * depths.looked_at).sum(axis=1) / weight.sum(axis=1)

    return depth


def lobe(depths: Depths, _: int) -> Float64Array:
    """Return the centroid of the squared scores around the peak, as far as they stay above half of it."""
    best = np.zeros(len(depths))
    for row, scores in enumerate(depths.profile.astype(np.float64)):
        top = int(scores.argmax())
        low = np.flatnonzero(scores < LOBE * scores[top])
        begin, end = max(low[low < top], default=-1) + 1, min(low[low > top], default=len(scores))
        weight = scores[begin:end] ** 2
        best[row] = (weight * depths.looked_at[begin:end]).sum() / weight.sum()
    return best


WAYS: dict[str, Way] = {
    "span spread": spans("spread"),
    "span strong": spans("strong"),
    "score-squared centroid": single(centroid(2)),
    "score-squared, overlapping": single(centroid(2), overlapping=True),
    "score-squared, lobe": single(lobe),
    "centroid": single(centroid(1)),
    "centroid of fourth powers": single(centroid(4)),
    "peak": single(peak),
    "parabola": single(parabola),
    "constant middle": single(lambda depths, slices: np.full(len(depths), (slices - 1) / 2)),
    f"constant {CONSTANT_DEPTH:.2f}": single(
        lambda depths, slices: np.full(len(depths), CONSTANT_DEPTH * slices)
    ),
}


def ways_of_head(head: FocusHead | None) -> dict[str, Way]:
    """Return what a focus head makes of the depth."""
    if head is None:
        return {}
    center = head.prior.center
    return {
        "span spread, focus head": spans("spread", "auto"),
        "focus head": single(lambda depths, _: depths.best_slice, reading="auto"),
        f"constant {center:.2f}, the head's prior": single(
            lambda depths, slices: np.full(len(depths), center * slices - 0.5)
        ),
    }


def judged(rows: pd.DataFrame, tables: tuple[pd.DataFrame, pd.DataFrame], radius: float) -> str:
    truth = read_truth(*tables, radius)
    found = read_predictions(rows, truth)
    met = np.flatnonzero((found.depth.in_plane >= 0) & ~np.isnan(found.scores))
    met = met[np.argsort(-found.scores[met], kind="stable")]
    _, first = np.unique(found.depth.in_plane[met], return_index=True)
    best = met[first]
    lesion = found.depth.in_plane[best]
    error = np.abs(found.depth.prediction_off[best])
    slices = truth.slice_tolerance[lesion] / SLICE_SHARE
    parts = [f"{np.median(part):.{digits}f}" for part, digits in ((error, 1), (error / slices, 3))]
    tail = [f"{np.quantile(part, 0.9):.{digits}f}" for part, digits in ((error, 1), (error / slices, 3))]
    begin, depth = found.places[best, 4], found.places[best, 5]
    inside = (begin <= truth.lesion_center[lesion, 2]) & (truth.lesion_center[lesion, 2] < begin + depth)
    span = f"{np.median(depth / slices):>7.2f}{inside.mean():>7.3f}" if (depth > 0).all() else ""
    metric = challenge_metric(rows, *tables, radius)["mean_sensitivity_positive"]
    return (
        f"{metric:>10.3f}{len(best):>5}"
        f"{(error <= SLICE_SHARE * slices).mean():>8.3f}{(error <= 10).mean():>7.3f}"
        f"{' / '.join(parts):>15}{' / '.join(tail):>15}{span}"
    )


if __name__ == "__main__":
    main()
