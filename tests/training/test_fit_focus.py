"""A student gets its focus head after the training, once, and predicts with it."""

import json
import shutil
from pathlib import Path

import pytest

from comoto import api
from comoto.checksums import read_json_object, write_sealed_json
from comoto.config import load_train_config
from comoto.detectors.about import read_about
from comoto.errors import CheckpointError, ConfigError
from comoto.inference.model import load_model
from comoto.inference.prepared import predict_store
from comoto.preprocessing.store import PreparedStore
from comoto.training import focus
from comoto.training.check_settings import check_settings
from tiny_exams import Exams

FIT = ["focus.fit=true"]


@pytest.fixture(autouse=True)
def few_lesions_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(focus, "LEAST_LESIONS", 2)


@pytest.fixture
def student(student_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(student_run, tmp_path / "student"))


@pytest.fixture(scope="module")
def sharp_student(student_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same student with a focus head."""
    run = Path(shutil.copytree(student_run, tmp_path_factory.mktemp("runs") / "student"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(focus, "LEAST_LESIONS", 2)
        api.train_student(run, resume=True, overrides=FIT)
    return run


def about_file(run: Path) -> bytes:
    return (run / "checkpoint.json").read_bytes()


def test_a_finished_run_gets_a_head_and_keeps_its_weights(student_run: Path, sharp_student: Path) -> None:
    weights = [(run / "model.safetensors").read_bytes() for run in (student_run, sharp_student)]
    assert weights[0] == weights[1]
    _, before, _ = read_about(student_run)
    config, about, _ = read_about(sharp_student)
    head = about.focus
    assert before.focus is None
    assert head is not None
    assert (head.level, len(head.weights), config.focus.fit) == ("p4", 128, True)
    assert any(head.weights)
    assert 0 < head.prior.center < 1
    assert head.num_lesions == len(lesions_seen(sharp_student))
    assert "focus" not in json.loads(about_file(student_run))


def lesions_seen(run: Path) -> list[int]:
    config, _, _ = read_about(run)
    store = PreparedStore(config.data.tomosynthesis)
    names = store.manifest.images["image_id"][
        store.manifest.images["patient_id"].isin(
            json.loads((run / "split.json").read_text())["tomosynthesis/train"]
        )
    ]
    return [index for name in names for index in store.lesions_on_grid(name)[1].tolist()]


def test_the_same_seed_gives_the_same_bytes(student: Path, sharp_student: Path) -> None:
    api.train_student(student, resume=True, overrides=FIT)
    assert about_file(student) == about_file(sharp_student)
    api.train_student(student, resume=True)
    assert about_file(student) == about_file(sharp_student)


def test_it_changes_depths_and_nothing_else(exams: Exams, student_run: Path, sharp_student: Path) -> None:
    store = PreparedStore(exams.stores / "bcs-dbt")
    manifest = store.manifest.select(store.manifest.images["split"] == "validation")
    plain, sharp = (load_model(run, device="cpu")[0] for run in (student_run, sharp_student))
    settings = sharp.config.inference
    scores = settings.model_copy(
        update={"aggregation": settings.aggregation.model_copy(update={"depth": "scores"})}
    )
    before, ours, without = (
        predict_store(model, store, manifest, look)
        for model, look in ((plain, settings), (sharp, settings), (sharp, scores))
    )
    moved = 0
    for one, other, third in zip(before, ours, without, strict=True):
        assert len(one)
        assert one.boxes_xyxy.tolist() == other.boxes_xyxy.tolist() == third.boxes_xyxy.tolist()
        assert one.scores.tolist() == other.scores.tolist() == third.scores.tolist()
        assert one.to_json() == third.to_json()
        moved += int((one.best_slice != other.best_slice).sum())
    assert moved


def test_a_run_that_is_killed_before_the_fit_does_it_when_resumed(
    student: Path, sharp_student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(focus, "fit_focus", killed)
        with pytest.raises(KeyboardInterrupt):
            api.train_student(student, resume=True, overrides=FIT)
    assert read_about(student)[1].focus is None
    api.train_student(student, resume=True)
    assert about_file(student) == about_file(sharp_student)


def test_no_head_before_the_last_epoch(exams: Exams, tmp_path: Path) -> None:
    run = tmp_path / "run"
    own = [*exams.student_data, *FIT, "init=scratch", "schedule.epochs=2", "schedule.steps_per_epoch=1"]
    api.train_student(run, preset="demo", overrides=own, stop_after=1)
    assert read_about(run)[1].focus is None
    api.train_student(run, resume=True)
    assert read_about(run)[1].focus is not None


def test_other_settings_fit_again_and_none_take_it_away(
    sharp_student: Path, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(sharp_student, tmp_path / "run"))
    before = read_about(run)[1].focus
    api.train_student(run, resume=True, overrides=["focus.level=p3", "focus.jitter=0"])
    config, about, _ = read_about(run)
    assert about.focus != before
    assert (about.focus.level, config.focus.jitter) == ("p3", 0)
    api.train_student(run, resume=True, overrides=["focus.fit=false"])
    assert read_about(run)[1].focus is None
    assert "taken away" in told.readouterr().err


def test_too_few_lesions_are_a_note_and_no_head(
    student: Path, monkeypatch: pytest.MonkeyPatch, told: pytest.CaptureFixture[str]
) -> None:
    before = about_file(student)
    monkeypatch.setattr(focus, "LEAST_LESIONS", 1000)
    api.train_student(student, resume=True, overrides=FIT)
    assert "note: no focus head: the training volumes show" in told.readouterr().err
    assert about_file(student) == before


def test_settings_that_cannot_be_meant_are_refused(exams: Exams, student: Path) -> None:
    config = load_train_config("demo", FIT, role="teacher")
    with pytest.raises(ConfigError, match=r"a teacher has no use for focus\.fit=True"):
        check_settings(config, "teacher")
    single = load_train_config("demo", [*FIT, "data.single_images=true"])
    with pytest.raises(ConfigError, match="leaves no stack"):
        check_settings(single, "student")
    with pytest.raises(ConfigError, match=r"focus\.level: the detector has no level 'p9'; it has"):
        api.train_student(student, resume=True, overrides=[*FIT, "focus.level=p9"])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"weights": [1.0, 2.0]}, "2 weights for level p4"),
        ({"level": "p9"}, "for level p9"),
        ({"weights": "sharp"}, "damaged or written by another version"),
        ({"prior": {"center": 0.5, "deviation": 0.0}}, "damaged or written by another version"),
        ({"prior": None}, "damaged or written by another version"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    sharp_student: Path, tmp_path: Path, change: dict[str, object], match: str
) -> None:
    run = Path(shutil.copytree(sharp_student, tmp_path / "run"))
    content = read_json_object(run / "checkpoint.json", CheckpointError, "")
    content["focus"] = {**content["focus"], **change}
    write_sealed_json(run / "checkpoint.json", content)
    with pytest.raises(CheckpointError, match=match):
        load_model(run, device="cpu")


def test_an_export_takes_the_head_along(exams: Exams, sharp_student: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    file = api.export_onnx(sharp_student, tmp_path / "student.onnx").path
    store = PreparedStore(exams.stores / "bcs-dbt")
    planes = [store.plane(store.image_ids[0], index) for index in (0, 3)]
    torch_model, onnx_model = load_model(sharp_student, device="cpu")[0], api.load_model(file, "cpu")
    for ours, theirs in zip(torch_model.detect(planes), onnx_model.detect(planes), strict=True):
        assert len(ours)
        assert ours.focus is not None
        assert theirs.focus is not None
        assert theirs.focus.values.tolist() == pytest.approx(ours.focus.values.tolist(), abs=1e-3)
        assert theirs.focus.prior == ours.focus.prior
