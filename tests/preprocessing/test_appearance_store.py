"""Measuring and matching whole stores: what stays, what changes, who is looked at, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from command_calls import contents
from comoto import api
from comoto.config import BatchConfig
from comoto.errors import ConfigError, DatasetError
from comoto.preprocessing import PreparedStore
from comoto.preprocessing.appearance import match as match_module
from comoto.preprocessing.sampling import SliceBatches
from comoto.records import Manifest
from comoto.splits.file import load_split_file
from comoto.training.identity import store_identity
from tiny_exams import TINY

HOWS = ("spectrum", "histogram", "clahe", "random_filter")


@pytest.fixture(scope="module")
def stores(exams):
    return exams.stores / "vindr-mammo", exams.stores / "bcs-dbt"


@pytest.fixture(scope="module")
def matched(stores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("matched")
    return {how: api.match_appearance(*stores, folder / how, how=how) for how in HOWS}


class TestMeasure:
    def test_the_command_prints_and_writes_the_same(self, comoto, stores, tmp_path):
        answer = comoto("appearance", "measure", *stores, "--json", tmp_path / "gap.json")
        assert answer.code == 0, answer.err
        gap = api.measure_appearance(*stores)
        assert answer.out == gap.text() + "\n"
        written = json.loads((tmp_path / "gap.json").read_text())
        assert written == json.loads(json.dumps(gap.to_json()))
        assert written["mammograms"] == {"store": "vindr-mammo", "patients": 8, "images": 16}
        assert written["slices"] == {"store": "bcs-dbt", "patients": 6, "images": 36}
        assert comoto("appearance", "measure", *stores, "--json", tmp_path / "gap.json").code == 2

    def test_patients_are_drawn(self, stores):
        gap = api.measure_appearance(*stores, patients=3)
        assert (gap.mammograms[1], gap.slices[1]) == (3, 3)
        assert gap != api.measure_appearance(*stores, patients=3, seed=1)

    @pytest.mark.parametrize("split", ["manifest", "file"])
    def test_only_training_patients_are_looked_at(self, stores, exams, split, tmp_path, monkeypatch):
        seen = set()
        plane = PreparedStore.plane

        def noting(store, image_id, index):
            seen.add(store.record(image_id).patient_id)
            return plane(store, image_id, index)

        monkeypatch.setattr(PreparedStore, "plane", noting)
        path = None
        if split == "file":
            manifests = [exams.manifests / name for name in ("vindr-mammo", "bcs-dbt")]
            api.split(manifests, tmp_path / "split", official=False, headers=False, test=0.3)
            path = tmp_path / "split" / "split.json"
        api.measure_appearance(*stores, split_file=path)
        if path is None:
            wanted = [PreparedStore(store).manifest for store in stores]
        else:
            wanted = [load_split_file(path).apply(PreparedStore(store).manifest) for store in stores]
        training = {str(name) for each in wanted for name in each.split("train").images["patient_id"]}
        assert seen == training


class TestMatch:
    @pytest.mark.parametrize("how", HOWS)
    def test_all_but_the_pixels_stays(self, stores, matched, how):
        before, after = PreparedStore(stores[0]), matched[how]
        assert api.verify_store(after).damage == ()
        pd.testing.assert_frame_equal(after.manifest.images, before.manifest.images)
        pd.testing.assert_frame_equal(after.manifest.lesions, before.manifest.lesions)
        assert (after.config, after.options) == (before.config, before.options)
        for image_id in before.image_ids:
            assert after.plan(image_id) == before.plan(image_id)
            for one, other in zip(
                after.lesions_on_grid(image_id), before.lesions_on_grid(image_id), strict=True
            ):
                np.testing.assert_array_equal(one, other)
            old, new = before.pixels(image_id), after.pixels(image_id)
            assert new.shape == old.shape
            assert not np.array_equal(new, old)
            labels, _ = ndimage.label(old[0] == 0)
            air = np.isin(
                labels, np.setdiff1d(labels[:, -1], 0)
            )  # black that reaches the side without breast
            assert air.any()
            assert new[0][air].max() == 0

    def test_it_says_what_was_fitted_to_what(self, matched, stores):
        about = matched["spectrum"].appearance
        assert about["how"] == "spectrum"
        assert about["fitted_to"]["slices"] == {"store": "bcs-dbt", "training_patients": 6, "images": 36}
        assert about["gain"]["cycles_per_pixel"][-1] == 0.5
        assert len(about["gain"]["across_chest_wall"]) == 17
        assert "gain" not in matched["histogram"].appearance
        assert PreparedStore(stores[0]).appearance is None
        assert str(stores[0].parent) not in (matched["spectrum"].folder / "store.json").read_text()

    def test_the_gap_closes(self, matched, stores):
        before = api.measure_appearance(*stores)
        after = {how: api.measure_appearance(store, stores[1]) for how, store in matched.items()}
        for how in ("spectrum", "histogram", "random_filter"):
            assert after[how].histogram.distance < 0.2 * before.histogram.distance
        exponent = {how: abs(gap.figures["exponent"].difference) for how, gap in after.items()}
        assert exponent["spectrum"] < 0.4 * abs(before.figures["exponent"].difference)
        assert exponent["spectrum"] < min(exponent["histogram"], exponent["clahe"])

    def test_it_is_the_same_again_and_another_with_another_seed(self, matched, stores, tmp_path):
        again = api.match_appearance(*stores, tmp_path / "again", how="random_filter")
        assert contents(again.folder) == contents(matched["random_filter"].folder)
        other = api.match_appearance(*stores, tmp_path / "other", how="random_filter", seed=1)
        first = other.image_ids[0]
        assert not np.array_equal(other.pixels(first), matched["random_filter"].pixels(first))

    def test_runs_know_the_stores_apart(self, matched, stores):
        identities = {store_identity(store) for store in matched.values()}
        assert len(identities | {store_identity(PreparedStore(stores[0]))}) == 5

    def test_training_draws_from_it(self, matched, stores):
        drawn = []
        for store in (matched["spectrum"], PreparedStore(stores[0])):
            ids = list(store.manifest.split("train").images["image_id"])
            drawn.append(SliceBatches(store, ids, BatchConfig(size=4), None, 0).uint8_batch(0))
        for one, other in zip(drawn[0][1], drawn[1][1], strict=True):
            np.testing.assert_array_equal(one, other)

    def test_the_command(self, comoto, stores, matched, tmp_path):
        out = tmp_path / "new"
        answer = comoto("appearance", "match", stores[0], "--to", stores[1], "--out", out)
        assert answer.code == 0, answer.err
        assert answer.out == f"wrote {out}; train with it in place of {stores[0]}\n"
        assert contents(out) == contents(matched["spectrum"].folder)

    @pytest.mark.slow
    def test_a_student_trains_with_it_in_its_batches(self, matched, stores, tmp_path):
        quick = [*TINY, "schedule.epochs=1", "schedule.steps_per_epoch=1", "init=scratch", "joint.size=4"]
        done = api.train_student(
            tmp_path / "run",
            preset="demo",
            overrides=quick,
            tomosynthesis=stores[1],
            mammograms=[matched["spectrum"]],
        )
        assert done.epoch == 1


class TestRefused:
    @pytest.fixture
    def small(self, exams, tmp_path):
        """A store of mammograms from a grid into which no patch fits."""
        manifest = Manifest.load(exams.manifests / "vindr-mammo")
        few = manifest.select(manifest.images["patient_id"].isin(manifest.images["patient_id"].unique()[:3]))
        settings = [*TINY, "preprocess.rows=32", "preprocess.columns=32"]
        return api.prepare(few, tmp_path / "small", preset="demo", overrides=settings, workers=1)

    def both(self, comoto, one, other, out):
        """Return what each of the two commands says of two stores."""
        told = [
            comoto("appearance", "measure", one, other),
            comoto("appearance", "match", one, "--to", other, "--out", out),
        ]
        assert [each.code for each in told] == [2, 2]
        assert not out.exists()
        assert told[0].error == told[1].error
        return told[0].error

    def test_another_grid(self, comoto, small, stores, tmp_path):
        said = self.both(comoto, small.folder, stores[1], tmp_path / "out")
        assert f"{small.folder} and {stores[1]}: were prepared with other settings" in said
        assert "rows 32 and 128; columns 32 and 64" in said

    def test_hardly_a_patch(self, comoto, small, exams, tmp_path):
        manifest = Manifest.load(exams.manifests / "bcs-dbt")
        settings = [*TINY, "preprocess.rows=32", "preprocess.columns=32"]
        few = manifest.select(manifest.images["split"] == "train")
        volumes = api.prepare(few, tmp_path / "volumes", preset="demo", overrides=settings, workers=1)
        said = self.both(comoto, small.folder, volumes.folder, tmp_path / "out")
        assert "patches of 32 x 32 pixels fit into the breasts of 0 of 3 training patients" in said

    def test_the_wrong_way_round(self, comoto, stores, tmp_path):
        said = self.both(comoto, stores[1], stores[0], tmp_path / "out")
        assert "holds tomosynthesis images, expected mammogram images alone" in said

    def test_no_training_patients(self, comoto, exams, stores, tmp_path):
        manifest = Manifest.load(exams.manifests / "vindr-mammo").split("test")
        store = api.prepare(manifest, tmp_path / "test", preset="demo", overrides=TINY, workers=1)
        said = self.both(comoto, store.folder, stores[1], tmp_path / "out")
        assert "holds no training patients" in said
        assert "comoto split" in said

    def test_no_store(self, comoto, stores, tmp_path):
        assert "no store.json here" in self.both(comoto, tmp_path, stores[1], tmp_path / "out")

    def test_a_matched_store_is_not_matched_again(self, matched, stores, tmp_path):
        with pytest.raises(DatasetError, match="name the store that it was made from"):
            api.match_appearance(matched["clahe"], stores[1], tmp_path / "out")

    def test_a_store_without_checksums(self, stores, tmp_path):
        former = tmp_path / "former"
        shutil.copytree(stores[0], former)
        content = json.loads((former / "store.json").read_text())
        del content["checksum"]
        (former / "store.json").write_text(json.dumps(content | {"format": "comoto-store-2"}))
        index = former / "manifest" / "planes.json"
        index.write_text(json.dumps(json.loads(index.read_text())["planes"]))
        with pytest.raises(DatasetError, match="prepare the mammograms into a new folder"):
            api.match_appearance(former, stores[1], tmp_path / "out")

    def test_a_way_that_is_none(self, stores, tmp_path):
        with pytest.raises(ConfigError, match="how: 'spectra' is none of spectrum, histogram, clahe, random"):
            api.match_appearance(*stores, tmp_path / "out", how="spectra")
        assert not (tmp_path / "out").exists()

    def test_a_place_that_is_taken(self, comoto, stores, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").touch()
        answer = comoto("appearance", "match", stores[0], "--to", stores[1], "--out", tmp_path / "out")
        assert answer.code == 2
        assert "is not empty" in answer.error
        answer = comoto("appearance", "match", stores[0], "--to", stores[1], "--out", stores[0])
        assert "is not empty" in answer.error

    def test_prepare_does_not_write_into_it(self, comoto, exams, matched, tmp_path):
        there = tmp_path / "there"
        shutil.copytree(matched["clahe"].folder, there)
        before = contents(there)
        settings = [word for each in TINY if each.startswith("preprocess.") for word in ("--set", each)]
        words = ("--manifest", exams.manifests / "vindr-mammo", "--preset", "demo", *settings)
        answer = comoto("prepare", *words, "--out", there)
        assert answer.code == 2
        assert "was written by 'comoto appearance match'" in answer.error
        assert contents(there) == before

    def test_a_cut_off_match_leaves_nothing(self, stores, tmp_path, monkeypatch):
        written = []

        def failing(out: Path, *given):
            if len(written) == 3:
                raise OSError(28, "No space left on device", str(out / "planes"))
            written.append(out)
            return real(out, *given)

        real = match_module.write_planes
        monkeypatch.setattr(match_module, "write_planes", failing)
        with pytest.raises(OSError, match="No space") as raised:
            api.match_appearance(*stores, tmp_path / "out")
        assert str(raised.value.filename) == str(tmp_path / "out" / "planes")
        assert list(tmp_path.iterdir()) == []
