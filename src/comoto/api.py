"""One documented call per command of the command line.

``import comoto; comoto.predict_volume("runs/student", "volume.dcm")`` and so on. Paths may be text, and what
a call returned stands for its place, such as the store that ``prepare`` made. Every call raises subclasses of
``comoto.errors.ComotoError`` for wrong input, and a ``TypeError`` for an argument of a wrong type.
Coordinates: docs/coordinates.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comoto.arguments import AnyPath, as_path, as_path_or_none, as_paths, as_settings, as_table, wrong_type
from comoto.components import allow_code

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from comoto.config import TrainConfig
    from comoto.detections import Detections
    from comoto.detectors.about import KnownModel
    from comoto.detectors.published import ImportedRun
    from comoto.downloads.run import DownloadPlan
    from comoto.evaluation.challenge import ChallengeResult
    from comoto.evaluation.intervals import IntervalKind
    from comoto.evaluation.mammogram import MammogramResult, Rule
    from comoto.inference.model import Model
    from comoto.inference.onnx_export import ExportedModel
    from comoto.inference.predict import PredictionFiles
    from comoto.preprocessing.slices import PrepareOptions
    from comoto.preprocessing.spread import Work
    from comoto.preprocessing.store import PreparedStore
    from comoto.preprocessing.verify import StoreCheck
    from comoto.records import Manifest, Split
    from comoto.simulation import SimulatedPaths
    from comoto.splits.file import SplitFile
    from comoto.splits.make import MadeSplit
    from comoto.study.run import StudyOutcome
    from comoto.tables import TableSource
    from comoto.training.run import TrainResult

__all__ = [
    "allow_code",
    "download",
    "draw",
    "evaluate",
    "evaluate_mammograms",
    "export_onnx",
    "import_checkpoint",
    "index",
    "load_model",
    "plan_download",
    "predict",
    "predict_volume",
    "prepare",
    "run_study",
    "simulate",
    "split",
    "study_table",
    "train_student",
    "train_teacher",
    "verify_split",
    "verify_store",
    "write_report",
]


def simulate(
    out: AnyPath,
    *,
    size: str = "demo",
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    workers: int = 2,
) -> SimulatedPaths:
    """Simulate patients in the formats of BCS-DBT and VinDr-Mammo (``comoto simulate``).

    Args:
        out: folder to write to; an interrupted simulation continues there.
        size: ``tiny`` (128 x 64), ``demo`` (256 x 128), ``small`` (512 x 256) or ``full`` (2457 x 1996).
        overrides: such as ``seed=1``, ``tomosynthesis.train_patients=10``.
        values: the same as values, ``{"seed": 1}``.
        workers: processes.

    Returns:
        The two data sets' folders, ``.bcs_dbt`` and ``.vindr_mammo``.
    """
    from comoto.config import override
    from comoto.simulation import simulate as run
    from comoto.simulation import sized

    settings = override(sized(size), as_settings("overrides", overrides), values)
    return run(as_path("out", out), settings, workers)


def plan_download(
    dataset: str,
    out: AnyPath,
    *,
    patients: int | None = None,
    normals: int = 0,
    splits: Sequence[str] = (),
    seed: int = 0,
) -> DownloadPlan:
    """Find out what ``comoto download`` would fetch, how large it is and under which licence.

    Args:
        dataset: ``bcs-dbt``, ``cbis-ddsm``, ``cmmd`` or ``ea1141``.
        out: folder of the data set; its tables are fetched into it.
        patients: at most so many patients with a lesion of each split; all if None.
        normals: as many without any finding.
        splits: ``train``, ``validation``, ``test``; all if empty.
        seed: another seed chooses other patients.

    Returns:
        ``.text()`` for people, ``.missing_bytes``, ``.next_step()``; ``download`` takes it.
    """
    from comoto.downloads.run import Request
    from comoto.downloads.run import plan_download as run

    wanted = [_split(word) for word in splits]
    request = Request(patients, normals, tuple(word for word in wanted if word is not None), seed)
    return run(dataset, as_path("out", out), request)


def download(plan: DownloadPlan) -> None:
    """Download what is missing of a plan (``comoto download``); an interrupted download goes on.

    Args:
        plan: from ``plan_download``.
    """
    from comoto.downloads.run import run_download

    run_download(plan)


def index(
    dataset: str,
    root: AnyPath,
    *,
    tables: AnyPath | None = None,
    categories: Sequence[str] | None = None,
    allow_missing: bool = False,
    strict: bool = False,
    **options: Any,
) -> Manifest:
    """Read a data set's own files and tables (``comoto index``).

    Args:
        dataset: a name that ``comoto datasets`` lists.
        root: the folder that holds the images and the tables.
        tables: ``bcs-dbt``: folder of the tables, if it is not ``root``.
        categories: ``vindr-mammo``: findings that count as lesions; all inside the breast if not given.
        allow_missing: leave out images that are not on disk, and say so, instead of refusing.
        strict: refuse whatever the reader would leave out.
        options: further options of the data set's reader.

    Returns:
        Patients, studies, views and lesions; ``.save(folder)`` writes it, ``.summary()`` describes it.
    """
    from comoto.datasets import index as run

    named: dict[str, Any] = {
        "tables": as_path_or_none("tables", tables),
        "categories": categories or None,
        "allow_missing": allow_missing or None,
    }
    given = options | {name: value for name, value in named.items() if value is not None}
    return run(dataset, as_path("root", root), strict=strict, **given)


def split(
    manifests: Sequence[AnyPath],
    out: AnyPath | None = None,
    *,
    seed: int = 0,
    validation: float | None = None,
    test: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    held_out: Literal["validation", "test"] = "validation",
    fractions: Sequence[float] = (),
    shared_ids: bool = False,
    official: bool = True,
    drop_duplicates: bool = False,
    headers: bool = True,
    overwrite: bool = False,
) -> list[MadeSplit]:
    """Split the patients of one or several manifests (``comoto split``).

    Args:
        manifests: folders that ``comoto index`` wrote, or ``NAME=FOLDER``.
        out: folder for ``split.json`` and the split manifests; nothing is written without it.
        seed: another seed draws other patients.
        validation: share of the patients where a set has no official validation split; 0.15 if not given.
        test: share of the patients where a set has no official split; 0.15 if not given.
        folds: number of folds in place of shares.
        fold: only this one; all of them, in folders ``fold-0`` and so on, if not given.
        held_out: what a fold is.
        fractions: nested shares of the training patients as well.
        shared_ids: equal patient ids are the same person in all manifests.
        official: keep the splits that the data sets came with.
        drop_duplicates: keep the first copy of an image of one patient, instead of refusing.
        headers: look for the same image twice in the headers, not only by path.
        overwrite: replace an earlier split in ``out``.

    Returns:
        One split; with ``folds`` and without ``fold`` one of each fold.
    """
    from comoto.splits.assign import split_plan
    from comoto.splits.make import SplitOptions, assign, join, refuse_split_folder, save_split_folder
    from comoto.splits.merge import read_sources

    numbers: list[int | None] = list(range(folds)) if folds and fold is None else [fold]
    shares = {"validation": validation, "test": test}
    named = {name: share for name, share in shares.items() if share is not None}
    plans = [
        split_plan(
            seed=seed,
            folds=folds,
            fold=number,
            held_out=held_out,
            official=official,
            **named,
        )
        for number in numbers
    ]
    folder = as_path_or_none("out", out)
    places = [folder / f"fold-{n}" if len(numbers) > 1 else folder for n in numbers] if folder else []
    for place in places:
        refuse_split_folder(place, overwrite)
    options = SplitOptions(shared_ids, tuple(fractions), headers, drop_duplicates)
    sources = read_sources(_named_manifests(manifests), shared_ids=shared_ids)
    merged = join(sources, plans[0], options)
    made = [assign(merged, plan, options.fractions) for plan in plans]
    for one, place in zip(made, places, strict=bool(places)):
        save_split_folder(one, place, overwrite)
    return made


def verify_split(path: AnyPath, manifests: Sequence[AnyPath] = (), *, headers: bool = True) -> SplitFile:
    """Check a split file, and the manifests that it was made of (``comoto split --verify``).

    Args:
        path: a ``split.json`` or its folder.
        manifests: as for ``split``; without any the file alone is checked.
        headers: look for the same image twice in the headers, not only by path.
    """
    from comoto.splits.file import load_split_file
    from comoto.splits.make import verify_split as run
    from comoto.splits.merge import read_sources

    place = as_path("path", path)
    shared_ids = load_split_file(place).shared_ids
    sources = read_sources(_named_manifests(manifests), shared_ids=shared_ids)
    return run(place, sources, headers=headers)


def prepare(
    manifest: Manifest | AnyPath,
    out: AnyPath,
    *,
    preset: str = "small",
    overrides: Sequence[str] = (),
    workers: int = 2,
    options: PrepareOptions | None = None,
    skip_broken: bool = False,
    work: Work | None = None,
) -> PreparedStore:
    """Render every image once onto the network's grid (``comoto prepare``).

    Args:
        manifest: from ``index``, or the folder it was saved in.
        out: the store's folder; an interrupted preparation continues there.
        preset: its ``preprocess`` section is used.
        overrides: such as ``preprocess.rows=256``; other sections have no effect here.
        workers: processes.
        options: which slices of a volume; all if not given.
        skip_broken: leave out files that cannot be read, with a note in the store's manifest.
        work: everything about how it is done (``comoto.preprocessing.Work``): a cluster, stores to reuse,
            paths not kept; in place of ``workers`` and ``skip_broken``.
    """
    from comoto.config import load_train_config

    config = load_train_config(as_path("preset", preset), as_settings("overrides", overrides)).preprocess
    loaded = _loaded(manifest)
    from comoto.preprocessing import Work, prepare_with

    work = work or Work(workers=workers, skip_broken=skip_broken)
    return prepare_with(loaded, as_path("out", out), config, options, work)


def verify_store(store: AnyPath) -> StoreCheck:
    """Compare everything in a prepared store with its checksums (``comoto prepare --verify``).

    Args:
        store: the folder that ``prepare`` wrote; nothing in it is changed.

    Returns:
        ``.damage``, a sentence for each damaged or missing file with the way out, ``.images``, and
        ``.is_sealed``, which is false for a store of a former format, without checksums.
    """
    from comoto.preprocessing.verify import verify_store as run

    return run(as_path("store", store))


def train_teacher(
    out: AnyPath,
    *,
    mammograms: AnyPath | Sequence[AnyPath] = (),
    init_from: AnyPath | None = None,
    preset: AnyPath | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    resume: bool = False,
    stop_after: int | None = None,
) -> TrainResult:
    """Train a teacher on mammograms (``comoto train teacher``).

    Args:
        out: the run folder.
        mammograms: prepared store, or several.
        init_from: run folder of a teacher or a student whose weights are the first ones.
        preset: ``demo``, ``small``, ``full``, ``paper`` or a YAML file; ``small`` if not given, or the
            settings of the run that is resumed.
        overrides: other settings, such as ``batch.size=4``; what stands after ``=`` is read as YAML.
        values: other settings as values, such as ``{"batch.size": 4}``.
        resume: continue the interrupted run in ``out``; nothing else has to be given. ``schedule.epochs``
            may grow, and the same data and weights may lie at another path.
        stop_after: stop after this epoch.
    """
    paths = {"data.mammograms": mammograms, "init_from": init_from}
    given, place = {**(values or {}), **_given(paths)}, as_path("out", out)
    config = _train_config("teacher", place if resume else None, preset, overrides, given)
    from comoto.training.run import train_teacher as run

    return run(config, place, resume=resume, stop_after=stop_after)


def train_student(
    out: AnyPath,
    *,
    tomosynthesis: AnyPath | None = None,
    teacher: AnyPath | None = None,
    mammograms: AnyPath | Sequence[AnyPath] = (),
    init_from: AnyPath | None = None,
    preset: AnyPath | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    resume: bool = False,
    stop_after: int | None = None,
) -> TrainResult:
    """Train a student on tomosynthesis (``comoto train student``).

    Args:
        out: the run folder.
        tomosynthesis: prepared store; needed.
        teacher: run folder of the teacher; needed unless ``init=scratch`` and there is no distiller.
        mammograms: prepared store, or several; needed unless ``joint.size=0`` and no distiller wants them.
        init_from: run folder of a teacher or a student whose weights are the first ones, in place of
            ``init``.
        preset: ``demo``, ``small``, ``full``, ``paper`` or a YAML file; ``small`` if not given, or the
            settings of the run that is resumed.
        overrides: other settings, such as ``batch.size=4``; what stands after ``=`` is read as YAML.
        values: other settings as values, such as ``{"batch.size": 4}``.
        resume: continue the interrupted run in ``out``; nothing else has to be given. ``schedule.epochs``
            may grow, and the same data and weights may lie at another path.
        stop_after: stop after this epoch.
    """
    paths = {
        "data.mammograms": mammograms,
        "data.tomosynthesis": tomosynthesis,
        "teacher": teacher,
        "init_from": init_from,
    }
    given, place = {**(values or {}), **_given(paths)}, as_path("out", out)
    config = _train_config("student", place if resume else None, preset, overrides, given)
    from comoto.training.run import train_student as run

    return run(config, place, resume=resume, stop_after=stop_after)


def import_checkpoint(
    path: AnyPath, out: AnyPath, *, role: Literal["teacher", "student"], overrides: Sequence[str] = ()
) -> ImportedRun:
    """Turn a checkpoint of the published CoMoTo code into a run folder (``comoto import-checkpoint``).

    Args:
        path: what the published code saved; nothing in it is executed.
        out: the run folder, new or empty; ``load_model`` and ``train_student`` take it.
        role: ``teacher`` (mammograms) or ``student`` (tomosynthesis).
        overrides: settings in which the checkpoint differs from the preset ``paper``.

    Returns:
        ``.run``, ``.resnet`` (which ResNet it holds) and ``.config``.
    """
    from comoto.detectors.published import import_checkpoint as run

    return run(as_path("path", path), as_path("out", out), role, as_settings("overrides", overrides))


def export_onnx(run: AnyPath, out: AnyPath, *, overwrite: bool = False) -> ExportedModel:
    """Write the network of a run as one ONNX file (``comoto export onnx``).

    Args:
        run: what ``comoto train`` wrote.
        out: the file to write; ``load_model`` takes it.
        overwrite: replace an existing file.

    Returns:
        ``.path``, ``.sha256`` and ``.difference``, the largest one to torch that was seen.
    """
    from comoto.detectors.about import run_folder
    from comoto.inference.onnx_export import export_onnx as run_export

    return run_export(run_folder(as_path("run", run)), as_path("out", out), overwrite=overwrite)


def load_model(run: AnyPath, device: str = "auto") -> Model:
    """Load a trained model, ready for ``predict_volume`` and ``predict``.

    Args:
        run: what ``comoto train`` wrote, of which the best checkpoint is loaded (its ``model.safetensors``
            names it too); or an ONNX file that ``comoto export onnx`` wrote, which runs in ONNX Runtime.
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
    """
    from comoto.detectors.about import is_run_folder, known_model, run_folder
    from comoto.detectors.settings import check_device

    check_device(device)
    path = run_folder(as_path("run", run))
    if not is_run_folder(path):
        from comoto.inference.onnx_model import load_onnx_model

        return load_onnx_model(path, device=device)[0]
    known_model(path)  # a wrong path is told before torch is imported
    from comoto.inference.model import load_model as load

    return load(path, device=device)[0]


def predict_volume(model: Model | AnyPath, path: AnyPath) -> Detections:
    """Find lesions in one tomosynthesis volume.

    Args:
        model: from ``load_model``, or a run folder, or an exported ONNX file.
        path: a multi-frame DICOM file, a folder of one file per slice, or another format of a volume.

    Returns:
        Boxes in source pixels (float32 (N, 4)), scores and slices.
    """
    from comoto.detectors.about import KnownModel
    from comoto.inference.predict import predict_volume as run

    volume, known = as_path("path", path), _known(model, "auto")
    return run(load_model(as_path("model", model)) if isinstance(known, KnownModel) else known, volume)


def predict(
    model: Model | AnyPath,
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    split: str | None = None,
    mammograms: bool = False,
    manifest: AnyPath | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    isolate: bool = False,
    safe_csv: bool = False,
    other_modality: bool = False,
    device: str = "auto",
) -> PredictionFiles:
    """Predict on files, folders or manifests, and write a CSV and its JSON twin (``comoto predict``).

    Args:
        model: from ``load_model``, or a run folder, or an exported ONNX file.
        inputs: images, folders, manifest folders; one or several.
        out: the CSV; an interrupted prediction continues there.
        split: ``train``, ``validation`` or ``test`` of the manifests.
        mammograms: the inputs are mammograms.
        manifest: a manifest folder that gives the files of ``inputs`` their ids and keys.
        overrides: settings of the ``inference`` section, such as ``slice_step=2``,
            ``aggregation.kind=nms_3d``.
        values: the same as a dotted key and a value that is taken as it is; laid over ``overrides``.
        isolate: decode in a process with a cap on memory and a deadline (docs/reliability.md); for files
            that nobody vouches for.
        safe_csv: also write ``<name>.safe.csv``, of which no spreadsheet takes a text for a formula.
        other_modality: take a teacher for volumes, or a student for mammograms, all the same.
        device: of a ``model`` that is a path, as for ``load_model``; one that is loaded stays where it is.
    """
    from comoto.components import resolve
    from comoto.config import override
    from comoto.detectors.about import KnownModel

    known, chosen = _known(model, device), _split(split)
    config = override(known.config.inference, as_settings("overrides", overrides), values)
    # what is wrong above is told before the rest is imported
    from comoto.inference.inputs import Request
    from comoto.inference.predict import PredictOptions, check_request
    from comoto.inference.predict import predict as run
    from comoto.progress import say
    from comoto.records import Modality
    from comoto.sources.isolated import Limits, reading_within

    resolve("aggregator", config.aggregation.kind)  # an unknown name fails before a volume is read
    modality = Modality.MAMMOGRAM if mammograms else Modality.TOMOSYNTHESIS
    if mammograms and (overrides or values):
        named = [*overrides, *(f"{key}={value}" for key, value in (values or {}).items())]
        say(f"not used for mammograms, which have no slices: {', '.join(named)}")
    table, known_by = as_path("out", out), as_path_or_none("manifest", manifest)
    request = Request(as_paths("inputs", inputs), chosen, modality, known_by)
    options = PredictOptions(config, safe_csv, other_modality)
    with reading_within(Limits() if isolate else None):
        if isinstance(known, KnownModel):
            check_request(known, request, table, options)
            known = load_model(as_path("model", model), device)
        return run(known, request, table, options)


def _known(model: Model | AnyPath, device: str) -> Model | KnownModel:
    """Return what of a model is known without torch; one that is loaded, or an ONNX file, is known whole."""
    from comoto.detectors.about import is_run_folder, known_model, run_folder
    from comoto.detectors.settings import check_device

    if not isinstance(model, str | PathLike):
        if not hasattr(model, "detect"):
            raise wrong_type("model", model, "a run folder, an ONNX file, or what load_model returned")
        return model
    check_device(device)
    path = run_folder(as_path("model", model))
    return known_model(path) if is_run_folder(path) else load_model(path, device)


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
    """
    from comoto.errors import ConfigError
    from comoto.records import Laterality
    from comoto.report import draw as drawing

    if manifest is not None:
        if laterality is not None:
            raise ConfigError("laterality: the manifest knows the side of the body; leave one of them out")
        table = None if predictions is None else as_table("predictions", predictions)
        if not isinstance(image, str):
            raise wrong_type("image", image, "an image_id of the manifest (text)")
        return drawing.draw_record(_loaded(manifest), image, slice_index, table, min_score)
    if laterality not in (None, "L", "R"):
        raise ConfigError(f"laterality={laterality!r}: expected 'L' or 'R'")
    side = None if laterality is None else Laterality(laterality)
    found = as_path_or_none("predictions", predictions)  # the twin beside it says what is of this file
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
    min_radius: float | str = 100.0,
    interval: IntervalKind = "percentile",
    published_metric: bool = False,
) -> ChallengeResult:
    """Score predictions with the DBTex challenge's metric (``comoto evaluate``).

    Args:
        predictions: the challenge's submission file, from any program, its rows as a data frame, or what
            ``predict_volume`` found in each volume.
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
    """
    from comoto.errors import ConfigError
    from comoto.evaluation.challenge import evaluate as run
    from comoto.evaluation.intervals import Resampling
    from comoto.evaluation.own_volumes import HitRadius, own_volumes
    from comoto.evaluation.published import published_challenge_metric

    radius = HitRadius.parse(min_radius)
    warnings: tuple[str, ...] = ()
    volumes: TableSource
    lesions: TableSource
    if manifest is not None and labels is None and boxes is None:
        own = own_volumes(_split_of(manifest, split), radius)
        volumes, lesions, pixels, warnings = own.labels, own.boxes, own.min_radius, own.warnings
    elif manifest is None and labels is not None and boxes is not None and split is None:
        volumes, lesions, pixels = as_table("labels", labels), as_table("boxes", boxes), radius.pixels()
    else:
        raise ConfigError("give labels and boxes, or a manifest, perhaps with a split of it")
    found = _predictions(predictions, volumes=True)
    draws = Resampling(bootstrap, seed, interval)
    result = run(found, volumes, lesions, draws, min_radius=pixels)
    result = replace(result, warnings=(*warnings, *result.warnings))
    if published_metric:
        return replace(result, published=published_challenge_metric(found, volumes, lesions, pixels))
    return result


def evaluate_mammograms(
    predictions: AnyPath | pd.DataFrame | Sequence[Detections],
    manifest: Manifest | AnyPath,
    *,
    split: str | None = None,
    rule: Rule = "iou",
    iou: float = 0.1,
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
    """
    from comoto.evaluation import evaluate_mammograms as run
    from comoto.evaluation.intervals import Resampling
    from comoto.evaluation.published import published_on_manifest

    images, found = _split_of(manifest, split), _predictions(predictions, volumes=False)
    result = run(found, images, rule, iou, bootstrap=Resampling(bootstrap, seed, interval))
    if published_metric:
        return replace(result, published=published_on_manifest(found, images))
    return result


def _predictions(
    given: AnyPath | pd.DataFrame | Sequence[Detections], *, volumes: bool
) -> Path | pd.DataFrame:
    from comoto.detections import Detections, mammogram_table, prediction_table

    images = [given] if isinstance(given, Detections) else given
    if isinstance(images, list | tuple) and all(isinstance(one, Detections) for one in images):
        return (prediction_table if volumes else mammogram_table)(images)
    return as_table("predictions", given)


def _loaded(manifest: Manifest | AnyPath) -> Manifest:
    from comoto.records import Manifest

    if isinstance(manifest, str | PathLike):
        return Manifest.load(manifest)
    if not isinstance(manifest, Manifest):
        raise wrong_type("manifest", manifest, "a Manifest, or the folder that one was saved in")
    return manifest


def _split_of(manifest: Manifest | AnyPath, split: str | None) -> Manifest:
    from comoto.evaluation.own_volumes import part_of

    return part_of(_loaded(manifest), _split(split))


def _split(word: str | None) -> Split | None:
    if word is None:
        return None
    from comoto.components import suggest
    from comoto.errors import ConfigError
    from comoto.records import Split

    if word not in {split.value for split in Split}:
        raise ConfigError(f"unknown split '{word}'; {suggest(word, [split.value for split in Split])}")
    return Split(word)


def write_report(
    out: AnyPath,
    manifest: Manifest | AnyPath,
    predictions: Mapping[str, AnyPath],
    *,
    split: str | None = None,
    runs: Mapping[str, AnyPath] | None = None,
    min_radius: float | str = 100.0,
    bootstrap: int = 1000,
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
    """
    from comoto.evaluation.intervals import Resampling
    from comoto.evaluation.own_volumes import HitRadius
    from comoto.report.results_report import ReportOptions, write_results_report

    options = ReportOptions(
        split=_split(split),
        runs={name: as_path(f"runs[{name!r}]", run) for name, run in (runs or {}).items()},
        radius=HitRadius.parse(min_radius),
        draws=Resampling(bootstrap, seed, interval),
        pictures=pictures,
    )
    tables = {name: as_path(f"predictions[{name!r}]", table) for name, table in predictions.items()}
    return write_results_report(as_path("out", out), _loaded(manifest), tables, options, overwrite=overwrite)


def run_study(
    study: AnyPath,
    out: AnyPath,
    *,
    workers: int = 2,
    backend: Literal["loky", "threading", "ray", "dask"] = "loky",
    address: str | None = None,
) -> StudyOutcome:
    """Run what is not complete of a study (``comoto study run``).

    Args:
        study: the study file, docs/studies.md.
        out: the study's folder; the same call continues there.
        workers: runs at a time.
        backend: what spreads the runs: processes, threads, or a cluster.
        address: of a running Ray or Dask cluster; None starts one on this machine.

    Returns:
        How every run stands; ``.count("failed")``. A run that failed does not raise.
    """
    from comoto.study.config import load_study
    from comoto.study.run import StudyOptions
    from comoto.study.run import run_study as run

    return run(
        load_study(as_path("study", study)), as_path("out", out), StudyOptions(workers, backend, address)
    )


def study_table(
    folder: AnyPath,
    *,
    rule: str = "",
    reference: str | None = None,
    bootstrap: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the arms of a study (``comoto study table``).

    Args:
        folder: the study's.
        rule: one of the study's further rules from slices to volumes; "" is the students' own.
        reference: arm that the others are compared with; the study's if not given.
        bootstrap: replicates of the intervals; the study's if not given.
        seed: of the replicates.

    Returns:
        One row an arm, regime and fraction: means, standard deviations over runs, and differences to the
        reference and to the first regime with their intervals; nothing is written.
    """
    from comoto.study.results import read_results
    from comoto.study.table import frame, summarise

    return frame(
        summarise(read_results(as_path("folder", folder), bootstrap, rule=rule, reference=reference), seed)
    )


def _train_config(
    role: Literal["teacher", "student"],
    resumed: Path | None,
    preset: AnyPath | None,
    overrides: Sequence[str],
    values: Mapping[str, Any],
) -> TrainConfig:
    """Return the settings of a training: without a preset those of the run that is resumed, if any."""
    from comoto.config import load_train_config, override
    from comoto.errors import ConfigError

    if resumed is not None and preset is None:
        from comoto.training.record import is_run, read_about_run, saved_config

        if is_run(resumed):
            about = read_about_run(resumed)
            if about is not None and about["role"] != role:
                raise ConfigError(f"{resumed}: is a run of 'comoto train {about['role']}'")
            return override(saved_config(resumed), as_settings("overrides", overrides), values)
        if not values:
            raise ConfigError(f"{resumed}: no run to resume here; name its folder, or what to train on")
    chosen = "small" if preset is None else as_path("preset", preset)
    return load_train_config(chosen, as_settings("overrides", overrides), role, values)


def _given(paths: Mapping[str, AnyPath | Sequence[AnyPath] | None]) -> dict[str, Path | tuple[Path, ...]]:
    """Return the settings whose paths were given; several are allowed for mammograms alone."""
    given: dict[str, Path | tuple[Path, ...]] = {}
    for key, value in paths.items():
        name = key.removeprefix("data.")
        if isinstance(value, str | PathLike) or (value is not None and name != "mammograms"):
            given[key] = as_path(name, value)
        elif value is not None and (several := as_paths(name, value)):
            given[key] = tuple(several)
    return given


def _named_manifests(manifests: AnyPath | Sequence[AnyPath]) -> list[str]:
    """Return folders, or ``NAME=FOLDER``, as texts."""
    return [str(path) for path in as_paths("manifests", manifests)]
