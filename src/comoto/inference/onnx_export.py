"""``comoto export onnx``: the network of a run as one ONNX file, compared with torch before it gets its name.

The file holds everything that has weights: normalisation, backbone, neck and head. Anchors, decoding and
suppression stay here (``Detector.decode``), so that both runtimes share them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import Checkpoint, load_checkpoint
from comoto.detectors.focus_head import FocusHead
from comoto.detectors.focus_map import focus_map
from comoto.errors import CheckpointError, ConfigError
from comoto.inference.onnx_file import FOCUS_MAP, INPUT, MapShapes, properties, seal
from comoto.inference.onnx_model import open_session
from comoto.output_files import output_file, refuse_existing, refuse_inputs_as_outputs
from comoto.progress import say

OPSET = 18
TRACED_BATCH, CHECKED_BATCHES = 2, (1, 3)
TOLERANCE = 1e-4
"""Largest difference to torch of a value of the head, relative for values above 1."""
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class ExportedModel:
    """What an export wrote.

    Attributes:
        path: the ONNX file.
        sha256: that its seal holds.
        difference: largest one to torch that was seen, as ``TOLERANCE`` counts it.
    """

    path: Path
    sha256: str
    difference: float

    def __fspath__(self) -> str:
        """Return the file: an export can be named where a path to a model can."""
        return str(self.path)


class Network(nn.Module):
    """Images (B, 1, H, W) to the values of the head, as a tuple; the map of a focus head comes last."""

    def __init__(self, detector: Detector, focus: FocusHead | None = None) -> None:
        super().__init__()
        self.detector = detector
        self.focus = focus

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what ``Detector.head_outputs`` returns, without the names, and the map."""
        features = self.detector.features(images)
        outputs = tuple(self.detector.head_outputs(features).values())
        return outputs if self.focus is None else (*outputs, focus_map(self.focus, features))


def export_onnx(run: Path, out: Path, *, overwrite: bool = False) -> ExportedModel:
    """Write the best checkpoint of a run folder as an ONNX file, in float32.

    Args:
        run: what ``comoto train`` wrote.
        out: the file to write.
        overwrite: replace an existing file.

    Raises:
        OutputExistsError: ``out`` exists.
        ConfigError: a package is missing, or this detector cannot be exported.
        CheckpointError: there is no checkpoint, or the written file computes something else than torch.
    """
    files = run.iterdir() if run.is_dir() else ()
    refuse_inputs_as_outputs([out], [path for path in files if path.suffix != ".onnx"])
    refuse_existing([out], overwrite)
    require_packages()
    checkpoint = load_checkpoint(run)
    outputs, maps = _outputs_and_maps(checkpoint)
    network = Network(checkpoint.detector, checkpoint.about.focus).eval()
    say(f"export {run.name}")
    with _silent():
        program = _program(network, _blank(checkpoint, TRACED_BATCH), outputs)
    _forget_where(program.model)
    program.model.metadata_props.update(properties(checkpoint, run.resolve().name, maps))
    with output_file(out, overwrite) as part:
        program.save(str(part), external_data=False)
        sha256 = seal(part)
        say("compare with torch")
        difference = largest_difference(part, network, _blank(checkpoint, 1).shape[-2:])
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"{out}: not written: the exported network differs from torch by {difference:.1e}, allowed "
                f"is {TOLERANCE:.0e}; another version of onnxscript or of onnxruntime may help"
            )
    return ExportedModel(out, sha256, difference)


def _forget_where(model: Any) -> None:
    """Remove the exporter's stack traces, which name folders of this machine, and with them its user."""
    for graph in (model.graph, *model.functions.values()):
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
                value.doc_string = None


def require_packages() -> None:
    """Check that everything an export needs is installed.

    Raises:
        ConfigError: something is not.
    """
    for name in _PACKAGES:
        try:
            import_module(name)
        except ImportError as error:
            raise ConfigError(
                f"comoto export onnx needs the package {name} ({error}); install what it needs with: "
                f"pip install {' '.join(_PACKAGES)}"
            ) from error


def largest_difference(path: Path, network: Network, grid: tuple[int, ...]) -> float:
    """Return by how much ONNX Runtime and torch differ at most, on random images in ``CHECKED_BATCHES``.

    A difference counts as it is for values up to 1, relative to the value above.
    """
    session = open_session(path, "cpu")
    generator = np.random.default_rng(0)
    worst = 0.0
    for batch in CHECKED_BATCHES:
        images = generator.random((batch, 1, *grid), dtype=np.float32)
        with torch.inference_mode():
            wanted = network(torch.from_numpy(images))
        for ours, theirs in zip(wanted, session.run(None, {INPUT: images}), strict=True):
            want = ours.numpy()
            if want.shape != theirs.shape:
                return float("inf")
            difference = np.abs(want - theirs) / np.maximum(np.abs(want), 1)
            worst = max(worst, float(difference.max(initial=0)))
    return worst


def _outputs_and_maps(checkpoint: Checkpoint) -> tuple[list[str], MapShapes]:
    """Return the names of the network's outputs and the shapes of the maps inside."""
    kind = checkpoint.config.detector.kind
    with torch.inference_mode():
        features = checkpoint.detector.features(_blank(checkpoint, 1))
        try:
            outputs = checkpoint.detector.head_outputs(features)
        except ValueError as error:
            raise ConfigError(
                f"detector.kind={kind} cannot be exported: {error}; retinanet and fcos can"
            ) from error
    maps = {name: (each.shape[1], each.shape[2], each.shape[3]) for name, each in features.levels.items()}
    names = list(outputs) if checkpoint.about.focus is None else [*outputs, FOCUS_MAP]
    return names, maps


def _program(network: Network, images: Tensor, outputs: list[str]) -> Any:
    try:
        return torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            input_names=[INPUT],
            output_names=outputs,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"this network cannot be exported: {reason}; see docs/export.md") from error


def _blank(checkpoint: Checkpoint, batch: int) -> Tensor:
    grid = checkpoint.config.preprocess
    return torch.zeros(batch, 1, grid.rows, grid.columns)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter from writing notes to standard error; its errors are raised all the same."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
