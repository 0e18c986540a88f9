"""The real BCS-DBT tables, where they lie beside the repository: published or hand-made counts."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from comoto.datasets.bcs_dbt.tables import KEY, read_bcs_dbt_tables, volume_ids
from comoto.datasets.reading.boxes import CORNERS, clip_to_image, counted_once
from comoto.datasets.reading.ledger import Ledger
from comoto.records import Split

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "real"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the real tables are not part of the project")


@pytest.fixture(scope="module")
def tables():
    return read_bcs_dbt_tables(FOLDER)


def test_train_labels(tables):
    volumes = tables[Split.TRAIN].labels.rows
    assert len(volumes) == 19148
    assert volumes["PatientID"].nunique() == 4362
    assert volumes["StudyUID"].nunique() == 4838
    assert volumes["label"].value_counts().to_dict() == {
        "normal": 18232,
        "actionable": 716,
        "benign": 124,
        "cancer": 76,
    }
    assert volumes["View"].value_counts().to_dict() == {
        "lcc": 4791,
        "lmlo": 4788,
        "rmlo": 4781,
        "rcc": 4779,
        "rmlo1": 4,
        "lmlo1": 2,
        "rcc1": 2,
        "lcc2": 1,
    }
    assert volumes["laterality"].value_counts().to_dict() == {"L": 4791 + 4788 + 3, "R": 4781 + 4779 + 6}
    per_study = volumes.groupby("StudyUID")["label"].first().value_counts().to_dict()
    assert per_study == {"normal": 4558, "actionable": 179, "benign": 62, "cancer": 39}


def test_train_boxes(tables):
    boxes = tables[Split.TRAIN].boxes.rows
    assert len(boxes) == 224
    assert boxes["category"].value_counts().to_dict() == {"benign": 137, "cancer": 87}
    assert int(boxes["architectural_distortion"].sum()) == 77
    per_volume = boxes.groupby(KEY).size().value_counts().to_dict()
    assert per_volume == {1: 178, 2: 20, 3: 2}
    width, height = boxes["x2"] - boxes["x1"], boxes["y2"] - boxes["y1"]
    assert (width.median(), height.median()) == (217.5, 205)
    assert (width.min(), height.min(), width.max(), height.max()) == (58, 55, 796, 865)
    first = boxes.iloc[0]
    assert tuple(first[KEY]) == ("DBT-P00013", "DBT-S00163", "rmlo")
    assert tuple(first[["x1", "y1", "x2", "y2", "slice_index", "num_slices"]]) == (
        1116,
        1724,
        1334,
        1829,
        16,
        49,
    )


def test_boxes_are_exactly_on_the_positive_volumes(tables):
    labels = tables[Split.TRAIN].labels.rows
    positive = labels[labels["label"].isin(["benign", "cancer"])]
    boxes = tables[Split.TRAIN].boxes.rows
    assert set(boxes[KEY].itertuples(index=False, name=None)) == set(
        positive[KEY].itertuples(index=False, name=None)
    )
    merged = boxes.merge(labels, on=KEY)
    assert (merged["category"] == merged["label"]).all()


@pytest.mark.parametrize(
    ("split", "rows", "patients", "studies", "tails"),
    [(Split.VALIDATION, 1163, 280, 312, 1158), (Split.TEST, 1721, 418, 460, 1703)],
)
def test_paths(tables, split, rows, patients, studies, tails):
    assert tables[split].labels is None
    assert tables[split].boxes is None
    volumes = tables[split].paths.rows
    assert len(volumes) == rows
    assert volumes["PatientID"].nunique() == patients
    assert volumes["StudyUID"].nunique() == studies
    assert volumes["series_uid"].nunique() == rows
    assert volumes["series_uid"].str[-5:].nunique() == tails
    assert volumes["series_number"].notna().all()
    assert volumes["series_uid"].str.startswith("1.2.826.0.1.3680043.8.498.").all()


def test_descriptive_layout_is_resolved_for_every_real_path(tables):
    """Folder names of both descriptive layouts lead to the right series."""
    from comoto.datasets.bcs_dbt.files import _descriptive_key, _descriptive_keys
    from comoto.datasets.reading.tables import read_table

    for split in (Split.VALIDATION, Split.TEST):
        volumes = tables[split].paths.rows
        keys = _descriptive_keys(volumes)
        raw = read_table(tables[split].paths.table.path, ["descriptive_path"]).rows["descriptive_path"]
        resolved = [keys.get(_descriptive_key(Path("/data") / text)) for text in raw]
        assert resolved == list(volumes["series_uid"])
        newer = [text[:-13] + "NA-" + text[-13:] for text in raw]  # before the tail and /1-1.dcm
        assert [keys.get(_descriptive_key(Path("/data") / text)) for text in newer] == resolved


def test_no_patient_is_in_two_splits(tables):
    train = set(tables[Split.TRAIN].labels.rows["PatientID"])
    validation = set(tables[Split.VALIDATION].paths.rows["PatientID"])
    test = set(tables[Split.TEST].paths.rows["PatientID"])
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_no_box_of_the_release_is_odd(tables):
    """Counted with the csv module: none stands twice, none is below a pixel, no two are almost the same."""
    with (FOLDER / "BCS-DBT boxes-train-v2.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)][1:]
    assert len(rows) == len(set(rows)) == 224
    found = tables[Split.TRAIN].boxes
    boxes = found.rows.assign(image_id=volume_ids(found.rows))
    ledger = Ledger()
    assert len(counted_once(found.table, boxes, ledger)) == 224
    big = pd.Series(10_000, index=boxes.index)
    clipped = clip_to_image(found.table, boxes[CORNERS], big, big, "", ledger)
    assert clipped.equals(boxes[CORNERS])
    assert ledger.notes == ()
