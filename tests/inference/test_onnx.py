"""Exported ONNX files: the same detections as torch, and files that are refused before they run."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from comoto import api
from comoto.config import InferenceConfig, config_hash, load_train_config
from comoto.detections import Detections
from comoto.detectors.checkpoint import (
    About,
    build_detector,
    load_checkpoint,
    save_checkpoint,
)
from comoto.errors import CheckpointError, ConfigError, OutputExistsError
from comoto.inference import onnx_export
from comoto.inference.onnx_file import check_seal, preset_of, seal
from comoto.inference.onnx_model import load_onnx_model
from comoto.inference.predict import predict_volume
from tiny_exams import Exams

GRID = ("preprocess.rows=96", "preprocess.columns=64", "precision=32-true")
TAIL = 4 + 2 + len("comoto_sha256") + 64
"""Bytes of the seal: four of two keys and lengths around the entry's, two around the key."""


def random_run(folder: Path, *settings: str) -> Path:
    """The run folder of an untrained student on a grid of 96 x 64 whose batch norms have seen pictures."""
    config = load_train_config("demo", [*GRID, *settings])
    torch.manual_seed(0)
    detector = build_detector(config).train()
    with torch.no_grad():
        for _ in range(20):
            detector.features(torch.rand(4, 1, 96, 64))
    folder.mkdir()
    save_checkpoint(folder, detector, config, About("student", 1, {}))
    return folder


def assert_same(ours: Detections, theirs: Detections) -> None:
    np.testing.assert_allclose(theirs.scores, ours.scores, atol=1e-4)
    np.testing.assert_allclose(theirs.boxes_xyxy, ours.boxes_xyxy, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_volume_has_the_detections_of_torch(
    exams: Exams, student_run: Path, student_onnx: Path, batch_size: int
) -> None:
    settings = InferenceConfig(batch_size=batch_size, slice_step=1)
    path = sorted(exams.bcs_dbt.rglob("*.dcm"))[0]
    ours = predict_volume(api.load_model(student_run, "cpu"), path, settings)
    theirs = predict_volume(api.load_model(student_onnx, "cpu"), path, settings)
    assert len(ours) == len(theirs) > 3
    np.testing.assert_allclose(theirs.scores, ours.scores, atol=1e-4)
    np.testing.assert_allclose(theirs.boxes_xyxy, ours.boxes_xyxy, atol=1e-3)
    np.testing.assert_array_equal(theirs.first_slice, ours.first_slice)


@pytest.mark.slow
def test_fcos_with_an_inner_resize_has_the_detections_of_torch(tmp_path: Path) -> None:
    kind = (
        "detector={kind: fcos, backbone: {name: thin}, pyramid_channels: 32, coarse_levels: false, "
        "tower_convolutions: 1, score_threshold: 0.001, pixel_range: 255, "
        "inner_resize: {min_side: 80, max_side: 120}}"
    )
    run = random_run(tmp_path / "run", kind)
    exported = api.export_onnx(run, tmp_path / "fcos.onnx")
    assert exported.difference <= 1e-4
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 90, 60), dtype=np.uint8))
    ours = api.load_model(run, "cpu").detect(pictures)
    theirs = api.load_model(exported.path, "cpu").detect(pictures)
    assert sum(len(one.scores) for one in ours) > 10
    for one, other in zip(ours, theirs, strict=True):
        assert_same(one, other)


def test_the_file_says_what_it_is(student_run: Path, student_onnx: Path) -> None:
    checkpoint = load_checkpoint(student_run)
    told = {entry.key: entry.value for entry in onnx.load(student_onnx).metadata_props}
    assert told["notice"] == "research software, not a medical device"
    assert told["comoto_version"] == "0.1.0"
    assert told["preset"] == "own"  # the tiny grid is of no shipped preset
    assert told["config_hash"] == config_hash(checkpoint.config)
    assert told["weights_sha256"] == checkpoint.sha256
    assert (told["run"], told["role"]) == (student_run.name, "student")
    content = student_onnx.read_bytes()
    assert told["comoto_sha256"] == hashlib.sha256(content[:-TAIL]).hexdigest()
    assert str(student_run.parent.parent).encode() not in content  # no path of the data or of the teacher
    model, about = load_onnx_model(student_onnx)
    assert about == checkpoint.about
    assert model.config.preprocess == checkpoint.config.preprocess
    assert model.sha256 == told["comoto_sha256"]


def test_no_folder_of_the_machine_stands_in_the_file(student_onnx: Path) -> None:
    content = student_onnx.read_bytes()
    for place in (Path(torch.__file__).parent, Path(api.__file__).parents[1], Path.home()):
        assert str(place).encode() not in content
    assert b"site-packages" not in content


def test_any_batch_fits_and_the_grid_is_fixed(student_onnx: Path) -> None:
    (images,) = onnx.load(student_onnx).graph.input
    sizes = [size.dim_param or size.dim_value for size in images.type.tensor_type.shape.dim]
    assert sizes == ["batch", 1, 128, 64]
    onnx.checker.check_model(str(student_onnx), full_check=True)


def test_the_preset_is_named() -> None:
    config = load_train_config("small", ["detector.backbone.weights=imagenet"])
    assert preset_of(config, "student") == "small"
    assert preset_of(load_train_config("small", ["preprocess.rows=256"]), "student") == "own"


def test_a_detector_without_a_plain_head_is_refused(tmp_path: Path) -> None:
    run = random_run(tmp_path / "run", "detector={kind: faster_rcnn, backbone: {name: thin}}")
    with pytest.raises(ConfigError, match=r"faster_rcnn cannot be exported.*retinanet and fcos can"):
        api.export_onnx(run, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_network_that_computes_something_else_is_not_put_in_place(
    student_run: Path, student_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bias that is 0.002 off: less than a hundredth of a logit of about -4.6, and far above 1e-4."""
    model = onnx.load(student_onnx)
    for own in model.graph.initializer:
        if own.name.endswith("cls_logits.bias"):
            own.raw_data = (np.frombuffer(own.raw_data, np.float32) + np.float32(2e-3)).tobytes()
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(onnx_export, "_program", lambda *_: Stored(model))
    with pytest.raises(CheckpointError, match=r"model\.onnx: not written.*differs from torch by [0-9.]+e-04"):
        api.export_onnx(student_run, tmp_path / "out" / "model.onnx")
    assert list((tmp_path / "out").iterdir()) == []


class Stored:
    """A finished ONNX model in the place of the exporter's."""

    def __init__(self, proto: Any) -> None:
        self.proto, self.metadata_props = proto, {}
        self.model, self.graph, self.functions = self, (), {}

    def save(self, path: str, **_: Any) -> None:
        onnx.save(self.proto, path)


class TestOutput:
    def test_a_finished_file_is_not_replaced(self, student_run: Path, student_onnx: Path) -> None:
        with pytest.raises(OutputExistsError, match=r"exists; .*--overwrite"):
            api.export_onnx(student_run, student_onnx)

    def test_a_folder_is_refused(self, student_run: Path, tmp_path: Path) -> None:
        with pytest.raises(OutputExistsError, match="is a folder"):
            api.export_onnx(student_run, tmp_path)

    def test_a_missing_run_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="nowhere: no such folder"):
            api.export_onnx(tmp_path / "nowhere", tmp_path / "model.onnx")


def changed(edit: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    return lambda source, path: path.write_bytes(edit(source.read_bytes())) and None


def foreign(source: Path, path: Path) -> None:
    """A network of somebody else."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph), path)


DAMAGES = {
    "cut": changed(lambda content: content[: len(content) // 2]),
    "last byte missing": changed(lambda content: content[:-1]),
    "one bit of the weights": changed(
        lambda content: content[:90_000] + bytes([content[90_000] ^ 1]) + content[90_001:]
    ),
    "more behind": changed(lambda content: content + b"\x00"),
    "empty": changed(lambda content: b""),
    "text": changed(lambda content: b"PatientID,StudyUID\n" * 40),
    "foreign": foreign,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_ours_or_not_whole_is_refused(
    student_onnx: Path, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "model.onnx"
    DAMAGES[damage](student_onnx, path)
    with pytest.raises(CheckpointError, match=r"model\.onnx: is not what 'comoto export onnx' wrote"):
        api.load_model(path)


def edited(source: Path, path: Path, **changes: str) -> None:
    """A file with other metadata and a seal that fits."""
    model = onnx.load(source)
    entries = {entry.key: entry.value for entry in model.metadata_props} | changes
    del entries["comoto_sha256"]
    helper.set_model_props(model, entries)
    onnx.save(model, path)
    assert seal(path) == check_seal(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"comoto_format": "comoto-onnx-0"}, "format 'comoto-onnx-0', this version reads"),
        ({"config": "{}x"}, "written by another version"),
        ({"role": "head"}, "written by another version"),
        ({"maps": "[1]"}, "written by another version"),
    ],
)
def test_metadata_of_another_version_are_refused(
    student_onnx: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    edited(student_onnx, tmp_path / "model.onnx", **changes)
    with pytest.raises(CheckpointError, match=message):
        api.load_model(tmp_path / "model.onnx")


def test_settings_of_another_grid_are_refused(student_run: Path, student_onnx: Path, tmp_path: Path) -> None:
    config = load_checkpoint(student_run).config
    other = config.model_copy(update={"preprocess": config.preprocess.model_copy(update={"rows": 256})})
    edited(student_onnx, tmp_path / "model.onnx", config=other.model_dump_json())
    with pytest.raises(CheckpointError, match=r"images of \[1, 128, 64\], its settings say \[1, 256, 64\]"):
        api.load_model(tmp_path / "model.onnx")


def test_a_sealed_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no protocol buffer")
    seal(tmp_path / "model.onnx")
    with pytest.raises(CheckpointError, match=r"model\.onnx: ONNX Runtime cannot open it"):
        api.load_model(tmp_path / "model.onnx")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.onnx: no such file; 'comoto export onnx'"):
        api.load_model(tmp_path / "nowhere.onnx")


def test_a_model_of_the_other_role_is_refused(student_onnx: Path) -> None:
    with pytest.raises(CheckpointError, match="this is a student, a teacher is needed here"):
        load_onnx_model(student_onnx, role="teacher")


def test_devices_are_those_of_onnx_runtime(student_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    assert load_onnx_model(student_onnx, device="auto")[0].device.type == "cpu"
    with pytest.raises(ConfigError, match=r"this ONNX Runtime has no CUDA.*pip install onnxruntime-gpu"):
        api.load_model(student_onnx, device="cuda")
    with pytest.raises(ConfigError, match="unknown device 'cdua'; did you mean 'cuda'"):
        api.load_model(student_onnx, device="cdua")


def test_a_missing_package_is_named_with_the_remedy(
    student_run: Path, student_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install onnxruntime$"):
        api.load_model(student_onnx)
    with pytest.raises(
        ConfigError, match=r"the package onnxruntime .*pip install onnx onnxscript onnxruntime"
    ):
        api.export_onnx(student_run, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_detector_beside_a_session_holds_no_weights(student_onnx: Path) -> None:
    model = load_onnx_model(student_onnx)[0]
    assert {parameter.device.type for parameter in model.detector.parameters()} == {"meta"}
