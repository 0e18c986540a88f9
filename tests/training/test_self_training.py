"""Self-training: who proposes what, when, and how good it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from comoto import api
from comoto.checksums import write_sealed_json
from comoto.config import TrainConfig, load_train_config
from comoto.detections import Detections, Spans
from comoto.errors import CheckpointError, ConfigError
from comoto.inference.model import Model
from comoto.inference.prepared import predict_store
from comoto.preprocessing import PreparedStore, PrepareOptions
from comoto.records import Lesion, Manifest, Split
from comoto.training import self_training
from comoto.training.cohorts import choose_cohort
from comoto.training.self_training import SelfTraining, read_proposals
from tiny_exams import TINY, Exams

SETTINGS = [
    "self_training.size=3",
    "self_training.start_epoch=1",
    "self_training.every=2",
    "self_training.keep_share=0.5",
    "self_training.slice_step=3",
    "data.fraction=0.5",
]


def config_of(exams: Exams, *overrides: str) -> TrainConfig:
    return load_train_config("demo", [*exams.student_data, *SETTINGS, *overrides])


@pytest.fixture(scope="module")
def model(student_run: Path) -> Model:
    return api.load_model(student_run)


@pytest.fixture
def store(exams: Exams) -> PreparedStore:
    return PreparedStore(exams.stores / "bcs-dbt")


def made(config: TrainConfig, model: Model, store: PreparedStore, run: Path) -> SelfTraining:
    outside = choose_cohort(store, config.data, config.data.fraction, config.seed).outside
    return SelfTraining(config, model, store, outside, run)


def test_rounds_come_when_they_are_due_and_leave_a_file(
    exams: Exams, model: Model, store: PreparedStore, tmp_path: Path
) -> None:
    training = made(config_of(exams), model, store, tmp_path)
    assert training.start_epoch(0) == {}
    assert training.uint8_batch(0) is None
    told = {epoch: training.start_epoch(epoch) for epoch in (1, 2, 3)}
    assert set(told[1]) == set(told[3]) == {"self_training/kept", "self_training/precision"}
    assert told[2] == {}
    names = sorted(path.name for path in (tmp_path / "proposals").iterdir())
    assert names == ["epoch_0001.json", "epoch_0003.json"]


def test_the_best_detection_of_the_surest_half_is_proposed(
    exams: Exams, model: Model, store: PreparedStore, tmp_path: Path
) -> None:
    config = config_of(exams)
    outside = choose_cohort(store, config.data, 0.5, config.seed).outside
    training = made(config, model, store, tmp_path)
    model.detector.train()  # as in training; proposals are made in eval mode
    told = training.start_epoch(1)
    look = config.inference.model_copy(update={"slice_step": 3})
    best = {one.image_id: one for one in predict_store(model, store, outside, look) if len(one)}
    ranked = sorted(best, key=lambda name: -float(best[name].scores[0]))
    wanted = ranked[: round(0.5 * len(outside) + 1e-9)]
    content, kept = read_proposals(tmp_path / "proposals" / "epoch_0001.json")
    assert [one.image_id for one in kept] == wanted
    assert content["kept"] == told["self_training/kept"] == len(wanted) / len(outside)
    for one in kept:
        volume = best[one.image_id]
        assert one.score == float(volume.scores.max())
        assert one.box_xyxy == tuple(volume.boxes_xyxy[0].tolist())
        low = volume.first_slice[0]
        assert low <= one.slice_index <= low + max(volume.num_spanned[0] - 1, 0)


def test_only_training_patients_outside_the_fraction_propose(
    exams: Exams, model: Model, store: PreparedStore, tmp_path: Path
) -> None:
    config = config_of(exams, "self_training.keep_share=1")
    cohort = choose_cohort(store, config.data, 0.5, config.seed)
    made(config, model, store, tmp_path).start_epoch(1)
    _, kept = read_proposals(tmp_path / "proposals" / "epoch_0001.json")
    patient_of = dict(store.manifest.images[["image_id", "patient_id"]].itertuples(index=False))
    proposing = {patient_of[one.image_id] for one in kept}
    assert proposing
    split = {name: set(store.manifest.split(Split(name)).images["patient_id"]) for name in ("train", "test")}
    assert proposing <= split["train"]
    assert not proposing & set(cohort.patients)
    assert not proposing & set(cohort.validation.images["patient_id"])
    assert set(cohort.patients) | set(cohort.outside.images["patient_id"]) == split["train"]


def test_a_round_of_a_former_version_is_read_and_a_changed_one_refused(tmp_path: Path) -> None:
    row = {"image_id": "a", "box_xyxy": [1.0, 2.0, 3.0, 4.0], "slice_index": 5, "score": 0.5}
    path = tmp_path / "epoch_0001.json"
    path.write_text(json.dumps({"format": "comoto-proposals-1", "proposals": [row]}))
    assert [one.slice_index for one in read_proposals(path)[1]] == [5]
    write_sealed_json(path, {"format": "comoto-proposals-2", "proposals": [row]})
    assert [one.slice_index for one in read_proposals(path)[1]] == [5]
    path.write_text(path.read_text().replace("0.5", "0.7"))
    with pytest.raises(CheckpointError, match=r"epoch_0001\.json: is damaged.*train into a new folder"):
        read_proposals(path)


def test_batches_show_the_proposals_and_slices_far_from_them(
    exams: Exams, model: Model, store: PreparedStore, tmp_path: Path
) -> None:
    config = config_of(
        exams, "augment.vertical_flip=0", "augment.shift=0", "augment.gain=0", "augment.gamma=0"
    )
    training = made(config, model, store, tmp_path)
    training.start_epoch(1)
    _, kept = read_proposals(tmp_path / "proposals" / "epoch_0001.json")
    truth = {}
    for one in kept:
        box = store.plan(one.image_id).boxes_to_grid([one.box_xyxy])[0]
        truth[tuple(np.round(box, 3).tolist())] = one
    for step in range(8):
        drawn = training.uint8_batch(step)
        assert drawn is not None
        grey, boxes = drawn
        images = grey.images()
        assert images.shape == (3, 1, 128, 64)
        assert [len(found) for found in boxes] == [1, 1, 0]  # a third shows background
        for image, found in zip(images[:2], boxes[:2], strict=True):
            one = truth[tuple(np.round(found[0].numpy(), 3).tolist())]
            planes = store.pixels(one.image_id)
            shown = np.rint(image[0].numpy() * 255)[: planes.shape[1], : planes.shape[2]]
            same = store.slice_indices(one.image_id)[(planes == shown).all(axis=(1, 2))]
            reach = 0.1 * store.num_slices(one.image_id)
            assert len(same)
            assert (np.abs(same - one.slice_index) <= reach).all()


def test_a_resumed_run_goes_on_from_the_file(
    exams: Exams, model: Model, store: PreparedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(exams)
    first = made(config, model, store, tmp_path)
    first.start_epoch(1)
    expected = first.uint8_batch(7)
    monkeypatch.setattr(self_training, "predict_store", None)  # nothing may be predicted again
    for epoch in (1, 2):
        again = made(config, model, store, tmp_path)
        told = again.start_epoch(epoch)
        assert bool(told) == (epoch == 1)
        batch = again.uint8_batch(7)
        assert expected is not None
        assert batch is not None
        assert torch.equal(batch[0].images(), expected[0].images())
    (tmp_path / "proposals" / "epoch_0001.json").write_text('{"format": "other"}')
    with pytest.raises(CheckpointError, match=r"epoch_0001\.json: is damaged"):
        made(config, model, store, tmp_path).start_epoch(2)
    (tmp_path / "proposals" / "epoch_0001.json").unlink()
    with pytest.raises(CheckpointError, match="missing, so the run cannot be resumed"):
        made(config, model, store, tmp_path).start_epoch(2)


def volume_of(
    manifest: Manifest, image_id: str, box: tuple[float, ...], index: int, score: float
) -> Detections:
    record = next(one for one in manifest.records() if one.image_id == image_id)
    return Detections(
        [box, (0, 0, 4, 4)],
        [score, score / 2],
        Spans([index, 0], [0, 0]),
        space="source",
        image_id=image_id,
        patient_id=record.patient_id,
        study_id=record.study_id,
        view_key=record.view_key,
    )


def test_precision_is_counted_by_the_metrics_own_hit_rule(
    exams: Exams, model: Model, store: PreparedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One proposal on its lesion, one on the right place but half the volume away, one on a normal volume."""
    config = config_of(exams, "self_training.keep_share=1", "selection.min_hit_radius=3")
    manifest = store.manifest
    sick = [record for record in manifest.records() if record.lesions][:2]
    well = next(record for record in manifest.records() if not record.lesions)
    outside = manifest.select(
        manifest.images["image_id"].isin([*(one.image_id for one in sick), well.image_id])
    )
    lesion: Lesion = sick[0].lesions[0]
    assert lesion.slice_index is not None
    other = sick[1].lesions[0]
    assert other.slice_index is not None
    number = store.num_slices(sick[1].image_id)
    away = (other.slice_index + number // 2) % number
    found = [
        volume_of(manifest, sick[0].image_id, lesion.box_xyxy, lesion.slice_index, 0.9),
        volume_of(manifest, sick[1].image_id, other.box_xyxy, away, 0.8),
        volume_of(manifest, well.image_id, lesion.box_xyxy, 3, 0.7),
    ]
    monkeypatch.setattr(self_training, "predict_store", lambda *_: found)
    told = SelfTraining(config, model, store, outside, tmp_path).start_epoch(1)
    assert told == {"self_training/kept": 1.0, "self_training/precision": pytest.approx(1 / 3)}


def test_without_annotations_the_precision_is_not_told(
    exams: Exams, model: Model, store: PreparedStore, tmp_path: Path
) -> None:
    config = config_of(exams)
    outside = choose_cohort(store, config.data, 0.5, config.seed).outside
    hidden = Manifest(outside.name, outside.images, outside.lesions.iloc[:0])
    told = SelfTraining(config, model, store, hidden, tmp_path / "hidden").start_epoch(1)
    assert set(told) == {"self_training/kept"}
    open_told = SelfTraining(config, model, store, outside, tmp_path / "open").start_epoch(1)
    assert set(open_told) == {"self_training/kept", "self_training/precision"}
    files = [tmp_path / name / "proposals" / "epoch_0001.json" for name in ("hidden", "open")]
    one, other = (json.loads(path.read_text())["proposals"] for path in files)
    assert one == other  # annotations decide nothing


def test_a_model_that_finds_nothing_proposes_nothing(
    exams: Exams, model: Model, store: PreparedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_training, "predict_store", lambda *_: [])
    training = made(config_of(exams), model, store, tmp_path)
    assert training.start_epoch(1) == {"self_training/kept": 0.0}
    assert training.uint8_batch(3) is None


def test_sampled_slices_would_tell_where_the_hidden_lesions_are(
    exams: Exams, model: Model, tmp_path: Path
) -> None:
    store = api.prepare(
        exams.manifests / "bcs-dbt",
        tmp_path / "store",
        preset="demo",
        overrides=TINY,
        workers=1,
        options=PrepareOptions(slices="sampled"),
    )
    with pytest.raises(
        ConfigError, match=r"sampled slices.*prepare all slices, or set self_training\.size=0"
    ):
        made(config_of(exams), model, store, tmp_path)


def test_nothing_outside_the_fraction_is_one_clear_error(exams: Exams, tmp_path: Path) -> None:
    overrides = [*exams.student_data, "init=scratch", "self_training.size=2"]
    with pytest.raises(
        ConfigError, match=r"data\.fraction 1 leaves no training volume.*lower data\.fraction"
    ):
        api.train_student(tmp_path / "run", preset="demo", overrides=overrides)
    assert not (tmp_path / "run").exists()
