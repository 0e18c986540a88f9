"""The preset ``paper`` from stores to detections, with a smaller grid and ResNet and nothing else changed."""

from pathlib import Path

import numpy as np
import pytest

from comoto import api
from comoto.dicom.read import DicomImage
from comoto.records import Manifest, Split
from comoto.training.log_file import read_log
from tiny_exams import Exams

SMALLER = (
    "preprocess.rows=128",
    "preprocess.columns=64",
    "detector.backbone={name: torchvision/resnet18, weights: none}",
    "detector.inner_resize={min_side: 96, max_side: 192}",
    "detector.anchor_sizes=[[8, 16, 24, 36, 52]]",
    "detector.score_threshold=0.001",
    "schedule.epochs=1",
    "workers=0",
    "threads=1",
)


@pytest.fixture(scope="module")
def stores(exams: Exams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    for name in ("bcs-dbt", "vindr-mammo"):
        api.prepare(exams.manifests / name, folder / name, preset="paper", overrides=SMALLER, workers=1)
    return folder


@pytest.fixture(scope="module")
def paper_teacher(stores: Path) -> Path:
    overrides = [*SMALLER, f"data.mammograms={stores / 'vindr-mammo'}"]
    run: Path = api.train_teacher(stores / "teacher", preset="paper", overrides=overrides).run
    return run


def test_the_teacher_aligns_its_lesions(paper_teacher: Path) -> None:
    (row,) = read_log(paper_teacher / "log.csv")
    assert row["impa/alignment"] > 0
    assert row["learning_rate"] == 5e-5
    assert 0 <= row["validation/map_2d"] <= 1


@pytest.mark.parametrize(
    ("variant", "key"),
    [
        ([], "distill/lesion_points"),
        (["distill.kind=image_level"], "distill/image_level"),
    ],
    ids=["comoto", "image-level"],
)
@pytest.mark.slow
def test_the_arms_that_distil(
    exams: Exams, stores: Path, paper_teacher: Path, tmp_path: Path, variant: list[str], key: str
) -> None:
    overrides = [*SMALLER, f"data.tomosynthesis={stores / 'bcs-dbt'}", *variant]
    overrides += [f"teacher={paper_teacher}", f"data.mammograms={stores / 'vindr-mammo'}"]
    result = api.train_student(tmp_path / "run", preset="paper", overrides=overrides)
    (row,) = read_log(result.run / "log.csv")
    told = {name for name in row if name.startswith("distill/")}
    assert told == {key, "distill/ratio"}
    assert np.isfinite(list(row.values())).all()
    record = next(Manifest.load(exams.manifests / "bcs-dbt").split(Split.TEST).records())
    found = api.predict_volume(api.load_model(result.run), record.path)
    with DicomImage(record.path) as image:
        last = image.header.num_frames - 5
    assert len(found) > 0
    assert (found.num_spanned == 0).all()
    assert (found.first_slice >= 4).all()
    assert (found.first_slice <= last).all()
