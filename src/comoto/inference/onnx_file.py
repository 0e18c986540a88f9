"""What an exported ONNX file says of itself, and the seal that shows whether it is whole.

The facts are texts in ONNX's own ``metadata_props``. The last of them is the SHA-256 of all bytes before it:
a file that was cut, damaged or written by another program is known before any of it is interpreted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from comoto import __version__
from comoto.checksums import file_sha256
from comoto.config import PRESETS, TrainConfig, config_hash, former_settings, load_train_config
from comoto.detectors.about import About
from comoto.detectors.checkpoint import Checkpoint, without_initial_weights
from comoto.detectors.focus_head import FocusHead
from comoto.errors import CheckpointError, ConfigError

FORMAT = "comoto-onnx-1"
NOTICE = "research software, not a medical device"
INPUT = "images"
"""float32 (batch, 1, rows, columns), 0 to 1."""
FOCUS_MAP = "focus"
"""Output (batch, 1, h, w) of a network with a focus head, and the entry of the metadata that describes it."""
NO_FILE_OF_OURS = "is not what 'comoto export onnx' wrote, or was cut or changed since; export it again"

_SEAL_BEGINS = b"\x72\x51\x0a\x0dcomoto_sha256\x12\x40"
"""An entry of ``metadata_props`` up to its value, as protocol buffers code it.

Field 14 of ONNX's ModelProto, of 81 bytes: field 1, the key, of 13 bytes, and field 2, of the 64 digits that
follow. Messages that follow each other are merged, so an entry may stand at the end of the file.
"""
_HEX_DIGITS = 64
_ROLES: dict[str, Literal["teacher", "student"]] = {"teacher": "teacher", "student": "student"}

MapShapes = dict[str, tuple[int, int, int]]
"""Feature map -> (C, h, w)."""


@dataclass(frozen=True)
class OnnxAbout:
    """What stands in the file besides the network.

    Attributes:
        config: of the run, without the paths of its data and of its teacher.
        about: of the checkpoint.
        maps: shapes of the feature maps, which anchors are laid on.
    """

    config: TrainConfig
    about: About
    maps: MapShapes


def properties(checkpoint: Checkpoint, run: str, maps: MapShapes) -> dict[str, str]:
    """Return the metadata of an exported checkpoint.

    Args:
        checkpoint: what is exported.
        run: name of its run folder.
        maps: shapes of the detector's feature maps.
    """
    config = checkpoint.config
    data = config.data.model_copy(update={"mammograms": (), "tomosynthesis": None, "split_file": None})
    shared = without_initial_weights(config).model_copy(update={"data": data, "teacher": None})
    return {
        "comoto_format": FORMAT,
        "comoto_version": __version__,
        "notice": NOTICE,
        "run": run,
        "role": checkpoint.about.role,
        "epoch": str(checkpoint.about.epoch),
        "metric": json.dumps(checkpoint.about.metric),
        "preset": preset_of(config, checkpoint.about.role),
        "config": shared.model_dump_json(),
        "config_hash": config_hash(config),
        "weights_sha256": checkpoint.sha256,
        "maps": json.dumps(maps),
        **(
            {}
            if checkpoint.about.focus is None
            else {FOCUS_MAP: json.dumps(checkpoint.about.focus.to_json())}
        ),
    }


def read_properties(path: Path, content: Mapping[str, str]) -> OnnxAbout:
    """Read the metadata back.

    Args:
        path: for messages.
        content: the file's ``metadata_props``.

    Raises:
        CheckpointError: an entry is missing or of another version.
    """
    found = content.get("comoto_format")
    if found != FORMAT:
        raise CheckpointError(
            f"{path}: format {found!r}, this version reads {FORMAT!r}; export the run again"
        )
    try:
        role = _ROLES[content["role"]]
        head = FocusHead.from_json(json.loads(content[FOCUS_MAP])) if FOCUS_MAP in content else None
        return OnnxAbout(
            TrainConfig.model_validate(former_settings(json.loads(content["config"]))),
            About(role, int(content["epoch"]), json.loads(content["metric"]), head),
            {name: (int(c), int(h), int(w)) for name, (c, h, w) in json.loads(content["maps"]).items()},
        )
    except ConfigError as error:  # an unknown component, or one of outside code that was not allowed
        raise CheckpointError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, ValidationError) as error:
        raise CheckpointError(f"{path}: written by another version: {error}; export the run again") from error


def seal(path: Path) -> str:
    """Append the hash of a file's bytes as one more entry of its metadata, and return it."""
    sha256 = file_sha256(path)
    with path.open("ab") as file:
        file.write(_seal_entry(sha256))
    return sha256


def check_seal(path: Path) -> str:
    """Return the hash that a file is sealed with.

    Raises:
        CheckpointError: there is no such file, or no seal, or it does not fit.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; 'comoto export onnx' writes one of a run folder")
    content = memoryview(path.read_bytes())
    end = max(0, len(content) - len(_SEAL_BEGINS) - _HEX_DIGITS)
    sha256 = hashlib.sha256(content[:end]).hexdigest()
    if content[end:] != _seal_entry(sha256):
        raise CheckpointError(f"{path}: {NO_FILE_OF_OURS}")
    return sha256


def _seal_entry(sha256: str) -> bytes:
    return _SEAL_BEGINS + sha256.encode("ascii")


def preset_of(config: TrainConfig, role: str) -> str:
    """Return the shipped preset that has this grid and this detector, or ``own``."""
    ours = without_initial_weights(config)
    for name in PRESETS:
        shipped = without_initial_weights(load_train_config(name, role=role))
        if (shipped.preprocess, shipped.detector) == (ours.preprocess, ours.detector):
            return name
    return "own"
