"""Checkpoints of the published code: a torchvision RetinaNet on a plain ResNet becomes a run folder.

The published code saves ``{"network": state_dict, ...}``. Nothing in the file is executed.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from comoto.config import TrainConfig, load_train_config
from comoto.detectors.about import About
from comoto.detectors.backbones import TORCHVISION
from comoto.detectors.checkpoint import build_blank_detector, save_checkpoint
from comoto.detectors.weights import DAMAGED, load_matching
from comoto.errors import CheckpointError, OutputExistsError
from comoto.locks import hold, lock_of

NETWORK = "network"
FIRST_BLOCK = "layer1.0.conv1.weight"
LAST_LAYER = "classification_head.cls_logits.weight"
RESNETS = {  # (blocks of layer3, three convolutions a block) -> torchvision's name
    (2, False): "resnet18",
    (6, False): "resnet34",
    (6, True): "resnet50",
    (23, True): "resnet101",
}
OUR_BACKBONE, OUR_HEAD = "net.backbone.backbone.body.resnet.", "net.head."
_ARCHIVE = b"PK\x03\x04"
_FOLDER = 0x10
"""Attribute of an entry that is a folder: torch reads no byte of it, and returns whatever lay in memory."""


@dataclass(frozen=True)
class ImportedRun:
    """What an import has written.

    Attributes:
        run: the run folder.
        resnet: which ResNet the file holds, such as ``resnet50``.
        config: what the run folder says of preprocessing and detector.
    """

    run: Path
    resnet: str
    config: TrainConfig

    def __fspath__(self) -> str:
        """Return the run folder: an import can be named where a path to a run can."""
        return str(self.run)


def import_checkpoint(
    path: Path, out: Path, role: Literal["teacher", "student"], overrides: Sequence[str] = ()
) -> ImportedRun:
    """Write a checkpoint of the published code as a run folder with the settings of the preset ``paper``.

    Args:
        path: what the published code saved.
        out: the run folder, new or empty.
        role: ``teacher`` for a detector of mammograms, ``student`` for one of tomosynthesis.
        overrides: settings in which the checkpoint differs from the preset, ``key.subkey=value``.

    Raises:
        CheckpointError: no torch file, pickled code, or weights of another architecture.
        ConfigError: an override is wrong.
        OutputExistsError: ``out`` exists and is not an empty folder.
    """
    with hold(lock_of(out.resolve()), f"{out}: another command is writing there; choose another --out"):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputExistsError(f"{out}: exists and is not an empty folder; choose another --out")
        return _import(path, out, role, overrides)


def _import(
    path: Path, out: Path, role: Literal["teacher", "student"], overrides: Sequence[str]
) -> ImportedRun:
    network = read_network(path)
    backbone = _prefix(network, FIRST_BLOCK, path)
    head = _prefix(network, LAST_LAYER, path)
    resnet = _which_resnet(network, backbone, path)
    blank = ["detector.backbone.weights=none", f"detector.backbone.name={TORCHVISION}{resnet}"]
    config = load_train_config("paper", [*blank, *overrides], role)
    detector = build_blank_detector(config)
    weights = _renamed(network, backbone, head)
    # the classifier on top of the ResNet is never used, so a file without it is complete
    own = detector.state_dict()
    weights = {key: own[key] for key in own if key.startswith(f"{OUR_BACKBONE}fc.")} | weights
    load_matching(detector, weights, str(path))
    save_checkpoint(out, detector, config, About(role, epoch=0, metric={}))
    return ImportedRun(out, resnet, config)


def read_network(path: Path) -> dict[str, Tensor]:
    """Read the weights under ``network``, with plain keys also where they were saved by ``DataParallel``.

    Raises:
        CheckpointError: no torch file, pickled code, no such key, or something else than tensors under it.
    """
    content = _read_tensors(path)
    if isinstance(content, dict) and _is_weights(content):
        raise CheckpointError(
            f"{path}: bare weights, without the key '{NETWORK}' under which the published code saves them; "
            f"save them again: torch.save({{'{NETWORK}': torch.load(file, weights_only=True)}}, other_file)"
        )
    if not isinstance(content, dict) or NETWORK not in content:
        there = f"there are {_named(content)}" if isinstance(content, dict) else "it holds no named entries"
        raise CheckpointError(
            f"{path}: no key '{NETWORK}', under which the published code saves the weights; {there}"
        )
    network = content[NETWORK]
    if not isinstance(network, dict) or not _is_weights(network):
        raise CheckpointError(f"{path}: '{NETWORK}' holds something else than named tensors")
    for key, value in network.items():
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{path}: '{key}' holds NaN or infinite values; the training had failed")
    return {str(key).removeprefix("module."): value for key, value in network.items()}


def _is_weights(content: dict[Any, Any]) -> bool:
    return bool(content) and all(isinstance(value, Tensor) for value in content.values())


def _refuse_damage(path: Path) -> None:
    """Compare the checksums that ``torch.save`` writes into its archive; ``torch.load`` passes over them."""
    try:
        with path.open("rb") as file:
            if file.read(len(_ARCHIVE)) != _ARCHIVE:  # the format before torch 1.6 has none
                return
            with zipfile.ZipFile(file) as archive:
                broken = archive.testzip() or next(
                    (entry.filename for entry in archive.infolist() if entry.external_attr & _FOLDER), None
                )
    except (zipfile.BadZipFile, zlib.error, *DAMAGED) as error:
        raise CheckpointError(f"{path}: not a file of torch.save, or damaged ({error})") from error
    if broken is not None:
        raise CheckpointError(f"{path}: is damaged (at '{broken}'); fetch or save it again")


def _read_tensors(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    _refuse_damage(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the file may not be torch's is said below, as an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = _pickled_code(path, str(error))
        if code:
            raise CheckpointError(
                f"{path}: holds pickled code ({code}), which is never run; save only the state_dict: "
                f"torch.save({{'{NETWORK}': model.state_dict()}}, file)"
            ) from error
        raise CheckpointError(f"{path}: not a file of torch.save, or damaged") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except DAMAGED as error:
        raise CheckpointError(f"{path}: not a file of torch.save, or damaged") from error


def _pickled_code(path: Path, message: str) -> str:
    """Return the names of what the file wants to run; empty if it is no pickle at all."""
    if zipfile.is_zipfile(path):
        try:
            return ", ".join(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)))
        except DAMAGED:
            return ""
    found = re.search(r"GLOBAL ([\w.]+)", message)  # an old file, which torch cannot list
    return found.group(1) if found else ""


def _prefix(network: dict[str, Tensor], ending: str, path: Path) -> str:
    """Return what stands before the one key that ends like this."""
    found = [key.removesuffix(ending) for key in network if key.endswith(ending)]
    if len(found) != 1:
        raise CheckpointError(
            f"{path}: no RetinaNet on a plain ResNet: {len(found)} keys end with '{ending}' instead of one; "
            f"there are {_named(network)}"
        )
    return found[0]


def _which_resnet(network: dict[str, Tensor], prefix: str, path: Path) -> str:
    stage = f"{prefix}layer3."
    blocks = {key.removeprefix(stage).partition(".")[0] for key in network if key.startswith(stage)}
    shape = (len(blocks), f"{prefix}layer1.0.conv3.weight" in network)
    if shape not in RESNETS:
        raise CheckpointError(
            f"{path}: a ResNet with {shape[0]} blocks in layer3; known are {', '.join(RESNETS.values())}"
        )
    return RESNETS[shape]


def _renamed(network: dict[str, Tensor], backbone: str, head: str) -> dict[str, Tensor]:
    """Return the weights under our names; what belongs to neither part keeps its own and is refused later."""
    renamed = {}
    for key, value in network.items():
        if key.startswith(head) and "_head." in key:
            # older torchvision counted convolutions and activations alike: conv.0, conv.2, conv.4, conv.6
            name = re.sub(r"conv\.(\d)\.(weight|bias)$", _new_number, key.removeprefix(head))
            renamed[OUR_HEAD + name] = value
        elif key.startswith(backbone):
            renamed[OUR_BACKBONE + key.removeprefix(backbone)] = value
        else:
            renamed[key] = value
    return renamed


def _new_number(found: re.Match[str]) -> str:
    return f"conv.{int(found.group(1)) // 2}.0.{found.group(2)}"


def _named(content: dict[Any, Any]) -> str:
    names = [str(key) for key in content]
    return f"{len(names)}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "none"
