"""Runs with other diets: the published regime, several mammography sets, joint mammograms, self-training."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from comoto import api
from comoto.dicom.read import DicomImage
from comoto.errors import ConfigError
from comoto.evaluation.average_precision import map_2d
from comoto.preprocessing import PreparedStore
from comoto.records import Manifest, Split
from comoto.training.cohorts import choose_cohort
from comoto.training.log_file import read_log
from comoto.training.validate import validate_mammograms
from saved_states import saved_state
from tiny_exams import TINY, Exams

PUBLISHED = [
    "init=scratch",
    "preprocess.fit=stretch",
    "preprocess.window=frame",
    "preprocess.crop_air=false",
    "preprocess.mirror=false",
    "batch.negative_share=0",
    "batch.slice_reach=0",
    "batch.draw=images",
    "augment.horizontal_flip=0.5",
    "augment.vertical_flip=0",
    "augment.shift=0",
    "augment.gain=0",
    "augment.gamma=0",
    "data.unit=images",
    "data.fraction=0.5",
    "optimizer.kind=sgd",
    "optimizer.learning_rate=5e-5",
    "optimizer.weight_decay=0",
    "optimizer.momentum=0.9",
    "optimizer.decay=step",
    "optimizer.decay_epochs=1",
    "optimizer.warmup_share=0",
    "optimizer.gradient_clip=null",
    "schedule.epochs=2",
    "schedule.steps_per_epoch=null",
    "selection.metric=map_2d",
    "batch.size=1",
]
EVERYTHING = [
    "distill.kind=prototypes",
    "distill.start_epoch=1",
    "distill.ramp_epochs=2",
    "joint.size=2",
    "self_training.size=2",
    "self_training.start_epoch=1",
    "self_training.every=2",
    "batch.mined_negatives.share=0.5",
    "batch.mined_negatives.start_epoch=1",
    "batch.mined_negatives.every=2",
    "batch.mined_negatives.outside=true",
    "data.fraction=0.5",
    "schedule.steps_per_epoch=2",
]


def state_of(run: Path) -> dict[str, torch.Tensor]:
    return dict(saved_state(run)["step"])


def train_images(exams: Exams) -> Manifest:
    return Manifest.load(exams.manifests / "bcs-dbt").split(Split.TRAIN)


@pytest.fixture(scope="module")
def stretched(exams: Exams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stretched") / "bcs-dbt"
    api.prepare(exams.manifests / "bcs-dbt", folder, preset="demo", overrides=[*TINY, *PUBLISHED], workers=1)
    return folder


def test_the_published_regime(exams: Exams, stretched: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    data = f"data.tomosynthesis={stretched}"
    result = api.train_student(run, preset="demo", overrides=[*TINY, *PUBLISHED, data])
    assert result.metric == "map_2d"
    rows = read_log(run / "log.csv")
    assert [row["learning_rate"] for row in rows] == pytest.approx([5e-5, 5e-6])
    assert {key for key in rows[0] if key.startswith("validation/")} == {"validation/map_2d"}
    # One pass is one step for each of the chosen images with a lesion: half of them, and batch.size is 1.
    train = train_images(exams)
    positive = train.lesions["image_id"].nunique()
    chosen = (positive + 1) // 2
    counter = next(value for key, value in state_of(run).items() if key.endswith("num_batches_tracked"))
    assert int(counter) == 2 * chosen
    model = api.load_model(run)
    record = next(Manifest.load(exams.manifests / "bcs-dbt").split(Split.TEST).records())
    found = api.predict_volume(model, record.path)
    with DicomImage(record.path) as image:
        limits = [image.header.columns, image.header.rows] * 2
    assert ((found.boxes_xyxy >= 0) & (found.boxes_xyxy <= limits)).all()


def test_a_store_of_the_other_regime_is_refused(exams: Exams, stretched: Path, tmp_path: Path) -> None:
    data = f"data.tomosynthesis={stretched}"
    with pytest.raises(ConfigError, match=r"fit stretch instead of letterbox.*window frame instead of file"):
        api.train_student(tmp_path / "run", preset="demo", overrides=[*TINY, "init=scratch", data])
    overrides = [*exams.student_data, *PUBLISHED]
    with pytest.raises(ConfigError, match=r"fit letterbox instead of stretch"):
        api.train_student(tmp_path / "run", preset="demo", overrides=overrides)


def test_the_best_2d_precision_chooses(exams: Exams, tmp_path: Path) -> None:
    """The value in the log is what the checkpoint gives on the annotated slices of the DICOM files."""
    run = tmp_path / "run"
    overrides = [*exams.student_data, "init=scratch", "selection.metric=map_2d", "schedule.epochs=3"]
    result = api.train_student(run, preset="demo", overrides=overrides)
    rows = read_log(run / "log.csv")
    assert result.value == max(row["validation/map_2d"] for row in rows)
    model = api.load_model(run)
    store = PreparedStore(exams.stores / "bcs-dbt")
    detections, truths = [], []
    for record in store.manifest.split(Split.VALIDATION).records():
        plan = store.plan(record.image_id)
        for index in sorted(
            {lesion.slice_index for lesion in record.lesions if lesion.slice_index is not None}
        ):
            with DicomImage(record.path) as image:
                found = model.detect([plan.render(image.frame(index))])[0]
            detections.append((plan.boxes_to_source(found.boxes_xyxy), found.scores))
            truths.append([one.box_xyxy for one in record.lesions if one.slice_index == index])
    assert len(truths) >= 1
    assert map_2d(detections, truths) == pytest.approx(result.value, abs=1e-9)


def test_the_teacher_can_be_chosen_by_2d_precision(exams: Exams, tmp_path: Path) -> None:
    overrides = [*exams.teacher_data, "selection.metric=map_2d", "schedule.epochs=1"]
    result = api.train_teacher(tmp_path / "run", preset="demo", overrides=overrides)
    row = read_log(tmp_path / "run" / "log.csv")[0]
    assert result.metric == "map_2d"
    assert result.value == row["validation/map_2d"] >= 0


@pytest.fixture(scope="module")
def second_set(exams: Exams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same mammograms once more: every id clashes."""
    folder = tmp_path_factory.mktemp("second") / "vindr-mammo"
    shutil.copytree(exams.stores / "vindr-mammo", folder)
    return folder


def test_teacher_of_two_sets(exams: Exams, second_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    both = f"data.mammograms=[{exams.stores / 'vindr-mammo'}, {second_set}]"
    api.train_teacher(run, preset="demo", overrides=[*TINY, both, "schedule.epochs=1"])
    patients = json.loads((run / "split.json").read_text())
    assert set(patients) == {f"mammograms {n}/{part}" for n in (1, 2) for part in ("train", "validation")}
    twice = f"data.mammograms=[{second_set}, {second_set}]"
    with pytest.raises(ConfigError, match="names a store twice"):
        api.train_teacher(tmp_path / "twice", preset="demo", overrides=[*TINY, twice])
    with pytest.raises(ConfigError, match=r"batch\.size is 1.*2 data sets"):
        api.train_teacher(tmp_path / "small", preset="demo", overrides=[*TINY, both, "batch.size=1"])


def test_validation_is_the_mean_over_the_sets(exams: Exams, teacher_run: Path) -> None:
    """Two sets of the same store whose validation patients differ."""
    model = api.load_model(teacher_run)
    store = PreparedStore(exams.stores / "vindr-mammo")
    cohorts = [choose_cohort(store, model.config.data, 1.0, seed) for seed in (0, 1)]
    assert set(cohorts[0].validation.images["image_id"]) != set(cohorts[1].validation.images["image_id"])
    alone = [validate_mammograms(model, [cohort], model.config.selection) for cohort in cohorts]
    both = validate_mammograms(model, cohorts, model.config.selection)
    assert both.keys() == alone[0].keys()
    assert both == pytest.approx({key: (alone[0][key] + alone[1][key]) / 2 for key in both})
    assert any(alone[0][key] != alone[1][key] for key in both)


def test_student_with_everything_on_two_sets(
    exams: Exams, second_set: Path, teacher_run: Path, tmp_path: Path
) -> None:
    both = f"data.mammograms=[{exams.stores / 'vindr-mammo'}, {second_set}]"
    overrides = [*exams.student_data, *EVERYTHING, f"teacher={teacher_run}", both, "schedule.epochs=2"]
    run = tmp_path / "run"
    api.train_student(run, preset="demo", overrides=overrides)
    patients = json.loads((run / "split.json").read_text())
    assert {"mammograms 1/train", "mammograms 2/train", "tomosynthesis/self_training"} <= set(patients)
    assert not set(patients["tomosynthesis/self_training"]) & set(patients["tomosynthesis/train"])
    assert not set(patients["tomosynthesis/self_training"]) & set(patients["tomosynthesis/validation"])


@pytest.mark.slow
def test_two_and_two_epochs_equal_four_with_everything_on(
    exams: Exams, teacher_run: Path, tmp_path: Path
) -> None:
    overrides = [*exams.student_data, *EVERYTHING, f"teacher={teacher_run}"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    api.train_student(whole, preset="demo", overrides=overrides)
    assert api.train_student(parts, preset="demo", overrides=overrides, stop_after=2).epoch == 2
    torch.manual_seed(99)  # nothing may depend on the state of the global generator
    np.random.seed(99)  # noqa: NPY002
    assert api.train_student(parts, preset="demo", overrides=overrides, resume=True).epoch == 4
    one, other = state_of(whole), state_of(parts)
    assert any("distiller" in key for key in one)  # the memory bank
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    rows, again = (read_log(run / "log.csv") for run in (whole, parts))
    for a, b in zip(rows, again, strict=True):
        assert {k: v for k, v in a.items() if k != "train_seconds"} == {
            k: v for k, v in b.items() if k != "train_seconds"
        }
    assert ["distill/ratio" in row for row in rows] == [False, True, True, True]
    assert ["self_training/kept" in row for row in rows] == [False, True, False, True]
    assert ["mined_negatives/drawn" in row for row in rows] == [False, True, False, True]
    assert all("mammograms/class" in row for row in rows)
    for name in ("epoch_0001.json", "epoch_0003.json"):
        for folder in ("proposals", "mined_negatives"):
            texts = [(run / folder / name).read_text() for run in (whole, parts)]
            assert texts[0] == texts[1]


def test_threads_that_load_data_change_no_number(exams: Exams, teacher_run: Path, tmp_path: Path) -> None:
    """Batches with parts that are empty go through; the proposals of a new round reach them."""
    overrides = [*exams.student_data, *EVERYTHING, f"teacher={teacher_run}"]
    states = []
    for workers in (0, 1):
        run = tmp_path / str(workers)
        api.train_student(run, preset="demo", overrides=[*overrides, f"workers={workers}"], stop_after=2)
        states.append(state_of(run))
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_a_late_distiller_loads_no_mammograms_before(
    exams: Exams, teacher_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from comoto.training import student

    drawn: list[int] = []
    uint8_batch = student.BalancedBatches.uint8_batch

    def counted(self: student.BalancedBatches, step: int) -> object:
        drawn.append(step)
        return uint8_batch(self, step)

    monkeypatch.setattr(student.BalancedBatches, "uint8_batch", counted)
    overrides = [
        *exams.student_data,
        f"teacher={teacher_run}",
        "distill.kind=lesion_points",
        "distill.start_epoch=1",
        "schedule.epochs=2",
    ]
    api.train_student(tmp_path / "run", preset="demo", overrides=overrides)
    assert drawn == [3, 4, 5]  # of two epochs of three steps


def test_joint_training_needs_no_teacher_but_mammograms(exams: Exams, tmp_path: Path) -> None:
    overrides = [*exams.student_data, "init=scratch", "joint.size=2", "joint.batch_norm=mixed"]
    api.train_student(tmp_path / "run", preset="demo", overrides=overrides, stop_after=1)
    row = read_log(tmp_path / "run" / "log.csv")[0]
    assert row["mammograms/class"] > 0
    alone = [one for one in overrides if not one.startswith("data.mammograms")]
    with pytest.raises(ConfigError, match=r"data\.mammograms is not set, .* or .*--set joint\.size=0"):
        api.train_student(tmp_path / "none", preset="demo", overrides=alone)


def test_one_pass_without_positives_is_refused(exams: Exams, tmp_path: Path) -> None:
    overrides = [
        *exams.student_data,
        "init=scratch",
        "batch.negative_share=1",
        "schedule.steps_per_epoch=null",
    ]
    with pytest.raises(ConfigError, match=r"steps_per_epoch=null counts positive images"):
        api.train_student(tmp_path / "run", preset="demo", overrides=overrides)
