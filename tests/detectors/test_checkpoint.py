"""Checkpoints: what goes in comes out, and what does not fit is refused by name."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from comoto.checksums import write_sealed_json
from comoto.config import load_train_config
from comoto.detectors.backbones import BackboneConfig, build_backbone
from comoto.detectors.checkpoint import About, build_detector, load_checkpoint, load_weights, save_checkpoint
from comoto.errors import CheckpointError, ConfigError


def test_round_trip(tmp_path: Path) -> None:
    config = load_train_config("demo")
    detector = build_detector(config).eval()
    save_checkpoint(tmp_path, detector, config, About("teacher", 3, {"mean_sensitivity": 0.5}))
    loaded = load_checkpoint(tmp_path)
    images = torch.rand(1, 1, 64, 32)
    with torch.no_grad():
        for name, level in detector.features(images).levels.items():
            assert torch.equal(level, loaded.detector.features(images).levels[name])
    assert loaded.config == config
    assert loaded.about == About("teacher", 3, {"mean_sensitivity": 0.5})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.json", "model.safetensors"]
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1  # whoever can read one can read the other


def test_another_architecture_is_refused_with_the_keys(tmp_path: Path) -> None:
    config = load_train_config("demo")
    save_checkpoint(tmp_path, build_detector(config), config, About("teacher", 1, {}))
    wider = build_detector(load_train_config("demo", ["detector.pyramid_channels=32"]))
    with pytest.raises(CheckpointError, match=r"another architecture.*of another shape.*\(32, "):
        load_weights(wider, tmp_path)
    deeper = build_detector(load_train_config("demo", ["detector.tower_convolutions=4"]))
    with pytest.raises(CheckpointError, match=r"missing \(.*conv"):
        load_weights(deeper, tmp_path)


def test_missing_damaged_and_swapped_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint\.json here"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="mistyped: no such folder"):
        load_checkpoint(tmp_path / "mistyped")
    config = load_train_config("demo")
    save_checkpoint(tmp_path, build_detector(config), config, About("teacher", 1, {}))
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(CheckpointError, match="not readable as safetensors"):
        load_checkpoint(tmp_path)
    save_file(
        {key: value + 1 for key, value in build_detector(config).state_dict().items()},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(CheckpointError, match="does not belong to"):
        load_checkpoint(tmp_path)
    about = json.loads((tmp_path / "checkpoint.json").read_text())
    del about["checksum"]
    write_sealed_json(tmp_path / "checkpoint.json", {**about, "format": "other"})
    with pytest.raises(CheckpointError, match="format 'other'"):
        load_checkpoint(tmp_path)
    (tmp_path / "checkpoint.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path)


def test_backbone_weights_from_a_file(tmp_path: Path) -> None:
    source = build_backbone(BackboneConfig(name="thin"))
    save_file(source.state_dict(), tmp_path / "thin.safetensors")
    loaded = build_backbone(BackboneConfig(name="thin", weights=tmp_path / "thin.safetensors"))
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in source.state_dict().items())
    with pytest.raises(CheckpointError, match="no such weights file"):
        build_backbone(BackboneConfig(name="thin", weights=tmp_path / "nothing.safetensors"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BackboneConfig(name="resnet5O"), "timm knows no model 'resnet5O'"),
        (BackboneConfig(name="vit_tiny_patch16_224"), "strides|feature maps"),
        (BackboneConfig(name="thin", weights="imagenet"), "no ImageNet weights"),
    ],
)
def test_a_backbone_that_does_not_fit_is_named(config: BackboneConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_backbone(config)
