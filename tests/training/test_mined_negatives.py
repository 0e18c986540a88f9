"""Mined negatives: which volumes are scored, when, and what is drawn of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from comoto import api
from comoto.checksums import write_sealed_json
from comoto.config import TrainConfig, load_train_config
from comoto.errors import CheckpointError, ConfigError
from comoto.inference.model import Model
from comoto.preprocessing import PreparedStore
from comoto.preprocessing.sampling import SliceBatches
from comoto.records import Manifest
from comoto.training import mined_negatives
from comoto.training.cohorts import Cohort, choose_cohort
from comoto.training.mined_negatives import FORMAT, MinedNegatives, normal_images, read_scores
from tiny_exams import Exams

SETTINGS = [
    "batch.mined_negatives.share=1",
    "batch.mined_negatives.start_epoch=1",
    "batch.mined_negatives.every=2",
    "batch.mined_negatives.slice_step=3",
    "batch.mined_negatives.top_share=0.2",
    "batch.mined_negatives.outside=true",
    "batch.negatives=normal",
    "data.fraction=0.5",
]


def config_of(exams: Exams, *overrides: str) -> TrainConfig:
    return load_train_config("demo", [*exams.student_data, *SETTINGS, *overrides])


@pytest.fixture(scope="module")
def model(student_run: Path) -> Model:
    return api.load_model(student_run)


@pytest.fixture
def cohort(exams: Exams) -> Cohort:
    """Half of the training patients; a normal one among them and one among the others."""
    store = PreparedStore(exams.stores / "bcs-dbt")
    config = config_of(exams).data
    cohorts = (choose_cohort(store, config, 0.5, seed) for seed in range(20))
    sick = set(store.manifest.lesions["image_id"])
    return next(
        one
        for one in cohorts
        if set(one.train) - sick and set(one.train) & sick and set(one.outside.images["image_id"]) - sick
    )


def made(config: TrainConfig, model: Model, cohort: Cohort, run: Path) -> tuple[MinedNegatives, SliceBatches]:
    slices = SliceBatches(cohort.store, cohort.train, config.batch, None, config.seed)
    return MinedNegatives(config, model, cohort, slices, run), slices


def file_of(run: Path, epoch: int = 1) -> Path:
    return run / "mined_negatives" / f"epoch_{epoch:04d}.json"


def test_rounds_score_every_third_slice_of_normal_volumes_by_its_surest_box(
    exams: Exams, model: Model, cohort: Cohort, tmp_path: Path
) -> None:
    mined, _ = made(config_of(exams), model, cohort, tmp_path)
    assert mined.start_epoch(0) == {}
    model.detector.train()  # as in training; slices are scored in eval mode
    told = {epoch: mined.start_epoch(epoch) for epoch in (1, 2, 3)}
    assert told[2] == {}
    assert sorted(path.name for path in file_of(tmp_path).parent.iterdir()) == [
        "epoch_0001.json",
        "epoch_0003.json",
    ]
    model.detector.eval()
    slices, scores = read_scores(file_of(tmp_path))
    train = cohort.store.manifest.select(cohort.store.manifest.images["split"] == "train")
    normal = set(train.images["image_id"]) - set(train.lesions["image_id"])
    assert {image_id for image_id, _ in slices} == normal
    for (image_id, plane), score in zip(slices, scores, strict=True):
        [found] = model.detect([cohort.store.plane(image_id, plane)])
        assert score == pytest.approx(float(found.scores.max(initial=0.0)), abs=1e-6)
    for image_id in normal:
        planes = [plane for name, plane in slices if name == image_id]
        assert np.diff(planes).tolist() == [3] * (len(planes) - 1)
        assert len(planes) in (cohort.store.num_slices(image_id) // 3 + extra for extra in (0, 1))
    assert told[1] == told[3]
    assert told[1]["mined_negatives/mean"] == pytest.approx(scores.mean())
    top = np.sort(scores)[::-1][: int(np.ceil(0.2 * len(scores)))]
    assert top.min() > 0
    assert told[1]["mined_negatives/drawn"] == pytest.approx(top.mean())


def test_batches_show_what_was_mined_and_a_resumed_run_goes_on_from_the_file(
    exams: Exams, model: Model, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(exams, "batch.mined_negatives.top_share=0.5")
    image_id = normal_images(cohort, outside=True)[-1]
    scores = {image_id: {"1": 0.2, "2": 0.1, "4": 0.5, "5": 0.3}}
    write_sealed_json(file_of(tmp_path), {"format": FORMAT, "epoch": 1, "scores": scores})
    monkeypatch.setattr(mined_negatives, "score_planes", None)  # nothing may be scored again
    batches = []
    for epoch in (1, 2):
        mined, slices = made(config, model, cohort, tmp_path)
        told = mined.start_epoch(epoch)
        assert bool(told) == (epoch == 1)
        batches.append([slices.batch(step)[0] for step in range(6)])
    assert all(torch.equal(*pair) for pair in zip(*batches, strict=True))
    grey = np.rint(torch.cat([images[2:, 0] for images in batches[0]]).numpy() * 255)
    planes = cohort.store.pixels(image_id)[[4, 5]]
    shown = [
        [bool((image == plane).all()) for plane in planes]
        for image in grey[:, : planes.shape[1], : planes.shape[2]]
    ]
    assert np.sum(shown, axis=1).tolist() == [1] * 12  # never another plane
    assert all(np.sum(shown, axis=0))
    file_of(tmp_path).write_text('{"format": "other"}')
    with pytest.raises(CheckpointError, match=r"epoch_0001\.json: is damaged"):
        made(config, model, cohort, tmp_path)[0].start_epoch(2)
    write_sealed_json(file_of(tmp_path), {"format": FORMAT, "epoch": 1, "scores": [1]})
    with pytest.raises(CheckpointError, match="not the scores of a round"):
        made(config, model, cohort, tmp_path)[0].start_epoch(2)
    file_of(tmp_path).unlink()
    with pytest.raises(CheckpointError, match="missing, so the run cannot be resumed"):
        made(config, model, cohort, tmp_path)[0].start_epoch(2)


def test_a_student_that_finds_nothing_leaves_the_draws_random(
    exams: Exams, model: Model, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mined_negatives, "score_planes", lambda *_: {0: 0.0, 3: 0.0})
    mined, slices = made(config_of(exams), model, cohort, tmp_path)
    before = slices.batch(5)[0]
    assert mined.start_epoch(1) == {"mined_negatives/drawn": 0.0, "mined_negatives/mean": 0.0}
    assert torch.equal(slices.batch(5)[0], before)


def test_volumes_outside_the_fraction_count_by_their_whole_exam(cohort: Cohort) -> None:
    manifest = cohort.store.manifest
    sick = set(manifest.lesions["image_id"])
    own = tuple(sorted(set(cohort.train) - sick))
    assert normal_images(cohort, outside=False) == own
    theirs = [one for one in cohort.outside.records() if not one.lesions]
    assert normal_images(cohort, outside=True) == tuple(sorted([*own, *(one.image_id for one in theirs)]))
    images = cohort.outside.images.copy()
    images.loc[images["image_id"] == theirs[0].image_id, "label"] = "cancer"  # which no box shows
    told = replace(cohort, outside=Manifest("told", images, cohort.outside.lesions))
    left = {one.image_id for one in theirs if one.study_id != theirs[0].study_id}
    assert normal_images(told, outside=True) == tuple(sorted({*own, *left}))


def test_a_run_without_normal_volumes_is_refused(
    exams: Exams, model: Model, cohort: Cohort, tmp_path: Path
) -> None:
    sick = set(cohort.store.manifest.lesions["image_id"])
    config = config_of(exams, "batch.negatives=both", "batch.mined_negatives.outside=false")
    alone = replace(cohort, train=tuple(set(cohort.train) & sick))
    with pytest.raises(ConfigError, match=r"no training volume is known to be normal; set .*outside=true"):
        made(config, model, alone, tmp_path)
