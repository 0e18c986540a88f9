"""T-SYNTH and M-SYNTH through the whole way: index, prepare, train a teacher, distil a student, predict."""

import pandas as pd
import pytest
from releases_tsynth import Cohort, Mass, MsynthTree, TsynthTree

from comoto import api
from comoto.preprocessing.store import PreparedStore
from comoto.records import Laterality
from tiny_exams import TINY

ROWS, COLUMNS, SLICES = 160, 90, 6
CASES = (1, 2, 3, 4, 5, 6, 201, 202, 203, 204)
STEPS = (*TINY, "schedule.epochs=1", "schedule.steps_per_epoch=2", "batch.size=2")


def mass(number: int) -> Mass | None:
    """Odd cases have one, at places that differ."""
    if number % 2 == 0:
        return None
    left, top = 12 + number % 7, 60 + 3 * (number % 5)
    return Mass(left, top, left + 18, top + 22, first=1, last=4)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Both releases, indexed and prepared; returns the folders of the stores and the manifests."""
    root = tmp_path_factory.mktemp("pairs")
    volumes = TsynthTree(root / "tsynth", ROWS, COLUMNS, SLICES)
    mammograms = MsynthTree(root / "msynth", ROWS, COLUMNS)
    for number in CASES:
        volumes.volume(number, mass(number), Cohort())
        mammograms.dm(number, mass(number), Cohort(), mask=True)
    manifests = {
        "tsynth": api.index("tsynth", volumes.root, images="volumes", strict=True),
        "msynth": api.index("msynth", mammograms.root, strict=True),
    }
    for name, manifest in manifests.items():
        api.prepare(manifest, root / "stores" / name, preset="demo", overrides=TINY, workers=1)
    return root / "stores", manifests


def test_both_halves_are_the_same_breasts(stores):
    _, manifests = stores
    columns = ["patient_id", "study_id", "split", "label", "laterality", "view"]
    tables = [
        manifest.images[columns].sort_values("study_id", ignore_index=True) for manifest in manifests.values()
    ]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["split"].value_counts().to_dict() == {"train": 6, "validation": 4}


def test_prepared_pictures_show_the_masses_at_the_same_place(stores):
    """Chest wall at column 0 in both, nothing turned, and the mass of a case at one place of the grid."""
    folder, _ = stores
    flat, deep = PreparedStore(folder / "msynth"), PreparedStore(folder / "tsynth")
    for number in (1, 3, 5, 201, 203):
        image_ids = (
            f"msynth-dm-fatty-5.0-1.06-{number:03d}-2.22e10",
            f"tsynth-volume-fatty-5.0-1.06-{number:03d}",
        )
        centres = []
        for store, image_id in zip((flat, deep), image_ids, strict=True):
            plan = store.plan(image_id)
            assert (plan.laterality, plan.orient.steps) == (Laterality.LEFT, ())
            boxes, slices = store.lesions_on_grid(image_id)
            planes = store.pixels(image_id)
            plane = planes[0 if len(planes) == 1 else list(store.slice_indices(image_id)).index(slices[0])]
            x1, y1, x2, y2 = (round(float(value)) for value in boxes[0])
            inside = plane[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1]
            assert inside.mean() > 1.15 * plane[y1:y2, x2 + 2 : x2 + 8].mean()
            assert plane[:, :4].mean() > plane[:, -4:].mean()
            centres.append(((x1 + x2) / 2, (y1 + y2) / 2))
        assert centres[0] == pytest.approx(centres[1], abs=2.5)


@pytest.fixture(scope="module")
def teacher(stores, tmp_path_factory):
    folder, _ = stores
    data = [*STEPS, f"data.mammograms={folder / 'msynth'}"]
    return api.train_teacher(tmp_path_factory.mktemp("runs") / "teacher", preset="demo", overrides=data).run


def test_a_student_learns_from_the_pair(stores, teacher, tmp_path):
    folder, _ = stores
    overrides = [
        *STEPS,
        f"data.mammograms={folder / 'msynth'}",
        f"data.tomosynthesis={folder / 'tsynth'}",
        f"teacher={teacher}",
        "distill.kind=lesion_points",
    ]
    result = api.train_student(tmp_path / "student", preset="demo", overrides=overrides)
    losses = pd.read_csv(result.run / "log.csv").filter(regex="detection/|distill/")
    assert any(name.endswith("distill/lesion_points") for name in losses)
    assert losses.iloc[-1].notna().all()
    assert result.epoch == 1


def test_a_volume_is_predicted_from_its_header(stores, teacher):
    _, manifests = stores
    record = next(manifests["tsynth"].records())
    detections = api.predict_volume(teacher, record.path)
    assert detections.boxes_xyxy.shape == (len(detections), 4)
    assert (detections.boxes_xyxy[:, 2] <= COLUMNS).all()
    assert (detections.boxes_xyxy[:, 3] <= ROWS).all()
