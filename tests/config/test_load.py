"""Presets, overrides and the errors a typing mistake gives."""

from pathlib import Path

import pytest
import yaml

from comoto.config import (
    PRESETS,
    InferenceConfig,
    config_hash,
    dump_yaml,
    former_settings,
    load_run_config,
    load_train_config,
    override,
)
from comoto.errors import ConfigError


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_every_preset_loads_for_both_roles(preset: str, role: str) -> None:
    config = load_train_config(preset, role=role)
    assert config.init == ("teacher" if role == "student" else "scratch")
    assert (config.preprocess.rows, config.preprocess.columns) == {
        "demo": (256, 128),
        "small": (512, 256),
        "full": (2048, 1024),
        "paper": (2048, 1024),
    }[preset]


@pytest.mark.parametrize(("preset", "mammograms"), [("demo", 8), ("small", 8), ("full", 4), ("paper", 0)])
def test_the_recipe_mixes_as_many_mammograms_as_slices(preset: str, mammograms: int) -> None:
    student, teacher = (load_train_config(preset, role=role) for role in ("student", "teacher"))
    assert (student.joint.size, teacher.joint.size) == (mammograms, 0)
    assert student.joint.batch_norm == ("mixed" if mammograms else "own")
    assert student.inference.aggregation.kind == ("box_fusion" if mammograms else "local_maximum")
    assert mammograms in (0, student.batch.size)


def test_overrides_win_in_order_and_keep_the_rest() -> None:
    config = load_train_config("demo", ["batch.size=4", "batch.size=6", "init=scratch"])
    assert config.batch.size == 6
    assert config.batch.negative_share == 0.5
    assert config.init == "scratch"


def test_another_kind_drops_the_settings_of_the_former_one() -> None:
    config = load_train_config(
        "demo", ["distill.kind=lesion_points", "distill.level=p4", "distill.kind=none"]
    )
    assert "level" not in config.distill.model_dump()
    assert config.distill.kind == "none"


def test_settings_may_stand_before_their_kind() -> None:
    config = load_train_config("demo", ["distill.weight=0.7", "distill.kind=pkd"])
    assert config.distill == load_train_config("demo", ["distill.kind=pkd", "distill.weight=0.7"]).distill
    assert config.distill.model_dump()["weight"] == 0.7
    changed = override(config, ["distill.weight=0.3", "distill.kind=lesion_points"])
    assert changed.distill.model_dump()["weight"] == 0.3


def test_values_are_taken_as_they_are() -> None:
    values = {"teacher": Path("runs/a #1"), "data.mammograms": (Path("2024-11-23"),), "batch.size": 6}
    config = load_train_config("demo", ["batch.size=6", "joint.size=2"], values=values)
    assert (config.teacher, config.data.mammograms) == (Path("runs/a #1"), (Path("2024-11-23"),))
    assert (config.batch.size, config.joint.size) == (6, 2)
    assert override(config, ["batch.size=3"], {"teacher": Path("null")}).teacher == Path("null")
    with pytest.raises(ConfigError, match=r"unknown configuration key 'batch\.sise'"):
        load_train_config("demo", values={"batch.sise": 4})


def test_a_setting_with_two_values_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"--set batch\.size=4: batch\.size is also given as '6' by an option"
    ):
        load_train_config("demo", ["batch.size=4"], values={"batch.size": 6})
    with pytest.raises(ConfigError, match="--set teacher=other: teacher is also given as 'run'"):
        override(load_train_config("demo"), ["teacher=other"], {"teacher": Path("run")})


@pytest.mark.parametrize("value", ["runs/a #1", "[runs/a, runs/b] # two", "'runs/a' # x"])
def test_what_yaml_would_drop_as_a_comment_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="for a comment and leaves it out; quote the value"):
        load_train_config("demo", [f"data.mammograms={value}"])


def test_a_quoted_hash_a_date_and_an_empty_value() -> None:
    assert load_train_config("demo", ['teacher="runs/a #1"']).teacher == Path("runs/a #1")
    assert load_train_config("demo", ["teacher=runs/a#1"]).teacher == Path("runs/a#1")
    assert load_train_config("demo", ["teacher=2024-11-23"]).teacher == Path("2024-11-23")
    assert load_train_config("demo", ["teacher=2024-11-23 10:00:00"]).teacher == Path("2024-11-23 10:00:00")
    assert load_train_config("demo", ["teacher="]).teacher is None
    assert load_train_config("demo", ["distill={kind: none, start_epoch: 2}"]).distill.start_epoch == 2


def test_settings_may_stand_before_a_kind_that_is_a_value() -> None:
    config = load_train_config("demo", ["distill.weight=0.7"], values={"distill.kind": "pkd"})
    assert config.distill.model_dump()["weight"] == 0.7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch.sise=4", "unknown configuration key 'batch.sise'; did you mean 'batch.size'?"),
        ("detector.backbone.nme=x", "'detector.backbone.nme'; did you mean 'detector.backbone.name'?"),
        (
            "detector.inner_resize.min_sid=3",
            "'detector.inner_resize.min_sid'; did you mean 'detector.inner_resize.min_side'?",
        ),
        ("distill.kind=lesion_point", "unknown distiller 'lesion_point'; did you mean 'lesion_points'?"),
        ("batch.size=0", "'batch.size'.*greater than or equal to 1"),
        ("preprocess.rows=100", "'preprocess.rows'.*multiple of 32"),
        ("batch.size", "expected key.subkey=value"),
        ("joint=3", r"'joint': Input should be a section .* such as joint.KEY=VALUE \(got 3\)"),
        ("distill=pkd", "'distill': .*did you mean distill.kind=pkd"),
        (
            "detector.anchor_sizes=8",
            r"'detector.anchor_sizes': Input should be a list, such as \[8\] \(got 8\)",
        ),
        (
            "distill.kind=no_module_here.losses:X",
            "cannot be imported: .*; name the folder that holds no_module_here in PYTHONPATH",
        ),
        ("distill.kind=comoto.distill.pkd:NoSuch", "cannot be imported: .*no attribute 'NoSuch'$"),
        (
            "distill.kind=comoto.distill.pkd:PkdConfig",
            "'comoto.distill.pkd:PkdConfig' has no Config; name the distiller's class",
        ),
        ("distill.weight=1", r"settings of a distiller \(weight\) without its kind, one of cross_kd, "),
    ],
)
def test_a_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_train_config("demo", [text])


def test_an_unfinished_component_of_outside_code_is_refused(tmp_path: Path, monkeypatch) -> None:
    text = "from comoto.distill.base import Distiller, DistillerConfig\n\nclass Half(Distiller):\n"
    (tmp_path / "half_done.py").write_text(f"{text}    Config = DistillerConfig\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="distiller 'half_done:Half' does not define forward"):
        load_train_config("demo", ["distill.kind=half_done:Half"])


def test_a_key_of_a_chosen_component_is_compared_with_that_component() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'distill\.temperature'"):
        load_train_config("demo", ["distill.kind=lesion_points", "distill.temprature=2"])


def test_a_file_may_be_flat_or_have_sections(tmp_path: Path) -> None:
    flat = tmp_path / "flat.yaml"
    flat.write_text("seed: 3\nbatch: {size: 2}\n")
    assert load_train_config(flat).batch.size == 2
    sections = tmp_path / "sections.yaml"
    sections.write_text("common: {seed: 3}\nteacher: {seed: 4}\n")
    assert load_train_config(sections, role="teacher").seed == 4
    assert load_train_config(sections, role="student").seed == 3
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("common: {seed: 3}\nteachers: {seed: 4}\n")
    with pytest.raises(ConfigError, match="unknown section 'teachers'; did you mean 'teacher'"):
        load_train_config(wrong)
    for text in ("a: [", "- 1"):
        wrong.write_text(text)
        with pytest.raises(ConfigError, match=r"wrong\.yaml"):
            load_train_config(wrong)
    with pytest.raises(ConfigError, match="neither a file nor one of the presets"):
        load_train_config("demmo")


@pytest.mark.parametrize("preset", ["demo", "small", "full"])
def test_the_recipe_is_taken_as_a_whole_or_not_at_all(preset: str) -> None:
    own = load_train_config(preset)
    assert (own.joint.batch_norm, own.average.teacher_shares, own.focus.fit) == ("mixed", (0, 0.25), True)
    for declined in ("joint.size=0", "init=scratch", "data.single_images=true"):
        config = load_train_config(preset, [declined])
        assert (config.average.teacher_shares, config.focus.fit) == ((), False), declined
    teacher = load_train_config(preset, role="teacher")
    assert (teacher.average.teacher_shares, teacher.focus.fit) == ((), False)
    without = load_train_config(preset, ["average.teacher_shares=[]"])
    assert (without.average.teacher_shares, without.focus.fit) == ((), True)
    named = load_train_config(preset, ["joint.size=0", "average.teacher_shares=[0.5]"])
    assert (named.average.teacher_shares, named.focus.fit) == ((0.5,), False)


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("student: {init: teacher, joint: {size: 2}}\nrecipe: {average: {decay: 0.9}}\n")
    assert load_train_config(path).average.decay == 0.9
    assert load_train_config(path, ["joint.size=0"]).average.decay == 0
    path.write_text("recipe: {averages: {decay: 0.9}}\nstudent: {init: teacher, joint: {size: 2}}\n")
    with pytest.raises(ConfigError, match="did you mean 'average'"):
        load_train_config(path)


def test_any_section_can_be_overridden() -> None:
    config = override(InferenceConfig(), ["slice_step=3", "aggregation.kind=nms_3d"])
    assert (config.slice_step, config.aggregation.kind) == (3, "nms_3d")
    with pytest.raises(ConfigError, match="did you mean 'slice_step'"):
        override(InferenceConfig(), ["slicestep=3"])


def test_the_hash_changes_with_any_setting() -> None:
    one, other = load_train_config("demo"), load_train_config("demo", ["augment.gain=0.16"])
    assert config_hash(one) != config_hash(other)
    assert config_hash(one) == config_hash(load_train_config("demo"))


def test_the_configuration_of_a_run_folder_is_a_preset(tmp_path: Path) -> None:
    """Its ``teacher`` is a path or nothing, not a section."""
    for overrides in ([], ["teacher=runs/teacher"]):
        config = load_train_config("demo", overrides)
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        assert load_train_config(path) == config


def test_what_a_run_wrote_means_what_it_meant_then(tmp_path: Path) -> None:
    config = load_train_config("demo")
    assert config.inference.aggregation.span == "spread"
    content = config.model_dump(mode="json")
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(content), encoding="utf-8")
    assert load_run_config(path) == config
    del content["inference"]["aggregation"]["span"]
    path.write_text(dump_yaml(content), encoding="utf-8")
    assert load_run_config(path) == override(config, ["inference.aggregation.span=strong"])
    assert load_train_config(path) == config  # a preset is read as today


@pytest.mark.parametrize(
    "content", [None, 3, {}, {"inference": None}, {"inference": {"aggregation": "tracks"}}]
)
def test_what_is_no_settings_stays_for_the_check_that_refuses_it(content: object) -> None:
    assert former_settings(content) == content
