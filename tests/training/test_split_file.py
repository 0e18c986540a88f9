"""Training by a split file: who trains is read from it, and nobody is taught and held out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from comoto import api
from comoto.config import load_train_config
from comoto.errors import ConfigError, DatasetError
from comoto.preprocessing import PreparedStore
from comoto.progress import enable_progress
from comoto.records import Split
from comoto.splits.file import SplitFile, content_hash, load_split_file, save_split_file
from comoto.training.cohorts import choose_cohort, held_out_elsewhere
from comoto.training.earlier_runs import refuse_taught
from comoto.training.record import RunMade, RunRecord, trained_on
from tiny_exams import Exams


@pytest.fixture(scope="module")
def split_path(exams: Exams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of both tiny sets; bcs-dbt has official splits, vindr-mammo no validation."""
    folder = tmp_path_factory.mktemp("splits") / "seed-1"
    manifests = [exams.manifests / name for name in ("vindr-mammo", "bcs-dbt")]
    api.split(manifests, folder, seed=1, validation=0.3, fractions=[0.5])
    return folder / "split.json"


def data(path: Path, *overrides: str):
    return load_train_config("demo", [f"data.split_file={path}", *overrides]).data


def changed(path: Path, to: Path, change) -> Path:
    """The file with another content and a hash that fits."""
    content = json.loads(path.read_text())
    change(content)
    content["hash"] = content_hash(content)
    save_split_file(to, SplitFile.model_validate(content))
    return to


def test_the_file_chooses_instead_of_share_and_seed(exams: Exams, split_path: Path) -> None:
    split = load_split_file(split_path)
    store = PreparedStore(exams.stores / "vindr-mammo")
    cohorts = [
        choose_cohort(store, data(split_path, "data.validation_share=0.9"), 1.0, seed) for seed in (0, 9)
    ]
    assert cohorts[0].people == cohorts[1].people
    assert set(cohorts[0].people) == {p for p in split.part(Split.TRAIN) if p.startswith("vindr-mammo:")}
    assert cohorts[0].patients == tuple(name.removeprefix("vindr-mammo:") for name in cohorts[0].people)
    validation = {f"vindr-mammo:{p}" for p in cohorts[0].validation.images["patient_id"]}
    assert validation == {p for p in split.part(Split.VALIDATION) if p.startswith("vindr-mammo:")}
    trained = {store.record(name).patient_id for name in cohorts[0].train}
    assert trained == set(cohorts[0].patients)


@pytest.mark.parametrize("with_file", [True, False])
def test_images_whose_label_alone_tells_of_a_lesion_are_named(
    exams: Exams, split_path: Path, with_file: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    store = PreparedStore(exams.stores / "bcs-dbt")
    config = data(split_path) if with_file else load_train_config("demo").data
    boxed = [name for name in choose_cohort(store, config, 1.0, 0).train if store.record(name).lesions]
    enable_progress()
    try:
        choose_cohort(store, config, 1.0, 0)
        assert capsys.readouterr().err == ""
        lesions = {name: store.record(name).lesions for name in store.image_ids} | {boxed[0]: ()}
        choose_cohort(store.relabelled(lesions), config, 1.0, 0)
    finally:
        enable_progress(False)
    assert f"1 training images tell of a lesion that no box shows ({boxed[0]})" in capsys.readouterr().err


def test_fractions_come_from_the_file(exams: Exams, split_path: Path) -> None:
    store = PreparedStore(exams.stores / "bcs-dbt")
    cohort = choose_cohort(store, data(split_path), 0.5, 0)
    split = load_split_file(split_path)
    assert set(cohort.people) == {p for p in split.fraction(0.5) if p.startswith("bcs-dbt:")}
    left = {f"bcs-dbt:{p}" for p in cohort.outside.images["patient_id"]}
    assert left == {p for p in split.part(Split.TRAIN) if p.startswith("bcs-dbt:")} - set(cohort.people)
    with pytest.raises(ConfigError, match=r"no fraction 0\.25 \(it has: 0\.5\)"):
        choose_cohort(store, data(split_path), 0.25, 0)
    with pytest.raises(ConfigError, match=r"data\.unit=images does not go with data\.split_file"):
        choose_cohort(store, data(split_path, "data.unit=images"), 0.5, 0)


def test_a_file_of_other_sets_is_refused(exams: Exams, tmp_path: Path) -> None:
    api.split([exams.manifests / "vindr-mammo"], tmp_path / "other", headers=False)
    store = PreparedStore(exams.stores / "bcs-dbt")
    with pytest.raises(DatasetError, match=r"bcs-dbt: the split file is of vindr-mammo;"):
        choose_cohort(store, data(tmp_path / "other" / "split.json"), 1.0, 0)


def test_a_part_that_is_empty_here_is_refused(exams: Exams, split_path: Path, tmp_path: Path) -> None:
    def no_validation(content) -> None:
        content["patients"]["train"] += [p for p in content["patients"]["validation"] if p.startswith("bcs")]
        content["patients"]["validation"] = [
            p for p in content["patients"]["validation"] if p.startswith("v")
        ]

    path = changed(split_path, tmp_path / "split.json", no_validation)
    with pytest.raises(DatasetError, match="none of its validation patients is in"):
        choose_cohort(PreparedStore(exams.stores / "bcs-dbt"), data(path), 1.0, 0)


def test_a_teacher_of_held_out_patients_is_refused(
    exams: Exams, split_path: Path, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    """The teacher's record says whom it saw; a student whose file holds one of them out is stopped."""
    teacher = tmp_path / "teacher"
    api.train_teacher(
        teacher,
        preset="demo",
        overrides=[*exams.teacher_data, "schedule.epochs=1", f"data.split_file={split_path}"],
    )
    seen, by_split_file = trained_on(teacher)
    assert by_split_file
    assert set(seen) == {p for p in load_split_file(split_path).part(Split.TRAIN) if p.startswith("vindr")}
    store = PreparedStore(exams.stores / "bcs-dbt")
    volumes = choose_cohort(store, data(split_path), 1.0, 0)
    refuse_taught(volumes, "teacher", teacher)
    refuse_taught(volumes, "teacher", None)

    def held_out(content) -> None:
        content["patients"]["train"].remove(seen[0])
        content["patients"]["test"].append(seen[0])
        content["fractions"] = {}

    other = changed(split_path, tmp_path / "split.json", held_out)
    student = [*exams.student_data, f"teacher={teacher}", "init=teacher", f"data.split_file={other}"]
    with pytest.raises(
        ConfigError, match=rf"trained on 1 patients whom data\.split_file holds out .*{seen[0]}"
    ):
        api.train_student(tmp_path / "student", preset="demo", overrides=student)
    assert not (tmp_path / "student").exists()


def test_equal_names_are_only_told_where_they_may_be_other_people(
    exams: Exams, split_path: Path, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    volumes = choose_cohort(PreparedStore(exams.stores / "bcs-dbt"), data(split_path), 1.0, 0)
    name = sorted(load_split_file(split_path).part(Split.TEST))[0]
    (tmp_path / "split.json").write_text(json.dumps({"mammograms/train": [name]}))
    refuse_taught(volumes, "teacher", tmp_path)
    assert "warning: by their names, teacher" in told.readouterr().err

    shared = changed(split_path, tmp_path / "shared.json", lambda content: content.update(shared_ids=True))
    assert load_split_file(shared).shared_ids
    object.__setattr__(volumes, "split", load_split_file(shared))
    with pytest.raises(ConfigError, match="train it with the same"):
        refuse_taught(volumes, "teacher", tmp_path)


def test_one_file_for_both_sets_has_nobody_in_two_parts(exams: Exams, split_path: Path) -> None:
    volumes, mammograms = (
        choose_cohort(PreparedStore(exams.stores / name), data(split_path), 1.0, 0)
        for name in ("bcs-dbt", "vindr-mammo")
    )
    assert held_out_elsewhere(volumes, [mammograms]) == []


def test_a_run_is_not_resumed_with_other_patients(tmp_path: Path) -> None:
    config = load_train_config("demo")
    made = RunMade("teacher", {"mammograms/train": ["a"]}, {})
    RunRecord(tmp_path / "run", resume=False).start(config, made)
    RunRecord(tmp_path / "run", resume=True).start(config, made)
    with pytest.raises(ConfigError, match="was started with other patients"):
        RunRecord(tmp_path / "run", resume=True).start(
            config, replace(made, patients={"mammograms/train": ["b"]})
        )
