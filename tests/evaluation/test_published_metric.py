"""What the published code's metrics would say, worked by hand, and what the right ones say instead."""

import json

import numpy as np
import pandas as pd
import pytest
from challenge_cases import (
    ALL,
    MEAN,
    POSITIVE,
    box,
    boxes,
    false_positive,
    labels,
    prediction,
    predictions,
    volume,
)
from test_mammogram_froc import manifest

from comoto.errors import DatasetError
from comoto.evaluation.challenge import challenge_metric
from comoto.evaluation.mammogram import mammogram_froc
from comoto.evaluation.published import published_challenge_metric, published_mammogram_metric

FPS = [f"sensitivity_at_{fps}_fps" for fps in (1, 2, 3, 4)]
BOX = ["x1", "y1", "x2", "y2"]
LESION, ELSEWHERE = (0, 0, 10, 10), (50, 50, 60, 60)


def detections(*rows):
    return pd.DataFrame(
        [(name, *place, score) for name, place, score in rows], columns=["image_id", *BOX, "score"]
    )


def lesions(names):
    return pd.DataFrame([(name, *LESION) for name in names], columns=["image_id", *BOX])


def test_lesions_count_as_volumes_and_halve_the_fp_rate():
    # One volume, two lesions. By score: hit, 2 FP, hit. Right: 2 FP per volume, so 1/2 + 1/4 at 1 FP.
    # Published: 2 FP / 2 lesions = 1 FP per volume, so both lesions are found at 1 FP.
    one = volume(1)
    tables = labels(one), boxes(box(one), box(one, x=2000))
    found = predictions(prediction(one, 0.9), *[false_positive(one, 0.8)] * 2, prediction(one, 0.7, x=2000))
    assert challenge_metric(found, *tables)[POSITIVE[0]] == 0.75
    assert published_challenge_metric(found, *tables)[POSITIVE[0]] == 1.0


def test_one_lesion_a_volume_makes_no_difference_on_positive_volumes():
    volumes = [volume(k) for k in range(1, 5)]
    tables = labels(*volumes, volume(9)), boxes(*(box(where) for where in volumes[:3]))
    found = predictions(prediction(volumes[0], 0.9), *[false_positive(volumes[1], 0.95)] * 4)
    right, published = challenge_metric(found, *tables), published_challenge_metric(found, *tables)
    assert [right[name] for name in (*POSITIVE, MEAN)] == [published[name] for name in (*POSITIVE, MEAN)]


def test_the_published_all_divides_by_lesions_what_it_counts_everywhere():
    # 6 FP on the normal volume above the only hit. Right: 3 per volume over both, so 2/3 at 2 FP per volume.
    # Published: 6 FP for 1 lesion, so 1/3; the other figures leave the normal volume out.
    positive, normal = volume(1), volume(2)
    tables = labels(positive, normal), boxes(box(positive))
    found = predictions(prediction(positive, 0.5), *[false_positive(normal, 0.9)] * 6)
    assert challenge_metric(found, *tables)[ALL] == pytest.approx(2 / 3)
    published = published_challenge_metric(found, *tables)
    assert published[ALL] == pytest.approx(1 / 3)
    assert [published[name] for name in POSITIVE] == [1.0] * 4


def test_the_released_test_set_comes_out_12_percent_too_easy():
    # 136 lesions in 121 volumes, the last 15 with two. 242 FP above all hits are 2 for each of 121 volumes,
    # and 242 / 136 = 1.779 as published. With everything found at the next score, the curve is a line from
    # (0, 0) to (2, 1) or to (1.779, 1): at 1 FP it reads 1/2, or 136 / 242 = 0.562, 12.4 % more.
    volumes = [volume(k) for k in range(121)]
    truth = [box(where) for where in volumes] + [box(where, x=2000) for where in volumes[-15:]]
    tables = labels(*volumes), boxes(*truth)
    hits = [prediction(where, 0.5) for where in volumes] + [prediction(w, 0.5, x=2000) for w in volumes[-15:]]
    found = predictions(*hits, *(false_positive(where, 0.9) for where in volumes for _ in range(2)))
    right, published = challenge_metric(found, *tables), published_challenge_metric(found, *tables)
    assert right[POSITIVE[0]] == pytest.approx(0.5)
    assert published[POSITIVE[0]] == pytest.approx(136 / 242)
    assert published[POSITIVE[0]] / right[POSITIVE[0]] == pytest.approx(1.124, abs=1e-3)


def test_one_of_four_found_scores_one_on_mammograms():
    false = [(name, (20 * k, 50, 20 * k + 9, 60), 0.5 - 0.1 * k) for k in range(4) for name in "abcd"]
    found = detections(("a", LESION, 0.9), *false)
    published = published_mammogram_metric(found, lesions("abcd"), list("abcd"))
    assert published == dict.fromkeys([*FPS, "mean_sensitivity"], 1.0)
    curve = mammogram_froc(found, lesions("abcd"), list("abcd"))
    assert curve.sensitivity_at([1, 2, 3, 4]).tolist() == [0.25] * 4


def test_the_average_over_thresholds_of_one_rate():
    # One image, two lesions, both matched. By score: FP, hit, hit, FP, FP, FP: three thresholds leave exactly
    # 1 FP, with 0, 1/2 and 1 of the matched ones above them.
    apart = [(100 * k, 100, 100 * k + 10, 110) for k in range(4)]
    other = (200, 200, 210, 210)
    truth = pd.concat([lesions("a"), pd.DataFrame([("a", *other)], columns=["image_id", *BOX])])
    found = detections(
        ("a", apart[0], 0.9),
        ("a", LESION, 0.8),
        ("a", other, 0.7),
        *(("a", place, 0.6 - 0.1 * k) for k, place in enumerate(apart[1:])),
    )
    published = published_mammogram_metric(found, truth, ["a"])
    assert [published[name] for name in FPS] == [0.5, 1.0, 1.0, 1.0]
    assert published["mean_sensitivity"] == 0.875


def test_a_second_hit_of_one_lesion_is_a_false_positive_as_published():
    # Hit, the same box again, 3 FP: the copy is the first of 4 false positives.
    copies = [("a", LESION, 0.9), ("a", LESION, 0.8)]
    false = [("a", (100 * k, 50, 100 * k + 9, 60), 0.7 - 0.1 * k) for k in range(3)]
    published = published_mammogram_metric(detections(*copies, *false), lesions("a"), ["a"])
    assert published["mean_sensitivity"] == 1.0
    with pytest.raises(DatasetError, match=r"exactly 4 false positives"):
        published_mammogram_metric(detections(copies[0], *false), lesions("a"), ["a"])


def test_division_by_zero_is_an_error_with_the_rate():
    found = detections(("a", LESION, 0.9), ("b", ELSEWHERE, 0.8))
    with pytest.raises(DatasetError, match=r"exactly 2 false positives \(1 for each of 2 images\).*have 1"):
        published_mammogram_metric(found, lesions("a"), ["a", "b"])
    # Three false positives share one score: 2 are never left alone.
    tied = detections(("a", LESION, 0.9), *[("a", (100 * k, 50, 100 * k + 9, 60), 0.5) for k in range(1, 4)])
    with pytest.raises(DatasetError, match="exactly 1 false"):
        published_mammogram_metric(tied, lesions("a"), ["a"])


def test_nothing_matched_is_an_error():
    with pytest.raises(DatasetError, match="no detection matches a lesion"):
        published_mammogram_metric(detections(("a", ELSEWHERE, 0.9)), lesions("a"), ["a"])
    with pytest.raises(DatasetError, match="no detection matches a lesion"):
        published_mammogram_metric(detections(("a", LESION, np.nan)), lesions("a"), ["a"])


def test_the_command_prints_both_and_says_which_is_which(tmp_path, comoto):
    one = volume(1)
    found = predictions(prediction(one, 0.9), *[false_positive(one, 0.8)] * 2, prediction(one, 0.7, x=2000))
    tables = {"predictions": found, "labels": labels(one), "boxes": boxes(box(one), box(one, x=2000))}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    given = [f"--{name}={tmp_path / name}.csv" for name in tables]
    target = tmp_path / "result.json"
    code, out, _ = comoto("evaluate", *given, "--published-metric", f"--json={target}")
    assert code == 0
    assert "this published difference" in " ".join(out.split())
    (line,) = [line for line in out.splitlines() if line.strip().startswith("sensitivity_at_1_fps_positive")]
    assert line.split()[1:] == ["0.7500", "1.0000", "+0.2500"]
    content = json.loads(target.read_text())
    assert content["sensitivity_at_1_fps_positive"] == 0.75
    assert content["published_metric"]["sensitivity_at_1_fps_positive"] == 1.0
    code, out, _ = comoto("evaluate", *given)
    assert "published" not in out


def test_an_undefined_published_metric_ends_the_command(tmp_path, comoto):
    manifest().save(tmp_path / "manifest")
    detections(("a", LESION, 0.9)).to_csv(tmp_path / "found.csv", index=False)
    target = tmp_path / "result.json"
    code, out, err = comoto(
        "evaluate",
        f"--mammogram-predictions={tmp_path / 'found.csv'}",
        f"--manifest={tmp_path / 'manifest'}",
        "--published-metric",
        f"--json={target}",
    )
    assert (code, out, target.exists()) == (2, "", False)
    assert "the published metric is not defined here" in err
