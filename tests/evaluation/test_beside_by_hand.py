"""Depth variants, areas and the wAFROC figure of merit, worked by hand."""

import numpy as np
import pytest
from challenge_cases import MEAN, box, boxes, false_positive, labels, prediction, predictions, volume

from comoto import api
from comoto.errors import ConfigError
from comoto.evaluation.auc import Area, Sample, breasts_and_exams
from comoto.evaluation.beside import ALL_VOLUMES, AREAS, DEPTH_ERROR
from comoto.evaluation.challenge_tables import read_predictions, read_truth
from comoto.evaluation.depth_variants import CONSTANT, CONSTANT_MILLIMETRES, IN_PLANE, MILLIMETRES
from comoto.evaluation.figures import CPM_NAME

A, B, C, D = (volume(number) for number in (1, 2, 3, 4))


def whole(found, truth_labels, truth_boxes, **options):
    return api.evaluate(found, truth_labels, truth_boxes, **options).beside.whole.kinds


def test_the_depth_variants():
    """Slices 49, annotated slice 20: the challenge accepts 7.75 to 32.25, 10 mm of 2 mm slices 15 to 25.

    Volume 1 is found at depth 31: right by the challenge, wrong within 10 mm. Volume 2 at depth 45: right in
    the plane alone. Volume 3 at depth 22: right by all. 0.4 x 49 = 19.6 is right for all three.
    """
    found = predictions(prediction(A, 0.9, z=31), prediction(B, 0.8, z=45), prediction(C, 0.7, z=22))
    tables = labels(A, B, C), boxes(box(A), box(B), box(C))
    kinds = whole(found, *tables, slice_mm=2.0)
    result = api.evaluate(found, *tables)
    # The wrong ones are false positives: 1 of 3 volumes is 1/3 FP, always below 1 FP per volume.
    assert result.metric[MEAN] == pytest.approx(2 / 3)
    assert kinds[IN_PLANE][MEAN].value == 1.0
    assert kinds[CONSTANT][MEAN].value == 1.0
    assert kinds[MILLIMETRES][MEAN].value == pytest.approx(1 / 3)
    assert kinds[CONSTANT_MILLIMETRES][MEAN].value == 1.0  # 0.4 slices off
    # Errors 11, 25 and 2 slices: the median is 11, the 90 % quantile 11 + 0.8 x (25 - 11) = 22.2.
    error = kinds[DEPTH_ERROR]
    assert (error["median_slices"].value, error["median_mm"].value) == (11.0, 22.0)
    assert error["quantile_90_slices"].value == pytest.approx(22.2)
    assert error["constant_median_slices"].value == pytest.approx(0.4)
    assert error["constant_quantile_90_mm"].value == pytest.approx(0.8)
    assert result.beside.free_share == 1.0
    # 0.9 x 49 = 44.1 is 24.1 slices from 20: nobody is found any more.
    assert whole(found, *tables, constant_depth=0.9)[CONSTANT][MEAN].value == 0.0
    assert MILLIMETRES not in result.beside.whole.kinds
    assert "median_mm" not in result.beside.whole.kinds[DEPTH_ERROR]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth_tolerance": "10"}, "--depth-tolerance 10: expected millimetres above 0, such as 10mm"),
        ({"depth_tolerance": "0mm"}, "expected millimetres above 0"),
        ({"depth_tolerance": "10mm"}, "tables do not know how far slices lie apart; add --slice-mm"),
        ({"slice_mm": 0.0}, "--slice-mm 0: expected a distance above 0"),
        ({"slice_mm": float("nan")}, "expected a distance above 0"),
        ({"constant_depth": 1.5}, "--constant-depth 1.5: expected a share of the stack, 0 to 1"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(ConfigError, match=message):
        api.evaluate(predictions(prediction(A, 0.9)), labels(A), boxes(box(A)), **options)


def test_the_sensitivities_over_all_volumes():
    """Four volumes, two with a lesion. Hits at 0.9 and 0.3; two false positives at 0.8 and 0.7.

    The curve: (0, 0), (0, 1/2) at 0.9, (2/4, 2/2) at 0.3. At 1/8 FP: 1/2 + 1/4 x 1/2 = 0.625, at 1/4 FP 0.75,
    from 1/2 on 1.
    """
    found = predictions(
        prediction(A, 0.9), prediction(B, 0.3), false_positive(C, 0.8), false_positive(A, 0.7)
    )
    kinds = whole(found, labels(A, B, C, D), boxes(box(A), box(B)))
    values = [figure.value for figure in kinds[ALL_VOLUMES].values()]
    assert values[:4] == pytest.approx([0.625, 0.75, 1.0, 1.0])
    assert kinds[ALL_VOLUMES][CPM_NAME].value == pytest.approx((0.625 + 0.75 + 5) / 7)


def test_areas_per_breast_and_exam():
    """One exam of both breasts: left with a lesion, right without; another exam without any.

    Breasts: with 0.5; without 0.5 (a tie, half), 0.2 (won) and nothing (won): (0.5 + 1 + 1) / 3.
    Exams: the first has 0.5; the second, without, 0.2 and so loses: 1.
    """
    left, right = volume(1, "lcc"), volume(1, "rmlo")
    other, silent = volume(2, "lcc"), volume(2, "rcc")
    found = predictions(false_positive(left, 0.5), false_positive(right, 0.5), false_positive(other, 0.2))
    kinds = whole(found, labels(left, right, other, silent), boxes(box(left)))
    assert kinds[AREAS]["auc_per_breast"].value == pytest.approx(2.5 / 3)
    assert kinds[AREAS]["auc_per_exam"].value == 1.0


def test_without_sides_there_are_no_breasts_and_without_normals_no_areas():
    one = {**volume(1), "View": "view 1"}
    kinds = whole(predictions(prediction(one, 0.5)), labels(one), boxes(box(one)))
    assert list(kinds[AREAS]) == ["auc_per_exam", "wafroc"]
    assert all(np.isnan(figure.value) for figure in kinds[AREAS].values())


def test_the_wafroc_figure_of_merit():
    """Volume 1 has two lesions of weight 1/2, found at 0.6 and never; volume 2 one, found at 0.4.

    Volumes without: 3 with false positives 0.5 and 0.1, of which the best counts; 4 without a detection. The
    false positive of 0.9 lies on volume 1 and does not count. Pairs won, by weight, against (0.5, -inf):
    0.6: 1/2 x 2; never: 1/2 x (0 + 0.5), a tie of -inf; 0.4: 1 x (0 + 1). Together 2.25 of 2 x 2.
    """
    found = predictions(
        prediction(A, 0.6),
        prediction(B, 0.4),
        false_positive(A, 0.9),
        false_positive(C, 0.5),
        false_positive(C, 0.1),
    )
    kinds = whole(found, labels(A, B, C, D), boxes(box(A), box(A, x=2000), box(B)))
    assert kinds[AREAS]["wafroc"].value == pytest.approx(2.25 / 4)


def test_an_area_of_a_draw():
    """Two patients with a lesion (0.9, 0.1), two without (0.5, 0.1), drawn 2, 1, 3 and 0 times.

    0.9 beats 0.5 in 2 x 3 pairs, 0.1 loses 1 x 3: 6 of 9.
    """
    area = Area(
        "x",
        Sample.equal(np.array([0.9, 0.1]), np.array([0, 1])),
        Sample.equal(np.array([0.5, 0.1]), np.array([2, 3])),
    )
    copies = np.array([[2, 1, 3, 0, 1], [1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    # Once each: 0.9 wins both, 0.1 loses one and ties one: 2.5 of 4. Without a lesion there is none.
    np.testing.assert_allclose(area.at(copies)[:, 0], [6 / 9, 2.5 / 4, np.nan])


def test_studies_of_two_patients_are_two_exams():
    """Some sets number studies within a patient."""
    rows = [
        {"PatientID": "p", "StudyUID": "1", "View": "lcc"},
        {"PatientID": "q", "StudyUID": "1", "View": "rcc"},
    ]
    truth = read_truth(labels(*rows), boxes(box(rows[0])))
    assert breasts_and_exams(truth, ["L", "R"])[1].of_volume.tolist() == [0, 1]


def test_no_prediction_at_all():
    kinds = whole(predictions(), labels(A, B), boxes(box(A)), bootstrap=5, slice_mm=1.0)
    assert kinds[IN_PLANE][MEAN].value == 0.0
    assert np.isnan(kinds[DEPTH_ERROR]["median_slices"].value)
    assert kinds[AREAS]["wafroc"].value == 0.5  # all score -inf


def test_the_same_draws_as_the_challenges_metric():
    """Intervals of the group of everything are those of the metric itself."""
    rng = np.random.default_rng(4)
    volumes = [volume(number) for number in range(12)]
    rows = [prediction(each, rng.random()) for each in volumes[:8]]
    rows += [false_positive(volumes[rng.integers(12)], rng.random()) for _ in range(60)]
    lesions = boxes(*(box(each) for each in volumes[:9]))
    lesions["Class"] = "mass"
    for kind in ("percentile", "bca"):
        result = api.evaluate(
            predictions(*rows), labels(*volumes), lesions, bootstrap=40, seed=3, interval=kind, by="type"
        )
        own = result.beside.groups["type"]["mass"].kinds["challenge"]
        assert {name: figure.value for name, figure in own.items()} == pytest.approx(result.metric)
        for name, interval in result.bootstrap.intervals.items():
            assert (own[name].interval.low, own[name].interval.high) == pytest.approx(
                (interval.low, interval.high)
            )


def test_detections_on_unknown_volumes_count_as_in_the_challenge():
    stranger = volume(9)
    found = predictions(prediction(A, 0.5), false_positive(stranger, 0.9), false_positive(stranger, 0.8))
    truth = read_truth(labels(A, B), boxes(box(A)))
    assert read_predictions(found, truth).volume.tolist() == [0, -1, -1]
    # 2 FP on 2 volumes before the hit: at 1/2 FP half way up.
    kinds = whole(found, labels(A, B), boxes(box(A)))
    assert kinds[ALL_VOLUMES]["sensitivity_at_0.5_fps_all"].value == pytest.approx(0.5)
