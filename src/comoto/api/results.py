"""What came out: pictures, figures, reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from comoto.api.given import loaded_manifest, named_split
from comoto.arguments import AnyPath, as_path, as_path_or_none, as_table, wrong_type
from comoto.defaults import CONSTANT_DEPTH, HIT_IOU, HIT_RADIUS, REPLICATES
from comoto.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from comoto.detections import Detections
    from comoto.evaluation.challenge import ChallengeResult
    from comoto.evaluation.intervals import IntervalKind
    from comoto.evaluation.mammogram import MammogramResult, Rule
    from comoto.records import Manifest
    from comoto.tables import TableSource


def draw(
    image: AnyPath,
    *,
    manifest: Manifest | AnyPath | None = None,
    slice_index: int | None = None,
    laterality: str | None = None,
    predictions: AnyPath | pd.DataFrame | None = None,
    min_score: float = 0.0,
) -> Image.Image:
    """Draw one slice with its lesions (green) and detections (orange) (``comoto draw``).

    Args:
        image: an image file or a folder of slices; with ``manifest`` an ``image_id`` of it.
        manifest: from ``index``, or the folder it was saved in; it knows the lesions.
        slice_index: 0-based; the slice of the first lesion or strongest detection if not given, else the
            middle one.
        laterality: side of the body, ``L`` or ``R``, where no manifest knows it; a volume that is stored the
            other way round is turned.
        predictions: table that ``predict`` wrote; with ``manifest`` also a data frame.
        min_score: detections below are not drawn.

    Returns:
        A picture in the corrected orientation; ``.save("slice.png")`` writes it, ``numpy.asarray`` makes an
        array of it.

    Examples:
        >>> import comoto
        >>> picture = comoto.draw("volume.dcm", slice_index=2)
        >>> picture.save("slice.png")
    """
    from comoto.records import Laterality
    from comoto.report import draw as drawing

    if manifest is not None:
        if laterality is not None:
            raise ConfigError("laterality: the manifest knows the side of the body; leave one of them out")
        table = None if predictions is None else as_table("predictions", predictions)
        if not isinstance(image, str):
            raise wrong_type("image", image, "an image_id of the manifest (text)")
        return drawing.draw_record(loaded_manifest(manifest), image, slice_index, table, min_score)
    if laterality not in (None, "L", "R"):
        raise ConfigError(f"laterality={laterality!r}: expected 'L' or 'R'")
    side = None if laterality is None else Laterality(laterality)
    found = as_path_or_none("predictions", predictions)  # the sidecar beside it says what is of this file
    return drawing.draw_file(as_path("image", image), slice_index, side, found, min_score)


def evaluate(
    predictions: AnyPath | pd.DataFrame | Sequence[Detections],
    labels: AnyPath | pd.DataFrame | None = None,
    boxes: AnyPath | pd.DataFrame | None = None,
    *,
    manifest: Manifest | AnyPath | None = None,
    split: str | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    min_radius: float | str = HIT_RADIUS,
    interval: IntervalKind = "percentile",
    published_metric: bool = False,
    depth_tolerance: str | None = None,
    slice_mm: float | None = None,
    constant_depth: float = CONSTANT_DEPTH,
    by: str | Sequence[str] = (),
    lesion_table: AnyPath | pd.DataFrame | None = None,
    operating_point: str | None = None,
) -> ChallengeResult:
    """Score predictions with the DBTex challenge's metric (``comoto evaluate``).

    Args:
        predictions: the challenge's submission file, from any program, its rows as a data frame, COCO results
            (``.json``), or what ``predict_volume`` found in each volume.
        labels: one row a volume, as released with BCS-DBT; a file or a data frame.
        boxes: one row a lesion, as released with BCS-DBT; a file or a data frame.
        manifest: in place of ``labels`` and ``boxes``: from ``index``, or the folder it was saved in.
        split: with ``manifest``: ``train``, ``validation`` or ``test``; all volumes if None.
        bootstrap: replicates over patients; 0 gives no intervals.
        seed: of the bootstrap.
        min_radius: least hit radius in pixels; the challenge's is 100. With ``manifest`` also in millimetres,
            such as ``"8.5mm"``.
        interval: ``percentile``, or ``bca``, which is corrected for few patients.
        published_metric: also score with the published code's metric, to see what its defects are worth.
        depth_tolerance: such as ``"10mm"``: also score with this tolerance in depth.
        slice_mm: distance of neighbouring slices, where the files do not say it; alone, for ``"10mm"``.
        constant_depth: share of the stack at which every depth is put, to see what depth is worth.
        by: columns of the manifest or the tables, or of ``lesion_table``, to score parts by; ``size`` and
            ``type`` among them; ``"type,size"`` or a list.
        lesion_table: more columns of lesions and volumes (docs/tables.md).
        operating_point: such as ``"0.5fp"`` or ``"sensitivity=0.9"``: choose a threshold, which
            ``result.beside.point`` holds.

    Returns:
        The metric, and ``beside`` it what other rules and denominators give.

    Examples:
        >>> import comoto
        >>> manifest = comoto.Manifest.load("manifests/bcs-dbt")
        >>> result = comoto.evaluate("predictions.csv", manifest=manifest, split="test", min_radius=8)
        >>> result
        ChallengeResult(mean_sensitivity_positive 0.775: 2 lesions, 2 volumes, 2 patients)
        >>> round(result.metric["sensitivity_at_2_fps_all"], 3)
        0.7
    """
    from comoto.evaluation import challenge
    from comoto.evaluation.beside import beside
    from comoto.evaluation.challenge_tables import read_predictions
    from comoto.evaluation.coco_results import is_coco, volume_results
    from comoto.evaluation.cohort import BesideOptions, Cohort
    from comoto.evaluation.intervals import Resampling
    from comoto.evaluation.operating_point import Wanted, made_by_of
    from comoto.evaluation.operating_point import operating_point as chosen_point
    from comoto.evaluation.own_volumes import HitRadius
    from comoto.evaluation.published import published_challenge_metric

    radius, draws = HitRadius.parse(min_radius), Resampling(bootstrap, seed, interval)
    told = None if lesion_table is None else as_table("lesion_table", lesion_table)
    names = [name.strip() for name in by.split(",")] if isinstance(by, str) else tuple(by)
    options = BesideOptions(depth_tolerance, slice_mm, constant_depth, names, told)
    wanted = None if operating_point is None else Wanted.parse(operating_point)
    given: TableSource = _predictions(predictions, volumes=True)
    if manifest is not None and labels is None and boxes is None:
        cohort = Cohort.of_manifest(_split_of(manifest, split), radius)
    elif manifest is None and labels is not None and boxes is not None and split is None:
        cohort = Cohort(as_table("labels", labels), as_table("boxes", boxes), radius.pixels())
    else:
        raise ConfigError("give labels and boxes, or a manifest, perhaps with a split of it")
    rules, columns = cohort.rules(options), cohort.columns(options)
    table = volume_results(Path(str(given)), cohort.image_keys) if is_coco(given) else given
    found = read_predictions(table, cohort.truth)
    result = challenge.score(found, cohort.truth, draws, cohort.min_radius)
    more = beside(found, cohort.truth, rules, cohort.units(), columns, draws)
    if wanted is not None:
        about = {"min_radius": cohort.min_radius, "made_by": made_by_of(given)}
        more = replace(more, point=chosen_point(found, cohort.truth, wanted, draws, about))
    result = replace(result, warnings=(*cohort.warnings, *result.warnings), beside=more)
    if published_metric:
        old = published_challenge_metric(table, cohort.labels, cohort.boxes, cohort.min_radius)
        return replace(result, published=old)
    return result


def evaluate_mammograms(
    predictions: AnyPath | pd.DataFrame | Sequence[Detections],
    manifest: Manifest | AnyPath,
    *,
    split: str | None = None,
    rule: Rule = "iou",
    iou: float = HIT_IOU,
    bootstrap: int = 0,
    seed: int = 0,
    interval: IntervalKind = "percentile",
    published_metric: bool = False,
) -> MammogramResult:
    """Draw the FROC of predictions on mammograms (``comoto evaluate --mammogram-predictions``).

    Args:
        predictions: what ``predict`` wrote with ``mammograms=True``, or any table, as a file or a data frame,
            with the columns image_id, x1, y1, x2, y2, score.
        manifest: from ``index``, or the folder it was saved in; all its lesions count.
        split: ``train``, ``validation`` or ``test``: predictions on images of other splits are refused.
        rule: what a hit is: ``iou``, or ``center`` of the prediction inside the lesion's box.
        iou: least overlap of a hit.
        bootstrap: replicates over patients; 0 gives no intervals.
        seed: of the bootstrap.
        interval: ``percentile``, or ``bca``, which is corrected for few patients.
        published_metric: also score with the published code's metric, to see what its defects are worth.

    Examples:
        >>> import comoto
        >>> manifest = comoto.Manifest.load("manifests/vindr-mammo")
        >>> truth = manifest.lesions.assign(score=0.9)  # as if a model had found just these
        >>> comoto.evaluate_mammograms(truth, manifest).metric["mean_sensitivity"]
        1.0
    """
    from comoto.evaluation import mammogram
    from comoto.evaluation.coco_results import is_coco, mammogram_results
    from comoto.evaluation.intervals import Resampling
    from comoto.evaluation.published import published_on_manifest

    images, found = _split_of(manifest, split), _predictions(predictions, volumes=False)
    found = mammogram_results(Path(str(found))) if is_coco(found) else found
    draws = Resampling(bootstrap, seed, interval)
    result = mammogram.evaluate_mammograms(found, images, rule, iou, bootstrap=draws)
    if published_metric:
        return replace(result, published=published_on_manifest(found, images))
    return result


def write_report(
    out: AnyPath,
    manifest: Manifest | AnyPath,
    predictions: Mapping[str, AnyPath],
    *,
    split: str | None = None,
    runs: Mapping[str, AnyPath] | None = None,
    min_radius: float | str = HIT_RADIUS,
    bootstrap: int = REPLICATES,
    seed: int = 0,
    interval: IntervalKind = "percentile",
    pictures: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write one page on what one or several models found in a manifest's volumes (``comoto report``).

    The figures are those of ``evaluate`` with the same arguments.

    Args:
        out: the HTML file, which needs nothing else.
        manifest: from ``index``, or the folder it was saved in; its files are opened for pictures.
        predictions: the challenge's submission file of each model by the name it gets on the page; every
            other model is compared with the first one.
        split: ``train``, ``validation`` or ``test``; all volumes if None.
        runs: run folders whose training is shown, by name; the first decides the window of the pictures.
        min_radius: least hit radius in pixels, or in millimetres such as ``"8.5mm"``; the challenge's is 100.
        bootstrap: replicates over patients, at least 1.
        seed: of the bootstrap and of the random baseline.
        interval: ``percentile``, or ``bca``, which is corrected for few patients.
        pictures: False decodes no image: no pictures, no random baseline, and sizes of lesions in pixels
            unless ``min_radius`` is in millimetres. Headers are read only to see whether ``min_radius`` fits
            the images, as ``evaluate`` does: of at most 20 volumes, or, if it is in millimetres, of all with
            a lesion.
        overwrite: replace an existing file.

    Returns:
        ``out``.

    Examples:
        >>> import comoto
        >>> page = comoto.write_report(
        ...     "report.html",
        ...     "manifests/bcs-dbt",
        ...     {"My model": "predictions.csv"},
        ...     split="test",
        ...     min_radius=8,
        ...     bootstrap=100,
        ...     pictures=False,
        ... )
        >>> "My model" in page.read_text()
        True
    """
    from comoto.evaluation.intervals import Resampling
    from comoto.evaluation.own_volumes import HitRadius
    from comoto.report.results_report import ReportOptions, write_results_report

    options = ReportOptions(
        split=named_split(split),
        runs={name: as_path(f"runs[{name!r}]", folder) for name, folder in (runs or {}).items()},
        radius=HitRadius.parse(min_radius),
        draws=Resampling(bootstrap, seed, interval),
        pictures=pictures,
    )
    tables = {name: as_path(f"predictions[{name!r}]", table) for name, table in predictions.items()}
    return write_results_report(
        as_path("out", out), loaded_manifest(manifest), tables, options, overwrite=overwrite
    )


def _predictions(
    given: AnyPath | pd.DataFrame | Sequence[Detections], *, volumes: bool
) -> Path | pd.DataFrame:
    from comoto.detections import Detections, mammogram_table, prediction_table

    images = [given] if isinstance(given, Detections) else given
    if isinstance(images, list | tuple) and all(isinstance(one, Detections) for one in images):
        return (prediction_table if volumes else mammogram_table)(images)
    return as_table("predictions", given)


def _split_of(manifest: Manifest | AnyPath, split: str | None) -> Manifest:
    from comoto.evaluation.own_volumes import part_of

    return part_of(loaded_manifest(manifest), named_split(split))
