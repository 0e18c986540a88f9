"""The study on CDD-CESM: who is in which fold, what is trained, and how folds become one table."""

import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from PIL import Image

from comoto.checksums import file_sha256
from comoto.records import Lesion, Manifest
from comoto.study.config import load_study
from comoto.study.grid import build_grid
from comoto.study.kept import read_done, write_done
from comoto.study.results import read_results
from datasets.releases_cdd_cesm import CesmTree
from study.study_files import hand_made_study

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = ("cesm_study", "cesm_pictures", "cesm_pool")
PLACE, PAIR = ("standard", 0.5, "pretraining"), (0, 0)
PATIENTS = [f"P{number}" for number in range(130)]


@pytest.fixture
def driver() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("cesm_study")
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in MODULES:
            sys.modules.pop(name, None)


def test_every_patient_is_tested_once_and_has_one_role(driver: ModuleType) -> None:
    roles = [driver.fold_roles(PATIENTS, fold, 4) for fold in range(4)]
    assert all(set(one) == set(PATIENTS) for one in roles)
    tested = Counter(name for one in roles for name, role in one.items() if role == "test")
    assert tested == dict.fromkeys(PATIENTS, 1)
    assert Counter(roles[0].values()) == {"test": 33, "teacher": 53, "student": 36, "validation": 8}


def test_the_studies_build(driver: ModuleType, tmp_path: Path) -> None:
    study = load_study(driver.study_file(tmp_path, "to-subtracted", 5))
    grid = build_grid(study, tmp_path / "study")
    assert len(study.variants) == 13
    assert (len(grid.teachers), len(grid.students)) == (10, 130)
    assert all(run.config.data.single_images for run in grid.students)
    tiny = build_grid(load_study(driver.study_file(tmp_path, "to-subtracted", 1, tiny=True)), tmp_path)
    assert {run.steps for run in (*tiny.teachers, *tiny.students)} == {1, 6}


def test_teacher_and_student_share_nobody(driver: ModuleType, tmp_path: Path) -> None:
    tree = CesmTree(tmp_path / "release")
    tree.images = {f"P{n}_L_{kind}_CC": ("Malignant", "5") for n in range(10) for kind in ("DM", "CM")}
    shape = {"name": "rect", "x": 20, "y": 30, "width": 20, "height": 20}
    tree.shapes = [(f"{name}.jpg", shape) for name in tree.images]
    tree.write()
    images = {
        energy: driver.pictures(tree.root, energy, tmp_path / "small")
        for energy in ("low_energy", "subtracted")
    }
    roles = driver.fold_roles(sorted(f"P{n}" for n in range(10)), 0, 2)
    driver.make_stores(tmp_path / "fold", "to-subtracted", images, roles, 1)
    teacher, student = (
        Manifest.load(tmp_path / "fold" / role / "manifest") for role in ("teacher", "student")
    )
    assert {name.split("_")[2] for name in teacher.images["image_id"]} == {"DM"}
    assert {name.split("_")[2] for name in student.images["image_id"]} == {"CM"}
    of_student = student.images.set_index("patient_id")["split"].to_dict()
    splits = {"student": "train", "validation": "validation", "test": "test"}
    assert of_student == {name: splits[role] for name, role in roles.items() if role in splits}
    assert set(teacher.images["patient_id"]) == {
        name for name, role in roles.items() if role in ("teacher", "validation")
    }


def test_a_release_and_its_copies_are_the_same_pictures(driver: ModuleType, tmp_path: Path) -> None:
    tree = CesmTree(tmp_path / "release").write()
    released = driver.pictures(tree.root, "low_energy", tmp_path / "small")
    assert list(released.images["image_id"]) == ["P1_L_DM_CC"]  # ribbon, benign and normal are left out
    (record,) = released.records()
    assert Image.open(record.path).size == (384, 512)
    assert [lesion.box_xyxy for lesion in record.lesions] == [(80, 120, 160, 200), (204, 284, 280, 360)]
    copies = tmp_path / "copies"
    (copies / "images").mkdir(parents=True)
    for name in ("P1_L_DM_CC", "P1_R_DM_MLO", "P1_L_CM_CC"):
        Image.open(record.path).save(copies / "images" / f"{name}.jpg")
    rows = [
        "P1_L_DM_CC.jpg,80,120,160,200,6400",
        "P1_L_DM_CC.jpg,5,5,60,15,100",
        "P1_R_DM_MLO.jpg,1,1,7,30,180",
    ]
    (copies / "boxes_from_masks.csv").write_text("\n".join(["file,x0,y0,x1,y1,area_px", *rows, ""]))
    (record,) = driver.pictures(copies, "low_energy", tmp_path / "unused").records()
    assert record.image_id == "P1_L_DM_CC"
    assert record.lesions == (Lesion((80, 120, 160, 200), None, "Malignant"),)


def fold_with_false_positives(folder: Path, prefix: str, scale: float) -> Path:
    """Four images: a lesion at 0.9, one false positive an image, a lesion, another one an image, a lesion."""
    hand_made_study(folder, {(*PLACE, *PAIR): [0, 1, 2]}, prefix=prefix)
    (done,) = folder.glob("students/*/*/*/*/done.json")
    path = done.with_name("predictions.csv")
    table = pd.read_csv(path, dtype={"PatientID": str})
    lesions = table.assign(Score=[0.9, 0.5, 0.3])
    false = [lesions.iloc[[0]].assign(X=900, Score=score) for score in [0.8] * 4 + [0.4] * 4]
    rows = pd.concat([lesions, *false])
    rows.assign(Score=rows["Score"] * scale).to_csv(path, index=False)
    known = read_done(done.parent)
    assert known is not None
    write_done(done.parent, {"seconds": 1.0}, {path.name: file_sha256(path)}, known["test_sha256"])
    return folder


def test_folds_with_other_scales_of_scores_are_one_table(driver: ModuleType, tmp_path: Path) -> None:
    folds = [
        fold_with_false_positives(tmp_path / name, name, scale) for name, scale in (("a", 1.0), ("b", 0.01))
    ]
    pool = importlib.import_module("cesm_pool")
    one = read_results(folds[1], bootstrap=1)
    (table,) = folds[1].glob("students/*/*/*/*/predictions.csv")
    scores = pool.aligned(pd.read_csv(table, dtype={"PatientID": str}), one, PLACE, PAIR)["Score"]
    assert scores.tolist() == [0, -1, -2, *[-1] * 4, *[-2] * 4]  # false positives an image from there on
    both = pool.pooled(folds)
    assert len(both.truth.patients) == 8
    assert list(both.runs[PLACE]) == [PAIR]
    of_one = one.runs[PLACE][PAIR].result.metric["mean_sensitivity_positive"]
    assert both.runs[PLACE][PAIR].result.metric["mean_sensitivity_positive"] == pytest.approx(of_one)
    assert 0.5 < of_one < 0.75


def test_a_run_that_a_fold_lacks_is_left_out(driver: ModuleType, tmp_path: Path) -> None:
    folds = [
        hand_made_study(tmp_path / name, {(*PLACE, seed, 0): [0] for seed in seeds}, prefix=name)
        for name, seeds in (("a", (0, 1)), ("b", (1,)))
    ]
    runs = importlib.import_module("cesm_pool").pooled(folds).runs
    assert {place: list(pairs) for place, pairs in runs.items() if pairs} == {PLACE: [(1, 0)]}
