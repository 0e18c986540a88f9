"""The list of all settings: complete, true, and on the page in docs/."""

import subprocess
from pathlib import Path

import pytest
import yaml

from comoto.cli.main import OTHER_NAMES, app
from comoto.components import TABLES
from comoto.config import PRESETS, load_train_config, override, parse_yaml
from comoto.config.listing import list_settings, settings_page
from comoto.errors import ConfigError
from comoto.simulation import sized
from comoto.study.config import StudyConfig, load_study
from comoto.study.grid import build_grid

ROOT = Path(__file__).parents[2]
CHOICES = [f"detector.kind={kind}" for kind in TABLES["detector"]]
CHOICES += [f"distill.kind={kind}" for kind in TABLES["distiller"]]


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "make it again: comoto config keys --markdown > docs/settings.md"


@pytest.mark.parametrize("choice", CHOICES)
def test_every_setting_says_what_it_means_and_is_taken_as_it_is_shown(choice: str) -> None:
    config = load_train_config("demo", [choice])
    settings = list(list_settings(config))
    assert [each.key for each in settings if not each.meaning or not each.values] == []
    shown = [each for each in settings if not each.key.startswith("detector.inner_resize.")]
    assert load_train_config("demo", [choice, *(f"{each.key}={each.value}" for each in shown)]) == config


def test_limits_and_choices_are_in_words() -> None:
    found = {each.key: each.values for each in list_settings(load_train_config("demo"))}
    assert found["preprocess.rows"] == "whole number, at least 32, a multiple of 32"
    assert found["optimizer.gradient_clip"] == "number, more than 0 or null"
    assert found["inference.aggregation.iou"] == "number, at least 0, at most 1 or null"
    assert found["impa.num_points"] == "1, 4, 5 or 9"
    assert found["detector.anchor_sizes"] == "list of: list of: whole number"
    assert found["detector.inner_resize.max_side"] == "whole number, at least 32"
    assert found["distill.kind"].startswith("none, image_level, ")


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_shown_is_a_preset(comoto, tmp_path: Path, preset: str) -> None:
    text = comoto("config", "show", preset, "--role", "teacher", "--set", "seed=3").out
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    assert load_train_config(tmp_path / "own.yaml") == load_train_config(preset, ["seed=3"], role="teacher")


def test_the_commands(comoto) -> None:
    said = comoto("config", "keys", "demo", "--set", "distill.kind=lesion_points").out
    assert "batch.size = 8\n    whole number, at least 1. Images a step.\n" in said
    assert "distill.temperature = 4.0\n    number, more than 0. " in said
    assert comoto("config", "keys", "--markdown").out == settings_page()


def test_a_wrong_key_names_the_right_one_wherever_it_stands() -> None:
    for wrong, right in (
        ("epochs=3", "'schedule.epochs'"),
        ("epoch=3", "'schedule.epochs'"),
        ("training.epochs=3", "'schedule.epochs'"),
        ("rows=64", "'preprocess.rows'"),
        ("batch_size=4", "'batch.size' or 'inference.batch_size'"),
        ("learning_rate=1", "'distill.learning_rate' or 'optimizer.learning_rate'"),
        ("distil.kind=none", "'distill'"),
        ("fraction=0.5", "'data.fraction'"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_train_config("demo", [wrong])
        assert str(caught.value).endswith(f"did you mean {right}?"), wrong


def test_wrong_values_name_the_allowed_ones() -> None:
    for wrong, right in (
        ("preprocess.fit=fill", "Input should be 'letterbox' or 'stretch' (got 'fill')"),
        ("preprocess.mirror=maybe", "Input should be true or false (got 'maybe')"),
        ("optimizer.learning_rate=.inf", "Input should be a finite number (got inf)"),
        ("inference.aggregation.kind=nms", "did you mean 'nms_3d'?"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_train_config("demo", [wrong])
        assert str(caught.value).endswith(right)


def test_sections_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("common: {seed: 3}\nstudent: [1]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.yaml: expected 'key: value' lines below student"):
        load_train_config(path)
    with pytest.raises(ConfigError, match=r"expected key\.subkey=value"):
        load_train_config("demo", [".".join("a" * 5000) + "=1"])


def test_names_of_other_programs_lead_to_a_command(comoto) -> None:
    commands = {command.name for command in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    assert {meant.partition(" ")[0] for meant in OTHER_NAMES.values()} <= commands
    assert not commands & set(OTHER_NAMES)
    for name, meant in (("infer", "predict"), ("eval", "evaluate"), ("fit", "train"), ("convert", "prepare")):
        assert f"No such command '{name}'. Did you mean '{meant}'?" in comoto(name, "x").error


def shipped() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.yaml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split() or [str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.yaml")]
    return [ROOT / name for name in names if not name.startswith(".github/")]


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_every_yaml_that_is_shipped_is_valid(path: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    content = parse_yaml(path.read_text(encoding="utf-8"), path.name)
    if path.name == "window_controls.yaml":  # variants that are laid over the second study's
        whole = yaml.safe_load((path.parent / "second_study.yaml").read_text(encoding="utf-8"))
        whole["variants"] |= content.pop("variants")
        assert not content
        assert build_grid(StudyConfig.model_validate(whole), tmp_path).students
    elif "variants" in content:
        assert build_grid(load_study(path), tmp_path).students
    elif path.name == "second_exams.yaml":
        for values in content.values():
            assert override(sized("small", "second"), [], values) != sized("small", "second")
    else:
        for role in ("teacher", "student"):
            load_train_config(path, role=role)


def test_study_files_in_the_docs_are_valid(tmp_path: Path) -> None:
    blocks = [
        block.partition("```")[0]
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for block in page.read_text(encoding="utf-8").split("```yaml\n")[1:]
    ]
    studies = [content for block in blocks if "variants" in (content := yaml.safe_load(block))]
    for content in studies:
        assert build_grid(StudyConfig.model_validate(content), tmp_path).students
