"""Names in files run no code of strangers: not when they are read, not when they are checked."""

import json
import sys
from pathlib import Path

import pytest
import yaml

import comoto
from comoto.checksums import write_sealed_json
from comoto.cli.main import run as command_line
from comoto.components import allow_code, allowed_code, own_permissions, resolve
from comoto.config import TrainConfig, load_train_config, override
from comoto.detectors.checkpoint import About, build_detector, read_about, save_checkpoint
from comoto.errors import CheckpointError, ConfigError
from comoto.inference.onnx_file import read_properties
from comoto.study.config import StudyConfig, load_study
from comoto.study.grid import build_grid
from comoto.study.spec import load_spec

EVIL = "evil_lab.parts:Part"
ALL_KINDS = ("detector.kind", "distill.kind", "inference.aggregation.kind")


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a file when it is imported; a name of it is in every kind of file below."""
    lab = tmp_path / "lab" / "evil_lab"
    lab.mkdir(parents=True)
    (lab / "__init__.py").write_text("", encoding="utf-8")
    done = tmp_path / "done"
    (lab / "parts.py").write_text(
        "from pathlib import Path\n"
        "from comoto.distill.none import NoDistiller, NoDistillerConfig\n"
        f"Path({str(done)!r}).touch()\n\n"
        "class Settings(NoDistillerConfig):\n    kind: str = 'x'\n\n"
        "class Part(NoDistiller):\n    Config = Settings\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(lab.parent))
    yield done
    for name in [name for name in sys.modules if name.startswith("evil_lab")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _own() -> None:
    with own_permissions():
        yield


def nested(key: str, value: object) -> dict:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def laid_over(content: dict, key: str, value: object) -> dict:
    first, _, rest = key.partition(".")
    return {**content, first: laid_over(content[first], rest, value) if rest else value}


def checkpoint(folder: Path, key: str) -> None:
    config = load_train_config("demo")
    save_checkpoint(folder, build_detector(config), config, About("student", 1, {}))
    content = json.loads((folder / "checkpoint.json").read_text())
    del content["checksum"]
    content["config"] = laid_over(content["config"], key, EVIL)
    write_sealed_json(folder / "checkpoint.json", content)


@pytest.mark.parametrize("key", ALL_KINDS)
def test_a_checkpoint(tmp_path: Path, evil: Path, key: str) -> None:
    checkpoint(tmp_path / "run", key)
    for read in (read_about, comoto.load_model):
        with pytest.raises(
            CheckpointError, match=r"checkpoint\.json: .* named in a file; .* --allow-code evil_lab "
        ):
            read(tmp_path / "run")
    assert not evil.exists()


@pytest.mark.parametrize("key", ALL_KINDS)
@pytest.mark.parametrize("sections", [False, True])
def test_a_preset(tmp_path: Path, evil: Path, key: str, sections: bool) -> None:
    content = nested(key, EVIL)
    path = tmp_path / "preset.yaml"
    path.write_text(yaml.safe_dump({"common": content} if sections else content), encoding="utf-8")
    with pytest.raises(ConfigError, match="--allow-code evil_lab"):
        load_train_config(path)
    assert not evil.exists()


@pytest.mark.parametrize(
    "where", ["settings", "student_settings", "teacher_settings", "regimes", "variants", "rules"]
)
def test_a_study(tmp_path: Path, evil: Path, where: str) -> None:
    key = "inference.aggregation.kind" if where == "rules" else "distill.kind"
    key = "detector.kind" if where == "teacher_settings" else key
    settings = [f"{key}={EVIL}"]
    content = {
        "name": "x",
        "preset": "demo",
        "data": {"mammograms": "/m", "tomosynthesis": "/t"},
        "variants": {"pretraining": {"impa": False}},
    }
    more: object = {"other": settings} if where in ("rules", "regimes") else settings
    if where == "variants":
        more = {**content["variants"], "other": {"impa": False, "settings": settings}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**content, where: more}), encoding="utf-8")
    with pytest.raises(ConfigError, match="--allow-code evil_lab"):
        build_grid(load_study(path), tmp_path)
    assert not evil.exists()


def test_the_order_of_a_worker(tmp_path: Path, evil: Path) -> None:
    study = StudyConfig.model_validate(
        {
            "name": "x",
            "data": {"mammograms": "/m", "tomosynthesis": "/t"},
            "variants": {"pretraining": {"impa": False}},
        }
    )
    run = build_grid(study, tmp_path).students[0]
    content = {
        **{"name": "x", "role": "student", "folder": "/f", "config_hash": "", "test": None, "stop": "/s"},
        **{
            "keep_state": False,
            "config": laid_over(run.config.model_dump(mode="json"), "distill.kind", EVIL),
        },
    }
    write_sealed_json(tmp_path / "spec.json", {"format": "comoto-study-spec-2", **content})
    with pytest.raises(ConfigError, match=r"spec\.json: .*--allow-code evil_lab"):
        load_spec(tmp_path / "spec.json")
    assert not evil.exists()


@pytest.mark.parametrize("key", ALL_KINDS)
@pytest.mark.parametrize("name", ["config.yaml", "run.json"])
def test_a_run_that_is_resumed(tmp_path: Path, evil: Path, key: str, name: str) -> None:
    settings = laid_over(load_train_config("demo").model_dump(mode="json"), key, EVIL)
    if name == "run.json":
        about = {"format": "comoto-run-1", "role": "teacher", "settings": settings, "former_settings": None}
        write_sealed_json(tmp_path / "run.json", about)
    else:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"{name}: .* named in a file; .*--allow-code evil_lab "):
        comoto.train_teacher(tmp_path, resume=True)
    assert not evil.exists()


def test_an_exported_model(tmp_path: Path, evil: Path) -> None:
    config = load_train_config("demo").model_dump(mode="json")
    facts = {"comoto_format": "comoto-onnx-1", "role": "teacher", "epoch": "1", "metric": "{}", "maps": "{}"}
    for key in ALL_KINDS:
        with pytest.raises(CheckpointError, match="--allow-code evil_lab"):
            read_properties(
                tmp_path / "a.onnx", {**facts, "config": json.dumps(laid_over(config, key, EVIL))}
            )
    assert not evil.exists()


def test_what_is_typed_is_allowed_and_then_in_files_too(tmp_path: Path, evil: Path) -> None:
    assert load_train_config("demo", [f"distill.kind={EVIL}"]).distill.kind == EVIL
    assert evil.exists()
    assert allowed_code() == ("evil_lab.parts",)
    path = tmp_path / "config.yaml"
    path.write_text(f"distill: {{kind: '{EVIL}'}}\n", encoding="utf-8")
    assert load_train_config(path).distill.kind == EVIL
    with pytest.raises(ConfigError, match="--allow-code evil_lab "):
        resolve("detector", "evil_lab.other:Part")


def test_a_whole_package_can_be_allowed(tmp_path: Path, evil: Path) -> None:
    comoto.allow_code("evil_lab")
    assert TrainConfig.model_validate(nested("distill.kind", EVIL)).distill.kind == EVIL
    with pytest.raises(ConfigError, match="--allow-code evil_laboratory "):
        resolve("detector", "evil_laboratory:Part")


@pytest.mark.parametrize("name", ["", "a:B", "../a", "a b", "a."])
def test_no_name_of_a_module(name: str) -> None:
    with pytest.raises(ConfigError, match="no name of a module"):
        allow_code(name)


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:Popen", "comoto.study.run:subprocess", ":x", "a/b:c"]
)
@pytest.mark.parametrize("table", ["detector", "distiller", "aggregator", "data set"])
def test_names_that_are_no_component(table: str, name: str) -> None:
    with pytest.raises(ConfigError, match="--allow-code"):
        resolve(table, name)


def test_a_rule_has_to_be_a_class() -> None:
    allow_code("os", "subprocess")
    with pytest.raises(ConfigError, match="'os:system' is no class"):
        resolve("aggregator", "os:system")
    with pytest.raises(ConfigError, match="'subprocess:Popen' has no Config"):
        resolve("distiller", "subprocess:Popen")


def test_an_unknown_rule_fails_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match="unknown aggregator 'nms3d'; did you mean 'nms_3d'"):
        override(load_train_config("demo").inference, ["aggregation.kind=nms3d"])


@pytest.mark.parametrize("place", ["before", "after", "with ="])
def test_the_switch_of_the_command_line(tmp_path: Path, evil: Path, monkeypatch, capsys, place: str) -> None:
    checkpoint(tmp_path / "run", "distill.kind")
    words = ["predict", "--model", str(tmp_path / "run"), "--out", str(tmp_path / "p.csv"), "no-such.dcm"]
    switch = ["--allow-code=evil_lab"] if place == "with =" else ["--allow-code", "evil_lab"]
    allowed = [*switch, *words] if place == "before" else [*words, *switch]
    for arguments, message in ((words, "add --allow-code evil_lab "), (allowed, "no-such.dcm")):
        monkeypatch.setattr(sys, "argv", ["comoto", *arguments])
        with pytest.raises(SystemExit) as leaving:
            command_line()
        assert leaving.value.code == 2
        assert message in capsys.readouterr().err
        assert evil.exists() == (arguments == allowed)
        assert allowed_code() == ()


def test_damage_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    config = load_train_config("demo")
    save_checkpoint(tmp_path, build_detector(config), config, About("teacher", 1, {"m": 0.5}))
    path = tmp_path / "checkpoint.json"
    good = path.read_bytes()
    for damaged in (b"\xff" + good, good.replace(b'"epoch": 1', b'"epoch": 3'), good[:-40], b"[" * 20_000):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"checkpoint\.json: is damaged.*copy the run folder again"):
            read_about(tmp_path)


def test_a_checkpoint_of_the_former_format_opens(tmp_path: Path) -> None:
    config = load_train_config("demo")
    save_checkpoint(tmp_path, build_detector(config), config, About("teacher", 3, {"m": 0.5}))
    path = tmp_path / "checkpoint.json"
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(
        json.dumps({**content, "format": "comoto-checkpoint-1"}, indent=2) + "\n", encoding="utf-8"
    )
    assert read_about(tmp_path)[:2] == (config, About("teacher", 3, {"m": 0.5}))
    path.write_text(json.dumps(content), encoding="utf-8")  # the present format without its checksum
    with pytest.raises(CheckpointError, match="checksum"):
        read_about(tmp_path)


@pytest.mark.parametrize(
    ("typed", "key", "meant"),
    [
        ("distill.kind=lskd", "distill", "lesion_points"),
        ("inference.aggregation.kind=weighted_box_fusion", "aggregation", "box_fusion"),
    ],
)
def test_the_literatures_names_are_understood_and_written_as_ours(typed, key, meant):
    config = load_train_config("demo", [typed, "teacher=runs/t"])
    section = config.distill if key == "distill" else config.inference.aggregation
    assert section.kind == meant
    assert config == load_train_config("demo", [typed.partition("=")[0] + f"={meant}", "teacher=runs/t"])
