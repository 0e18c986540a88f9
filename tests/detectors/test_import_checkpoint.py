"""Checkpoints of the published code: imported with their numbers unchanged, or refused by name."""

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from typer.testing import CliRunner

from comoto import api
from comoto.cli.main import app
from comoto.detectors.checkpoint import load_checkpoint
from comoto.detectors.published import (
    FIRST_BLOCK,
    LAST_LAYER,
    OUR_BACKBONE,
    OUR_HEAD,
    _prefix,
    _renamed,
    _which_resnet,
    read_network,
)
from comoto.errors import CheckpointError, ConfigError, OutputExistsError
from tiny_exams import Exams

Weights = OrderedDict[str, Tensor]
SIZES = ((16, 32, 64, 96, 128),)
SMALL = (
    "preprocess.rows=128",
    "preprocess.columns=64",
    "detector.inner_resize={min_side: 96, max_side: 160}",
    f"detector.anchor_sizes={[list(each) for each in SIZES]}",
    "inference.slice_step=4",
    "threads=1",
)


class WholeResNet(nn.Module):
    """A ResNet whose last map is handed on; its classifier stays in the weights."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.body = get_model(name, weights=None)
        self.out_channels = int(self.body.fc.in_features)

    def forward(self, images: Tensor) -> Tensor:
        net = self.body
        x = net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(images))))))
        result: Tensor = net.layer4(net.layer3(x))
        return result


def retinanet(name: str) -> RetinaNet:
    torch.manual_seed(0)
    anchors = AnchorGenerator(SIZES, ((0.5, 1.0, 2.0),))
    net = RetinaNet(WholeResNet(name), 2, min_size=96, max_size=160, anchor_generator=anchors)
    with torch.no_grad():
        net.head.classification_head.cls_logits.bias += 1.5
    return net.eval()


@pytest.fixture(scope="module")
def published() -> RetinaNet:
    return retinanet("resnet18")


@pytest.fixture
def weights(published: RetinaNet) -> Weights:
    return OrderedDict(published.state_dict())


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def renamed(weights: Weights, change: Callable[[str], str]) -> Weights:
    return OrderedDict((change(key), value) for key, value in weights.items())


def old_numbers(key: str) -> str:
    """``conv.3.0.weight`` was ``conv.6.weight`` in torchvision before 0.14."""
    for number in range(4):
        key = key.replace(f"head.conv.{number}.0.", f"head.conv.{2 * number}.")
    return key


def test_the_run_detects_what_the_published_network_detects(
    published: RetinaNet, weights: Weights, tmp_path: Path
) -> None:
    file = saved(tmp_path / "best.pt", {"network": weights, "epoch": 3})
    imported = api.import_checkpoint(file, tmp_path / "run", role="student", overrides=SMALL)
    assert (imported.run, imported.resnet) == (tmp_path / "run", "resnet18")
    # numbers in the same order in memory: offsets of untrained weights reach 62 anchors, and so does rounding
    detector = load_checkpoint(tmp_path / "run").detector
    images = torch.rand(2, 1, 128, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found = detector.predict(detector.features(images))
        wanted = published([each.expand(3, -1, -1) * 255 for each in images])
    for one, other in zip(found, wanted, strict=True):
        lesions = other["labels"] == 1
        assert int(lesions.sum()) > 3
        assert torch.allclose(one.scores, other["scores"][lesions], atol=1e-5)
        assert torch.allclose(one.boxes_xyxy, other["boxes"][lesions], atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key.replace("backbone.body.", "backbone."),
        lambda key: key.replace("backbone.body.", "backbone.0."),
        lambda key: key.replace("backbone.body.", "backbone.body.0."),
        lambda key: "module." + key,
        lambda key: "net." + key,
        old_numbers,
    ],
    ids=["plain", "sequential", "nested", "data-parallel", "wrapped", "old-torchvision"],
)
def test_names_are_found_wherever_the_parts_sit(change: Callable[[str], str], tmp_path: Path) -> None:
    with torch.device("meta"):
        keys = retinanet("resnet18").state_dict()
    network = OrderedDict((key, torch.full((), number)) for number, key in enumerate(keys))
    file = saved(tmp_path / "best.pt", {"network": renamed(network, change)})
    assert by_our_names(read_network(file), file) == by_our_names(network, file)


def by_our_names(network: dict[str, Tensor], file: Path) -> dict[str, int]:
    prefixes = (_prefix(network, ending, file) for ending in (FIRST_BLOCK, LAST_LAYER))
    result = {key: int(value) for key, value in _renamed(network, *prefixes).items()}
    assert all(key.startswith((OUR_BACKBONE, OUR_HEAD)) for key in result)
    return result


def test_from_a_checkpoint_to_predictions(weights: Weights, tmp_path: Path, exams: Exams) -> None:
    file = saved(tmp_path / "best.pt", {"network": weights})
    run, table = tmp_path / "run", tmp_path / "predictions.csv"
    options = [word for each in SMALL for word in ("--set", each)]
    done = CliRunner().invoke(
        app, ["import-checkpoint", str(file), "--role", "student", "--out", str(run), *options]
    )
    assert done.exit_code == 0, done.output
    assert "a student on resnet18" in done.stdout
    volume = sorted(exams.bcs_dbt.rglob("*.dcm"))[0]
    done = CliRunner().invoke(app, ["predict", str(volume), "--model", str(run), "--out", str(table)])
    assert done.exit_code == 0, done.output
    lines = table.read_text().splitlines()
    assert lines[0].startswith("PatientID,")
    assert len(lines) > 1


def test_the_paper_preset_stands_in_the_run(weights: Weights, tmp_path: Path) -> None:
    file = saved(tmp_path / "best.pt", {"network": weights})
    config = api.import_checkpoint(file, tmp_path / "run", role="teacher").config
    detector: Any = config.detector
    assert (config.preprocess.rows, config.preprocess.columns) == (2048, 1024)
    assert detector.backbone.name == "torchvision/resnet18"
    assert detector.anchor_sizes == ((32, 64, 128, 256, 512),)
    assert (detector.inner_resize.min_side, detector.inner_resize.max_side) == (800, 1333)
    assert api.load_model(tmp_path / "run", "cpu").config == config


@pytest.mark.parametrize("name", ["resnet34", "resnet50", "resnet101"])
def test_the_depth_is_read_from_the_keys(name: str, tmp_path: Path) -> None:
    """On keys alone: the shapes of these towers would fill gigabytes."""
    with torch.device("meta"):
        network = {f"backbone.{key}": value for key, value in get_model(name).state_dict().items()}
    assert _which_resnet(network, "backbone.", tmp_path) == name


def test_a_missing_classifier_is_no_loss(weights: Weights, tmp_path: Path) -> None:
    without = OrderedDict((key, value) for key, value in weights.items() if ".fc." not in key)
    file = saved(tmp_path / "best.pt", {"network": without})
    api.import_checkpoint(file, tmp_path / "run", role="student", overrides=SMALL)


def without_a_layer(weights: Weights) -> dict[str, Any]:
    return {"network": {key: value for key, value in weights.items() if "layer4.1.conv2" not in key}}


def with_a_pyramid(weights: Weights) -> dict[str, Any]:
    return {"network": {**weights, "backbone.fpn.inner_blocks.0.0.weight": torch.zeros(1)}}


def with_nan(weights: Weights) -> dict[str, Any]:
    key = "head.classification_head.cls_logits.bias"
    return {"network": {**weights, key: torch.full_like(weights[key], torch.nan)}}


def with_one_class(weights: Weights) -> dict[str, Any]:
    key = "head.classification_head.cls_logits.weight"
    return {"network": {**weights, key: weights[key][:15]}}


def of_a_deeper_resnet(weights: Weights) -> dict[str, Any]:
    more = {f"backbone.body.layer3.{n}.conv1.weight": torch.zeros(1) for n in range(36)}
    return {"network": {**weights, **more}}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: {"model": w, "epoch": 3}, "no key 'network'.*there are 2: model, epoch"),
        (lambda w: [1, 2], "holds no named entries"),
        (dict, r"bare weights, without the key 'network'.*torch\.save\(\{'network'"),
        (with_nan, r"'head\.classification_head\.cls_logits\.bias' holds NaN"),
        (lambda w: {"network": [1, 2]}, "something else than named tensors"),
        (lambda w: {"network": {"a": torch.zeros(1)}}, "0 keys end with 'layer1.0.conv1.weight'.*1: a"),
        (without_a_layer, r"1 missing \(.*layer4\.1\.conv2\.weight\)"),
        (with_a_pyramid, r"1 unknown \(backbone\.fpn\.inner_blocks\.0\.0\.weight\)"),
        (with_one_class, r"1 of another shape \(.*\(15, 512, 3, 3\) instead of \(30, 512, 3, 3\)"),
        (of_a_deeper_resnet, "36 blocks in layer3; known are resnet18"),
    ],
)
def test_other_content_is_refused_and_named(
    make: Callable[[Weights], Any], message: str, weights: Weights, tmp_path: Path
) -> None:
    file = saved(tmp_path / "best.pt", make(weights))
    with pytest.raises(CheckpointError, match=message) as refusal:
        api.import_checkpoint(file, tmp_path / "run", role="student", overrides=SMALL)
    assert str(file) in str(refusal.value)
    assert not (tmp_path / "run").exists()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
def test_pickled_code_is_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    content = {"network": Trap(tmp_path / "trapped")}
    file = saved(tmp_path / "best.pt", content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"pickled code \((posix|nt)\.mkdir\), which is never run"):
        read_network(file)
    assert not (tmp_path / "trapped").exists()


def test_a_whole_pickled_model_is_refused(published: RetinaNet, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"pickled code \(.*RetinaNet.*save only the state_dict"):
        read_network(saved(tmp_path / "best.pt", {"network": published}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of torch.save"),
        (b"PatientID,x\n1,2\n", "not a file of torch.save, or damaged$"),
        (b"eleven", "not a file of torch.save, or damaged$"),
        (pickle.dumps({"network": 1}), "not a file of torch.save|something else"),
        (b"PK\x03\x04 and so on", "not a file of torch.save"),
    ],
)
def test_another_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_network(tmp_path / "best.pt")
    with pytest.raises(CheckpointError, match="no such file"):
        read_network(tmp_path / "nothing.pt")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 1500), noise=st.binary(max_size=30))
@example(cut=64, noise=b"J\x00\x00\x00\x00Q")
@example(cut=1311, noise=b"\x00\x10")  # a tensor that is called a folder: torch would return memory
@example(cut=91, noise=b"\x00")  # another name in place of the tensor's, were it not for the checksums
def test_damage_is_an_error_of_ours(cut: int, noise: bytes, tmp_path: Path) -> None:
    """Any cut and any noise in a small file: a CheckpointError, or the tensors as they were."""
    file = saved(tmp_path / "small.pt", {"network": {"a": torch.arange(4.0)}})
    whole = file.read_bytes()
    file.write_bytes(whole[:cut] + noise + whole[cut + len(noise) :])
    try:
        network = read_network(file)
    except CheckpointError:
        return
    assert network.keys() == {"a"}
    assert torch.equal(network["a"], torch.arange(4.0))


def test_nothing_is_overwritten_and_settings_are_checked(weights: Weights, tmp_path: Path) -> None:
    file = saved(tmp_path / "best.pt", {"network": weights})
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match="preproces"):
        api.import_checkpoint(file, tmp_path / "run", role="student", overrides=["preproces.rows=64"])
    assert not any((tmp_path / "run").iterdir())
    api.import_checkpoint(file, tmp_path / "run", role="student", overrides=SMALL)
    with pytest.raises(OutputExistsError, match="not an empty folder"):
        api.import_checkpoint(file, tmp_path / "run", role="student", overrides=SMALL)
    with pytest.raises(OutputExistsError, match="not an empty folder"):
        api.import_checkpoint(file, file, role="student")
