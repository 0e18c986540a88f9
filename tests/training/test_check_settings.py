"""Settings that contradict each other or do nothing are refused before anything is read."""

from pathlib import Path

import pandas as pd
import pytest

from comoto import api
from comoto.config import load_train_config
from comoto.errors import ConfigError
from comoto.preprocessing import PreparedStore
from comoto.records import Manifest, Split
from comoto.training.check_settings import check_settings
from comoto.training.cohorts import Cohort, choose_cohort, held_out_elsewhere
from tiny_exams import Exams


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_images_that_were_turned_alike_are_not_reversed_again(role: str, tmp_path: Path) -> None:
    train = {"teacher": api.train_teacher, "student": api.train_student}[role]
    with pytest.raises(
        ConfigError, match=r"horizontal_flip=0\.3 .*preprocess\.mirror=true.*horizontal_flip=0"
    ):
        train(tmp_path / "run", preset="demo", overrides=["augment.horizontal_flip=0.3"])
    both = ["augment.horizontal_flip=0.3", "preprocess.mirror=false"]
    check_settings(load_train_config("demo", both, role), role)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("distill.kind=lesion_points", r"distill\.kind=lesion_points;"),
        ("distill={kind: none, start_epoch: 2}", r"distill\.start_epoch=2;"),
        ("joint.size=4", r"joint\.size=4;"),
        ("self_training.every=1", r"self_training\.every=1;"),
        ("data.fraction=0.1", r"data\.fraction=0\.1;"),
        ("init=teacher", r"init=teacher;"),
        ("teacher=runs/other", r"teacher=runs/other;"),
    ],
)
def test_a_teacher_refuses_what_is_meant_for_the_student(setting: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"a teacher has no use for {named} leave out"):
        api.train_teacher(tmp_path / "run", preset="demo", overrides=[setting])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("preset", ["demo", "small", "full", "paper"])
def test_every_preset_is_free_of_such_settings(preset: str, told: pytest.CaptureFixture[str]) -> None:
    check_settings(load_train_config(preset, role="teacher"), "teacher")
    check_settings(load_train_config(preset, ["distill.kind=pkd", "joint.size=2"]), "student")
    assert told.readouterr().err == ""


def test_a_student_is_told_that_impa_does_nothing(told: pytest.CaptureFixture[str]) -> None:
    check_settings(load_train_config("demo", ["impa.weight=0"]), "student")
    assert "impa.weight=0.0 does nothing in a student's run" in told.readouterr().err
    check_settings(load_train_config("demo", ["impa.weight=0"], "teacher"), "teacher")
    assert told.readouterr().err == ""


def renamed(cohort: Cohort, names: dict[str, str]) -> Cohort:
    """The same cohort with other names for some of its patients."""
    patients = tuple(names.get(name, name) for name in cohort.patients)
    return Cohort(cohort.store, cohort.train, cohort.outside, cohort.validation, patients)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["self_training.size=2"], r"self_training\.start_epoch=3 is never reached: schedule\.epochs=3; "),
        (
            ["distill.kind=lesion_points", "distill.start_epoch=4"],
            r"distill\.start_epoch=4 is never reached: .* set it to 2 or less, or train longer",
        ),
        (["batch.mined_negatives.share=0.5"], r"batch\.mined_negatives\.start_epoch=3 is never reached"),
    ],
)
def test_what_would_never_begin_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_settings(load_train_config("demo", ["schedule.epochs=3", *settings]), "student")
    reached = ["schedule.epochs=5", "self_training.start_epoch=4", "self_training.size=2"]
    check_settings(load_train_config("demo", reached), "student")


@pytest.mark.parametrize("none", ["batch.negatives=background", "batch.negative_share=0"])
def test_a_share_of_no_negatives_is_refused(none: str) -> None:
    settings = ["schedule.epochs=5", "batch.mined_negatives.share=0.5"]
    check_settings(load_train_config("demo", settings), "student")
    with pytest.raises(ConfigError, match=rf"{none}(\.0)? draws none; set batch\.mined_negatives\.share=0"):
        check_settings(load_train_config("demo", [*settings, none]), "student")


def test_held_out_patients_are_found_among_the_mammograms(exams: Exams) -> None:
    config = load_train_config("demo").data
    stores = [PreparedStore(exams.stores / name) for name in ("bcs-dbt", "vindr-mammo")]
    volumes, mammograms = (choose_cohort(store, config, 1.0, 0) for store in stores)
    assert held_out_elsewhere(volumes, [mammograms]) == []
    splits = pd.concat([volumes.store.manifest.split(Split(name)).images for name in ("train", "test")])
    train, test = (splits.loc[splits["split"] == name, "patient_id"].iloc[0] for name in ("train", "test"))
    validation = volumes.validation.images["patient_id"].iloc[0]
    own = mammograms.patients
    shared = renamed(mammograms, {own[0]: test, own[1]: train, own[2]: validation})
    assert held_out_elsewhere(volumes, [mammograms, shared]) == sorted([test, validation])
    assert isinstance(volumes.store.manifest, Manifest)
