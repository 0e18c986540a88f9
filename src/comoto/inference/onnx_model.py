"""An exported ONNX file as a model: ONNX Runtime runs the network, all else stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from comoto.detectors.about import About, refuse_other_role
from comoto.detectors.base import BoxTensors, Features
from comoto.detectors.checkpoint import build_blank_detector
from comoto.detectors.focus_map import with_focus
from comoto.detectors.settings import check_device
from comoto.errors import CheckpointError, ConfigError
from comoto.inference.model import Model
from comoto.inference.onnx_file import (
    FOCUS_MAP,
    INPUT,
    NO_FILE_OF_OURS,
    MapShapes,
    OnnxAbout,
    check_seal,
    read_properties,
)

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@dataclass(frozen=True, repr=False)
class OnnxModel(Model):
    """A model whose network runs in ONNX Runtime, in float32.

    Attributes:
        session: of ONNX Runtime.
        maps: shapes of the feature maps inside.
    """

    session: Any
    maps: MapShapes

    def found(self, pixels: Tensor) -> list[BoxTensors]:
        """See ``Model.found``."""
        images = (pixels.float() / 255).numpy()
        names = [output.name for output in self.session.get_outputs()]
        values = (torch.from_numpy(value) for value in self.session.run(names, {INPUT: images}))
        outputs = dict(zip(names, values, strict=True))
        focus = outputs.pop(FOCUS_MAP, None)
        # only the shapes of the maps are read, so one number stands for all of a map
        nothing = torch.zeros(())
        levels = {name: nothing.expand(len(images), *shape) for name, shape in self.maps.items()}
        features = Features(levels, (images.shape[2], images.shape[3]))
        found = self.detector.decode(outputs, features)
        return found if focus is None else with_focus(focus, found, features.image_shape)


def load_onnx_model(
    path: Path, role: Literal["teacher", "student"] | None = None, device: str = "auto"
) -> tuple[OnnxModel, About]:
    """Load what ``comoto export onnx`` wrote.

    Args:
        path: the ONNX file.
        role: refuse a model of the other role; None takes either.
        device: ``auto`` takes a GPU if the installed ONNX Runtime has one.

    Raises:
        CheckpointError: no such file, not one of ours, damaged, of another version, or of the other role.
        ConfigError: ONNX Runtime is not installed, or has no CUDA although it was asked for.
    """
    sha256 = check_seal(path)
    session = open_session(path, device)
    content = read_properties(path, session.get_modelmeta().custom_metadata_map)
    _check_grid(path, session, content)
    refuse_other_role(path, content.about, role)
    where = torch.device("cuda" if session.get_providers()[0] == CUDA else "cpu")
    # the weights are in the session; of the detector only the decoding is used, which has none
    detector = build_blank_detector(content.config).to("meta").eval()
    model = OnnxModel(
        detector=detector,
        config=content.config,
        device=where,
        precision="32-true",
        name=path.name,
        sha256=sha256,
        session=session,
        maps=content.maps,
        role=content.about.role,
        focus=content.about.focus,
    )
    return model, content.about


def open_session(path: Path, device: str) -> Any:
    """Open an ONNX file with as many threads as torch takes.

    Args:
        path: of the file.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        CheckpointError: ONNX Runtime cannot read the file.
        ConfigError: ONNX Runtime is not installed, or has no CUDA although it was asked for.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{path}: an ONNX file needs the package onnxruntime ({error}); install it with: "
            "pip install onnxruntime"
        ) from error
    providers = _providers(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # the exceptions of ONNX Runtime share no base of their own
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: ONNX Runtime cannot open it: {reason}") from error
    if device == "cuda" and session.get_providers()[0] != CUDA:
        raise ConfigError("device=cuda: ONNX Runtime cannot load its CUDA libraries here; use device=cpu")
    return session


def _providers(device: str, available: list[str]) -> list[str]:
    check_device(device)
    if device == "cuda" and CUDA not in available:
        raise ConfigError(
            "device=cuda: this ONNX Runtime has no CUDA; use device=cpu, or: pip install onnxruntime-gpu"
        )
    return [CUDA, CPU] if device != "cpu" and CUDA in available else [CPU]


def _check_grid(path: Path, session: Any, content: OnnxAbout) -> None:
    grid = content.config.preprocess
    wanted, shapes = [1, grid.rows, grid.columns], {one.name: one.shape[1:] for one in session.get_inputs()}
    if set(shapes) != {INPUT}:
        raise CheckpointError(f"{path}: {NO_FILE_OF_OURS}")
    if shapes[INPUT] != wanted:
        raise CheckpointError(
            f"{path}: takes images of {shapes[INPUT]}, its settings say {wanted}; export the run again"
        )
