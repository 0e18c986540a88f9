"""What a trained model is good for: loading, exporting, finding lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from comoto.api.given import named_split
from comoto.arguments import AnyPath, as_path, as_path_or_none, as_paths, as_settings, wrong_type

if TYPE_CHECKING:
    from comoto.detections import Detections
    from comoto.detectors.about import KnownModel
    from comoto.inference.model import Model
    from comoto.inference.onnx_export import ExportedModel
    from comoto.inference.predict import PredictionFiles


def export_onnx(run: AnyPath, out: AnyPath, *, overwrite: bool = False) -> ExportedModel:
    """Write the network of a run as one ONNX file (``comoto export onnx``).

    Args:
        run: what ``comoto train`` wrote.
        out: the file to write; ``load_model`` takes it.
        overwrite: replace an existing file.

    Returns:
        ``.path``, ``.sha256`` and ``.difference``, the largest one to torch that was seen.

    Examples:
        >>> import comoto
        >>> comoto.export_onnx("runs/student", "new.onnx").difference < 1e-4  # doctest: +SKIP
        True
    """
    from comoto.detectors.about import run_folder
    from comoto.inference import onnx_export

    return onnx_export.export_onnx(run_folder(as_path("run", run)), as_path("out", out), overwrite=overwrite)


def load_model(run: AnyPath, device: str = "auto") -> Model:
    """Load a trained model, ready for ``predict_volume`` and ``predict``.

    Args:
        run: what ``comoto train`` wrote, of which the best checkpoint is loaded (its ``model.safetensors``
            names it too); or an ONNX file that ``comoto export onnx`` wrote, which runs in ONNX Runtime.
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.

    Examples:
        >>> import comoto
        >>> comoto.load_model("runs/student", device="cpu")
        Model(student: student, retinanet on a grid of 64 x 32, cpu, 32-true)
    """
    from comoto.detectors.about import is_run_folder, known_model, run_folder
    from comoto.detectors.settings import check_device

    check_device(device)
    path = run_folder(as_path("run", run))
    if not is_run_folder(path):
        from comoto.inference.onnx_model import load_onnx_model

        return load_onnx_model(path, device=device)[0]
    known_model(path)  # a wrong path is told before torch is imported
    from comoto.inference import model

    return model.load_model(path, device=device)[0]


def predict_volume(model: Model | AnyPath, path: AnyPath) -> Detections:
    """Find lesions in one tomosynthesis volume.

    Args:
        model: from ``load_model``, or a run folder, or an exported ONNX file.
        path: a multi-frame DICOM file, a folder of one file per slice, or another format of a volume.

    Returns:
        Boxes in source pixels (float32 (N, 4)), scores and slices.

    Examples:
        >>> import comoto
        >>> found = comoto.predict_volume("runs/student", "volume.dcm")
        >>> found
        Detections(5 boxes in source pixels on slices 0-3, scores 0.996 to 0.999, image_id='volume.dcm')
        >>> found[found.scores > 0.999].boxes_xyxy.round()
        array([[15., 10., 24., 16.],
               [18., 42., 22., 48.],
               [17., 19., 24., 25.]], dtype=float32)
    """
    from comoto.detectors.about import KnownModel
    from comoto.inference import predict as inference

    volume, known = as_path("path", path), _known(model, "auto")
    loaded = load_model(as_path("model", model)) if isinstance(known, KnownModel) else known
    return inference.predict_volume(loaded, volume)


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
    operating_point: AnyPath | None = None,
    other_modality: bool = False,
    device: str = "auto",
) -> PredictionFiles:
    """Predict on files, folders or manifests, and write a CSV and its JSON sidecar (``comoto predict``).

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
        operating_point: file of ``comoto evaluate --operating-point-out``, chosen on predictions of this
            model: detections below its threshold are left out, and the sidecar says so.
        other_modality: take a teacher for volumes, or a student for mammograms, all the same.
        device: of a ``model`` that is a path, as for ``load_model``; one that is loaded stays where it is.

    Examples:
        >>> import comoto
        >>> files = comoto.predict("runs/student", "volume.dcm", "found.csv")
        >>> files.num_images, files.failed
        (1, ())
        >>> files.to_dataframe()[["View", "X", "Width", "Y", "Height", "Z", "Depth"]].head(2)
          View   X  Width   Y  Height  Z  Depth
        0  lcc  14     10   9       7  0      4
        1  lcc  17      6  41       7  0      4
    """
    from comoto.components import resolve
    from comoto.config import override
    from comoto.detectors.about import KnownModel

    known, chosen = _known(model, device), named_split(split)
    config = override(known.config.inference, as_settings("overrides", overrides), values)
    # what is wrong above is told before the rest is imported
    from comoto.inference import predict as inference
    from comoto.inference.inputs import PredictionRequest
    from comoto.operating_points import read_operating_point
    from comoto.progress import say
    from comoto.records import Modality
    from comoto.sources.isolated import Limits, reading_within

    resolve("aggregator", config.aggregation.kind)  # an unknown name fails before a volume is read
    modality = Modality.MAMMOGRAM if mammograms else Modality.TOMOSYNTHESIS
    if mammograms and (overrides or values):
        named = [*overrides, *(f"{key}={value}" for key, value in (values or {}).items())]
        say(f"not used for mammograms, which have no slices: {', '.join(named)}")
    table, known_by = as_path("out", out), as_path_or_none("manifest", manifest)
    request = PredictionRequest(as_paths("inputs", inputs), chosen, modality, known_by)
    point_path = as_path_or_none("operating_point", operating_point)
    point = None if point_path is None else read_operating_point(point_path)
    options = inference.PredictOptions(config, safe_csv, other_modality, point)
    with reading_within(Limits() if isolate else None):
        if isinstance(known, KnownModel):
            inference.check_request(known, request, table, options)
            known = load_model(as_path("model", model), device)
        return inference.predict(known, request, table, options)


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
