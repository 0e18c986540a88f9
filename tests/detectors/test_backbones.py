"""Backbones by name: built without a download, with maps of the stated shapes, or refused."""

import socket
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from comoto.config import TrainConfig
from comoto.detectors.backbones import BackboneConfig, build_backbone, input_channels
from comoto.detectors.checkpoint import build_detector
from comoto.errors import CheckpointError, ConfigError

NAMES = (
    "thin",
    "resnet18",
    "resnet34",
    "resnet50",
    "convnext_tiny",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "torchvision/resnet18",
    "torchvision/resnet34",
    "torchvision/resnet50",
    pytest.param("resnet101", marks=pytest.mark.slow),
    pytest.param("torchvision/resnet101", marks=pytest.mark.slow),
)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network and no cache of earlier downloads."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", NAMES)
def test_maps_have_the_stated_shapes_on_grids_of_any_proportion(name: str) -> None:
    config = BackboneConfig(name=name)
    backbone = build_backbone(config, (96, 64)).eval()
    for rows, columns in ((96, 64), (64, 160)):
        with torch.no_grad():
            maps = backbone(torch.rand(2, input_channels(config), rows, columns))
        assert list(maps) == ["c3", "c4", "c5"]
        for level, stride in (("c3", 8), ("c4", 16), ("c5", 32)):
            spec = backbone.level_specs[level]
            assert spec.stride == stride
            assert maps[level].shape == (2, spec.channels, rows // stride, columns // stride)


def test_window_attention_learns_and_reads_the_image_in_its_own_order() -> None:
    """The Swin maps come channels last: a bright corner must light up its own cells."""
    torch.manual_seed(0)
    backbone = build_backbone(BackboneConfig(name="swin_tiny_patch4_window7_224")).eval()
    images = torch.zeros(1, 1, 128, 64)
    bright = images.clone()
    bright[..., 112:, 48:] = 5
    with torch.no_grad():
        change = (backbone(bright)["c3"] - backbone(images)["c3"]).abs().sum(dim=1)[0]
    assert change.shape == (16, 8)
    assert divmod(int(change.argmax()), 8) >= (14, 0)
    assert int(change.argmax()) % 8 >= 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "maxvit_tiny_tf_224",
            r"'maxvit_tiny_tf_224' cannot take images of 256 x 128 pixels.*another backbone",
        ),
        ("coatnet_0_rw_224", "cannot take images of 256 x 128 pixels"),
        ("torchvision/resnet5O", r"did you mean 'torchvision/resnet50'\?"),
    ],
)
def test_a_backbone_that_cannot_take_the_grid_is_refused(name: str, message: str) -> None:
    settings = {"kind": "retinanet", "backbone": {"name": name}}
    config = {"preprocess": {"rows": 256, "columns": 128}, "detector": settings}
    with pytest.raises(ConfigError, match=message):
        build_detector(TrainConfig.model_validate(config))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["resnet18", "torchvision/resnet18"])
def test_weights_that_cannot_be_fetched(name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be fetched.*set detector\.backbone\.weights to a"):
        build_backbone(BackboneConfig(name=name, weights="imagenet"))


def test_a_file_of_torchvisions_own_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = resnet18(weights=None)
    save_file(source.state_dict(), tmp_path / "resnet18.safetensors")
    config = BackboneConfig(name="torchvision/resnet18", weights=tmp_path / "resnet18.safetensors")
    loaded = build_backbone(config).body.state_dict()
    assert all(torch.equal(value, loaded[f"resnet.{key}"]) for key, value in source.state_dict().items())


def test_a_file_of_timms_own_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model("resnet18")
    path = tmp_path / "resnet18.safetensors"
    save_file(source.state_dict(), path)
    loaded = build_backbone(BackboneConfig(name="resnet18", weights=path)).body.state_dict()
    assert torch.equal(loaded["layer4.1.conv2.weight"], source.state_dict()["layer4.1.conv2.weight"])
    grey = source.state_dict()["conv1.weight"].sum(dim=1, keepdim=True)
    assert torch.allclose(loaded["conv1.weight"], grey, atol=1e-6)
    with pytest.raises(CheckpointError, match="another architecture"):
        build_backbone(BackboneConfig(name="resnet34", weights=path))
