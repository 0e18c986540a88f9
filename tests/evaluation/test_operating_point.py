"""Operating points: which threshold, what it does, the file, and which predictions it fits."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume

from comoto import api
from comoto.config import InferenceConfig
from comoto.errors import ConfigError
from comoto.evaluation.operating_point import Wanted
from comoto.inference.operating_point import check_point
from comoto.operating_points import KnownPoint, read_operating_point

A, B, C, D = (volume(number) for number in (1, 2, 3, 4))
FOUND = predictions(
    prediction(A, 0.9),
    false_positive(C, 0.8),
    prediction(B, 0.6),
    false_positive(C, 0.5),
    false_positive(D, 0.5),
    prediction(C, 0.4, x=1100),
)
TABLES = labels(A, B, C, D), boxes(box(A), box(B), box(C, x=1100))
"""Curve over 4 volumes and 3 lesions: 0.9 (0, 1/3), 0.6 (1/4, 2/3), 0.4 (3/4, 3/3), and the end."""


@pytest.mark.parametrize(
    ("wanted", "threshold", "sensitivity", "fps"),
    [
        ("0.1fp", 0.9, 1 / 3, 0.0),
        ("0.25fp", 0.6, 2 / 3, 0.25),
        (".5FP", 0.6, 2 / 3, 0.25),
        ("0.75 fp", 0.4, 1.0, 0.75),
        ("100fp", 0.4, 1.0, 0.75),
        ("sensitivity=0.3", 0.9, 1 / 3, 0.0),
        ("sensitivity=0.6667", 0.4, 1.0, 0.75),
        ("sensitivity = 1", 0.4, 1.0, 0.75),
    ],
)
def test_by_hand(wanted, threshold, sensitivity, fps):
    point = api.evaluate(FOUND, *TABLES, operating_point=wanted).beside.point
    assert (point.threshold.value, point.sensitivity.value) == (threshold, pytest.approx(sensitivity))
    assert point.fps_per_volume.value == fps
    assert point.threshold.interval is None


def test_a_share_of_lesions_is_reached_in_spite_of_rounding():
    curve = np.cumsum(np.full(10, 0.1))  # the ninth is 0.8999999999999999
    assert Wanted("sensitivity", 0.9).choose(np.zeros(10), curve) == 8


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("0.5", "expected false positives per volume, such as 0.5fp, or a sensitivity"),
        ("0fp", "expected false positives per volume"),
        ("sensitivity=1.1", "expected false positives per volume"),
        ("sensitivity=0", "expected false positives per volume"),
    ],
)
def test_what_is_no_operating_point(wanted, message):
    with pytest.raises(ConfigError, match=message):
        Wanted.parse(wanted)


def test_what_cannot_be_reached():
    late = predictions(*[false_positive(A, 0.9)] * 3, prediction(A, 0.1))
    with pytest.raises(ConfigError, match=r"the first hit comes with 0.75 false positives per volume"):
        api.evaluate(late, *TABLES, operating_point="0.5fp")
    with pytest.raises(ConfigError, match=r"every prediction together reaches 0.3333; choose less"):
        api.evaluate(late, *TABLES, operating_point="sensitivity=0.9")
    with pytest.raises(ConfigError, match="there is no prediction"):
        api.evaluate(predictions(), *TABLES, operating_point="0.5fp")


def test_intervals_are_those_of_the_drawn_patients():
    """One patient with all: every draw is the whole, and so is every end of an interval."""
    alone = [{**row, "PatientID": "P"} for row in (A, B, C, D)]
    point = api.evaluate(FOUND, labels(*alone), TABLES[1], operating_point="0.5fp", bootstrap=20).beside.point
    for figure in (point.threshold, point.sensitivity, point.fps_per_volume):
        assert (figure.interval.low, figure.interval.high) == (figure.value, figure.value)
    many = api.evaluate(FOUND, *TABLES, operating_point="0.5fp", bootstrap=200).beside.point
    assert many.threshold.interval.low < 0.6 < many.threshold.interval.high
    assert 0 <= many.sensitivity.interval.low < many.sensitivity.interval.high <= 1


@pytest.fixture
def files(tmp_path):
    FOUND.to_csv(tmp_path / "found.csv", index=False)
    for name, table in zip(("labels", "boxes"), TABLES, strict=True):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return [
        f"--predictions={tmp_path / 'found.csv'}",
        *(f"--{name}={tmp_path / name}.csv" for name in ("labels", "boxes")),
    ]


def test_the_file(files, tmp_path, comoto):
    made_by = {"model": "m", "model_sha256": "0" * 64, "inference": {"slice_step": 2}}
    sidecar = {"format": "comoto-predictions-1", "made_by": made_by, "images": []}
    (tmp_path / "found.json").write_text(json.dumps(sidecar))
    target = tmp_path / "point.json"
    code, out, _ = comoto(
        "evaluate", *files, "--operating-point=0.5fp", f"--operating-point-out={target}", "--bootstrap=30"
    )
    assert code == 0
    assert "operating point 0.5fp: score >= 0.600000  [" in out
    assert f"wrote {target}" in out
    known = read_operating_point(target)
    assert (known.threshold, known.wanted, known.made_by) == (0.6, "0.5fp", made_by)
    assert known.content["num_volumes"] == 4
    again = comoto("evaluate", *files, "--operating-point=0.5fp", f"--operating-point-out={target}")
    assert (again.code, "--overwrite" in again.err) == (2, True)
    target.write_text(target.read_text().replace("0.6", "0.1"))
    with pytest.raises(ConfigError, match=r"point.json: is damaged, or was changed since it was written"):
        read_operating_point(target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--operating-point-out=x.json"], "say which point, with --operating-point 0.5fp"),
        (["--operating-point=2"], "expected false positives per volume"),
        (["--export-rjafroc=x.csv"], "the file ends in .xlsx"),
    ],
)
def test_wrong_calls(files, options, message, comoto):
    code, out, err = comoto("evaluate", *files, *options)
    assert (code, out, message in err) == (2, "", True)


def test_a_point_belongs_to_a_model_and_its_settings(told):
    config = InferenceConfig()
    model = SimpleNamespace(name="student", sha256="1" * 64)
    settings = config.model_dump(mode="json")

    def point(**made_by):
        return KnownPoint(0.5, "0.5fp", made_by, {})

    former = config.model_copy(
        update={"aggregation": config.aggregation.model_copy(update={"span": "strong"})}
    )
    of_then = settings | {"aggregation": {k: v for k, v in settings["aggregation"].items() if k != "span"}}
    check_point(point(model_sha256="1" * 64, inference=of_then), model, former)
    check_point(point(model_sha256="1" * 64, inference=settings | {"batch_size": 99}), model, config)
    with pytest.raises(ConfigError, match=r"of another model \(other\), whose scores mean something else"):
        check_point(point(model="other", model_sha256="2" * 64, inference=settings), model, config)
    with pytest.raises(
        ConfigError, match=r"with other settings \(slice_step\), which give other boxes or scores"
    ):
        check_point(point(model_sha256="1" * 64, inference=settings | {"slice_step": 7}), model, config)
    check_point(point(), model, config)
    assert "does not say on which model's predictions it was chosen" in told.readouterr().err
