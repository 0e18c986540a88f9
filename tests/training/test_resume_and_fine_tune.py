"""Resuming with little to say, on longer schedules and moved data; starting from another run's weights."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from comoto import api
from comoto.checksums import read_json_object, write_sealed_json
from comoto.config import load_train_config
from comoto.errors import CheckpointError, ConfigError, DatasetError
from comoto.preprocessing.store import PreparedStore
from comoto.records import Manifest
from comoto.training.environment import continued, environment
from comoto.training.identity import store_identity
from comoto.training.log_file import read_log
from comoto.training.record import saved_config
from saved_states import saved_state
from tiny_exams import TINY, Exams


@pytest.fixture
def short(teacher_run: Path, tmp_path: Path) -> Path:
    """A copy of the teacher of four epochs."""
    return Path(shutil.copytree(teacher_run, tmp_path / "short"))


def test_resume_needs_nothing_but_the_folder_and_may_lengthen(
    exams: Exams, short: Path, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    result = api.train_teacher(short, resume=True, overrides=["schedule.epochs=5"])
    assert result.epoch == 5
    assert "goes on with schedule.epochs=5, so far 4" in told.readouterr().err
    assert [row["epoch"] for row in read_log(short / "log.csv")] == [1, 2, 3, 4, 5]
    assert json.loads((short / "run.json").read_text())["resumed"] == [
        {"after_epoch": 4, "changed": {"schedule.epochs": [4, 5]}}
    ]
    assert load_train_config(short / "config.yaml").schedule.epochs == 5
    with pytest.raises(ConfigError, match=r"schedule\.epochs 5 \(now 4\); schedule\.epochs may only grow"):
        api.train_teacher(short, resume=True, overrides=["schedule.epochs=4"])
    with pytest.raises(ConfigError, match=r"other settings: batch\.size 4 \(now 2\)$"):
        api.train_teacher(short, resume=True, overrides=["batch.size=2"])


def test_a_folder_without_a_run_has_nothing_to_resume(tmp_path: Path) -> None:
    for train in (api.train_teacher, api.train_student):
        with pytest.raises(ConfigError, match="no run to resume here"):
            train(tmp_path / "nowhere", resume=True)
    assert list(tmp_path.iterdir()) == []


def test_the_same_store_at_another_path_is_accepted_and_another_store_is_not(
    exams: Exams, short: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(exams.stores / "vindr-mammo", tmp_path / "moved # 2")
    assert api.train_teacher(short, resume=True, mammograms=moved).epoch == 4
    assert saved_config(short).data.mammograms == (moved,)
    other = tmp_path / "other"
    manifest = Manifest.load(exams.manifests / "vindr-mammo")
    patients = sorted(set(manifest.images["patient_id"]))
    api.prepare(
        manifest.select(manifest.images["patient_id"] != patients[0]), other, preset="demo", overrides=TINY
    )
    with pytest.raises(ConfigError, match=r"other content under data\.mammograms"):
        api.train_teacher(short, resume=True, mammograms=other)


def test_a_store_prepared_from_a_replaced_image_is_another(exams: Exams, tmp_path: Path) -> None:
    """Manifest and settings are the same, and so is the place."""
    copied = Path(shutil.copytree(exams.stores / "vindr-mammo", tmp_path / "store"))
    before = store_identity(PreparedStore(copied))
    assert before == store_identity(PreparedStore(exams.stores / "vindr-mammo"))
    index = copied / "manifest" / "planes.json"
    content = read_json_object(index, DatasetError, "")
    first, second, *_ = content["planes"]
    content["planes"][first] = content["planes"][second]
    write_sealed_json(index, content)
    assert store_identity(PreparedStore(copied)) != before


def test_a_student_goes_on_with_its_folder_alone(student_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(student_run, tmp_path / "student"))
    before = (run / "config.yaml").read_bytes()
    assert api.train_student(run, resume=True).epoch == 4
    assert (run / "config.yaml").read_bytes() == before
    with pytest.raises(ConfigError, match="is a run of 'comoto train student'"):
        api.train_teacher(run, resume=True, overrides=["init=scratch", "distill.kind=none", "teacher=null"])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return {key.removeprefix("detector."): value for key, value in saved_state(run)["step"].items()}


@pytest.mark.parametrize(
    ("role", "source"), [("teacher", "student"), ("student", "student"), ("student", "teacher")]
)
def test_first_weights_are_those_of_another_run(
    exams: Exams, teacher_run: Path, student_run: Path, tmp_path: Path, role: str, source: str
) -> None:
    start = {"teacher": teacher_run, "student": student_run}[source]
    still = ["optimizer.learning_rate=1e-12", "optimizer.weight_decay=0", "schedule.epochs=1"]
    run = tmp_path / "run"
    if role == "teacher":
        api.train_teacher(run, preset="demo", overrides=[*exams.teacher_data, *still], init_from=start)
    else:
        store = exams.stores / "bcs-dbt"
        api.train_student(run, preset="demo", overrides=[*TINY, *still], init_from=start, tomosynthesis=store)
    first, trained = load_file(start / "model.safetensors"), weights(run)
    kept = [key for key in first if "running_" not in key and "num_batches" not in key]
    assert all(torch.allclose(first[key], trained[key], atol=1e-9) for key in kept)
    about = json.loads((run / "run.json").read_text())
    assert about["settings"]["init_from"] == str(start)
    assert about["inputs"]["init_from"] == json.loads((start / "checkpoint.json").read_text())["sha256"]


def test_weights_of_another_architecture_are_one_sentence(
    exams: Exams, teacher_run: Path, tmp_path: Path
) -> None:
    overrides = [*exams.teacher_data, "detector.backbone.name=resnet18"]
    with pytest.raises(CheckpointError) as caught:
        api.train_teacher(tmp_path / "run", preset="demo", overrides=overrides, init_from=teacher_run)
    assert str(caught.value) == (
        f"{teacher_run}: weights of another architecture: a retinanet on thin, and this run is set to a "
        "retinanet on resnet18 (detector.backbone.name 'thin' instead of 'resnet18'); use the detector "
        f"settings of {teacher_run / 'config.yaml'}"
    )
    assert not (tmp_path / "run").exists()


def test_first_weights_that_know_the_held_out_patients_are_told(
    exams: Exams, teacher_run: Path, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    """Another seed holds out other patients of the same set."""
    overrides = [*exams.teacher_data, "schedule.epochs=1", "seed=1"]
    api.train_teacher(tmp_path / "run", preset="demo", overrides=overrides, init_from=teacher_run)
    assert "patients who are named like some held out here" in told.readouterr().err


def test_a_teacher_that_nothing_uses_is_refused(exams: Exams, teacher_run: Path, tmp_path: Path) -> None:
    """The settings of a teacher's run as a preset are those of a network that starts from nothing."""
    with pytest.raises(ConfigError, match=r"is named, but init=scratch and distill\.kind=none use none"):
        api.train_student(
            tmp_path / "run",
            preset=teacher_run / "config.yaml",
            teacher=teacher_run,
            tomosynthesis=exams.stores / "bcs-dbt",
        )
    assert not (tmp_path / "run").exists()


def test_mammograms_that_nothing_uses_are_told(
    exams: Exams, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    api.train_student(
        tmp_path / "run",
        preset="demo",
        overrides=[*exams.student_data, "init=scratch", "schedule.epochs=1"],
    )
    assert "data.mammograms is not used: joint.size=0 and distill.kind=none" in told.readouterr().err


def test_a_diverged_training_says_what_to_do_and_keeps_the_last_good_epoch(
    exams: Exams, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    overrides = [*exams.teacher_data, "optimizer.kind=sgd", "optimizer.gradient_clip=null"]
    overrides += ["optimizer.warmup_share=0", "optimizer.learning_rate=1e25"]
    with pytest.raises(ConfigError, match=r"diverged in epoch 1: .*not finite.*lower optimizer"):
        api.train_teacher(run, preset="demo", overrides=overrides)
    assert not (run / "state.pt").exists()
    assert not (run / "checkpoint.json").exists()


def test_a_small_images_hit_radius_is_a_tenth_of_it(
    exams: Exams, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    overrides = [*exams.student_data, "init=scratch", "schedule.epochs=1", "selection.min_hit_radius=100"]
    api.train_student(tmp_path / "run", preset="demo", overrides=overrides)
    said = told.readouterr().err
    assert (
        "a least hit radius of 100 pixels is more than a tenth of the images' shorter side (64 pixels)"
        in said
    )
    assert "6.4 pixels are taken to choose the epoch" in said


class TestEnvironment:
    """Threads, device and precision of a resumed run."""

    def test_the_number_of_threads_is_the_one_the_run_began_with(
        self, told: pytest.CaptureFixture[str]
    ) -> None:
        cpu, before = torch.device("cpu"), torch.get_num_threads()
        config = load_train_config("demo", ["precision=32-true", "device=cpu"])
        try:
            torch.set_num_threads(2)
            saved = environment(config, cpu).record()
            assert saved["threads"] == 2
            torch.set_num_threads(1)
            assert continued(saved, config, cpu).threads == torch.get_num_threads() == 2
            assert "goes on with 2 CPU threads, as it was started" in told.readouterr().err
            torch.set_num_threads(1)
            named = config.model_copy(update={"threads": 1})
            assert continued(saved, named, cpu).threads == 1
            assert "started with 2 CPU threads and goes on with 1" in told.readouterr().err
        finally:
            torch.set_num_threads(before)

    def test_another_precision_has_to_be_named(self, told: pytest.CaptureFixture[str]) -> None:
        cpu = torch.device("cpu")
        auto = load_train_config("demo", ["device=cpu", "precision=auto"])
        here = environment(auto, cpu)
        other = "bf16-mixed" if here.precision == "32-true" else "32-true"
        saved = {**here.record(), "precision": other}
        with pytest.raises(ConfigError, match=rf"started with precision={other}.*--set precision={other}"):
            continued(saved, auto, cpu)
        named = auto.model_copy(update={"precision": here.precision})
        assert continued(saved, named, cpu) == here
        assert "numbers differ" in told.readouterr().err

    def test_a_state_of_a_former_version_goes_on_as_before(self) -> None:
        config = load_train_config("demo", ["device=cpu"])
        assert continued(None, config, torch.device("cpu")) == environment(config, torch.device("cpu"))

    def test_the_state_records_it(self, teacher_run: Path) -> None:
        assert saved_state(teacher_run)["environment"] == {
            "threads": 1,
            "device": "cpu",
            "precision": "32-true",
            "torch": str(torch.__version__),
        }
