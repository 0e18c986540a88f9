"""The record of boxes: what it refuses, and that it comes back from every form it is written in."""

import json
from pathlib import Path

import numpy as np
import pytest

import comoto
from comoto.detections import Depths, Detections, Spans, mammogram_table, prediction_table
from comoto.errors import DatasetError
from comoto.geometry import Chain, Crop, Mirror
from comoto.preprocessing.plan import Plan
from comoto.records import PREDICTION_COLUMNS, Laterality

BOXES = [[10.254, 20.0, 30.5, 60.999], [200, 40, 220, 80], [5, 5, 5, 9]]
SCORES = [0.25, 0.9, 0.125]
KEYS = {"image_id": "one", "patient_id": "P1", "study_id": "S1", "view_key": "lcc"}


def volume(**changes: object) -> Detections:
    given = {"spans": Spans([4, 11, 0], [3, 0, 1]), "space": "source", **KEYS, **changes}  # type: ignore[arg-type]
    return Detections(BOXES, SCORES, **given)  # type: ignore[arg-type]


def deep(**changes: object) -> Detections:
    """A volume whose best slices and scores along the stack are known."""
    profile = [[0, 0.25, 0, 0], [0.125, 0.9, 0.5, 0], [0, 0, 0, 0.12346]]
    return volume(depths=Depths([5.0, 10.987, 0.0], profile, [0, 5, 10, 15]), **changes)  # type: ignore[arg-type]


def mammogram(**changes: object) -> Detections:
    return Detections(BOXES, SCORES, **{"space": "source", "image_id": "two", **changes})  # type: ignore[arg-type]


def plan() -> Plan:
    """A right breast on an image of 100 x 400: 20 rows and 50 columns are cut off, and it is mirrored."""
    steps = Chain((100, 400), (Crop(100, 400, 20, 50, 100, 400), Mirror(80, 350)))
    return Plan(Chain((100, 400)), steps, (0, 1), "file", Laterality.RIGHT)


def test_the_record_is_public() -> None:
    assert comoto.Detections is Detections


@pytest.mark.parametrize(
    ("boxes", "scores", "spans", "reason"),
    [
        ([[1, 2, 3]], [0.5], None, r"boxes \(1, 3\) and scores \(1,\) do not fit"),
        ([1, 2, 3, 4], [0.5], None, r"boxes \(4,\) and scores \(1,\) do not fit"),
        ([[1, 2, 3, 4]], [0.5, 0.5], None, r"boxes \(1, 4\) and scores \(2,\) do not fit"),
        ([[1, 2, 3, 4]], [[0.5]], None, r"boxes \(1, 4\) and scores \(1, 1\) do not fit"),
        ([], [0.5], None, r"boxes \(0, 4\) and scores \(1,\) do not fit"),
        ([[1, 2, 3, np.nan]], [0.5], None, "not finite"),
        ([[1, 2, np.inf, 4]], [0.5], None, "not finite"),
        ([[1, 2, 3, 4]], [np.nan], None, "not finite"),
        ([[1, 2, 3, 4], [3, 2, 1, 4]], [0.5, 0.5], None, r"box 1 is inside out.*\[3.0, 2.0, 1.0, 4.0\]"),
        ([[1, 4, 3, 2]], [0.5], None, "box 0 is inside out"),
        ([[1, 2, 3, 4]], [0.5], ([1, 2], [1, 1]), "do not fit 1 boxes"),
        ([[1, 2, 3, 4]], [0.5], ([-1], [1]), "negative"),
        ([[1, 2, 3, 4]], [0.5], ([1], [-1]), "negative"),
    ],
)
def test_what_cannot_be_is_refused(boxes: object, scores: object, spans: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Detections(boxes, scores, spans, space="grid")  # type: ignore[arg-type]


def test_the_space_has_to_be_named() -> None:
    with pytest.raises(ValueError, match="space is one of source, grid, not 'stored'"):
        Detections(BOXES, SCORES, space="stored")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="space"):
        Detections(BOXES, SCORES)  # type: ignore[call-arg]


def test_rows_are_picked_with_everything_that_belongs_to_them() -> None:
    found = volume()
    assert found[found.scores > 0.2].first_slice.tolist() == [4, 11]
    assert found[[2, 0]].scores.tolist() == [0.125, 0.25]
    assert found[1:].num_spanned.tolist() == [0, 1]
    assert len(found[-1]) == 1
    assert found[-1].first_slice.tolist() == [0]
    assert [len(one) for one in found] == [1, 1, 1]
    assert found.by_score().scores.tolist() == pytest.approx([0.9, 0.25, 0.125])
    assert found[:0].image_id == "one"
    assert found.have_area().tolist() == [True, True, False]
    with pytest.raises(IndexError):
        found[3]


def test_a_single_image_has_no_slices_until_it_is_told_which_one_it_is() -> None:
    found = mammogram(space="grid")
    with pytest.raises(ValueError, match="no slices"):
        _ = found.first_slice
    stacked = Detections.stack({9: found[:1], 5: found})
    assert (stacked.first_slice.tolist(), stacked.num_spanned.tolist()) == ([5, 5, 5, 9], [1] * 4)
    assert stacked.space == "grid"


def test_only_boxes_of_one_image_in_the_same_pixels_are_merged() -> None:
    one = volume()
    both = Detections.merge([one[:1], one[1:]])
    np.testing.assert_array_equal(both.boxes_xyxy, one.boxes_xyxy)
    np.testing.assert_array_equal(both.spans, one.spans)
    assert both.study_id == "S1"
    for other in (volume(space="grid"), volume(spans=None), volume(image_id="three"), volume(view_key="rcc")):
        with pytest.raises(ValueError, match="only boxes of one image"):
            Detections.merge([one, other])
    with pytest.raises(ValueError, match="nothing to merge"):
        Detections.merge([])


def test_boxes_travel_to_the_grid_and_back_by_name() -> None:
    """Rows lose 20, columns 50, and x becomes 350 - x: worked by hand."""
    found = Detections([[60, 30, 80, 50]], [0.5], space="source", image_id="a")
    on_grid = found.to_grid(plan())
    assert (on_grid.space, on_grid.image_id) == ("grid", "a")
    np.testing.assert_array_equal(on_grid.boxes_xyxy, [[320, 10, 340, 30]])
    np.testing.assert_array_equal(on_grid.to_source(plan()).boxes_xyxy, found.boxes_xyxy)
    with pytest.raises(ValueError, match="source pixels already"):
        found.to_source(plan())
    with pytest.raises(ValueError, match="grid already"):
        on_grid.to_grid(plan())
    for form in ("to_dataframe", "to_json", "to_coco"):
        with pytest.raises(ValueError, match="lie on the network's grid"):
            getattr(on_grid, form)()


def test_boxes_are_cut_to_the_image() -> None:
    found = Detections([[-3, 10, 500, 120], [10, 10, 20, 20]], [0.5, 0.4], space="source").clipped((100, 400))
    np.testing.assert_array_equal(found.boxes_xyxy, [[0, 10, 400, 100], [10, 10, 20, 20]])


def test_a_volume_is_the_rows_of_the_challenge() -> None:
    table = volume().to_dataframe()
    assert tuple(table.columns) == PREDICTION_COLUMNS
    assert table.iloc[0].to_list() == ["P1", "S1", "lcc", 10, 21, 20, 41, 4, 3, 0.25]
    assert table["Depth"].to_list() == [3, 0, 1]
    assert tuple(prediction_table([]).columns) == PREDICTION_COLUMNS
    assert len(prediction_table([volume(), volume()[:0], volume()])) == 6


def test_a_mammogram_is_rows_in_hundredths_of_a_pixel(tmp_path: Path) -> None:
    mammogram().to_csv(tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text().splitlines()[:2] == [
        "image_id,x1,y1,x2,y2,score",
        "two,10.25,20.0,30.5,61.0,0.25",
    ]
    assert len(mammogram_table([mammogram(), mammogram()])) == 6


def test_tables_of_both_kinds_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    prediction_table([volume(), volume(view_key="rcc")[:1]]).to_csv(path, index=False)
    first, second = Detections.from_csv(path)
    assert (first.patient_id, first.study_id, first.view_key, second.view_key) == ("P1", "S1", "lcc", "rcc")
    assert first.boxes_xyxy[0].tolist() == [10, 20, 31, 61]  # whole pixels around the box
    np.testing.assert_array_equal(first.spans, volume().spans)
    assert prediction_table([first, second]).to_csv(index=False) == path.read_text()

    mammogram_table([mammogram()]).to_csv(path, index=False)
    (again,) = Detections.from_csv(path)
    assert (again.image_id, again.spans) == ("two", None)
    assert again.to_dataframe().to_csv(index=False) == path.read_text()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("P,S,lcc,1,-2,3,4,5,6,0.5", "line 2"),
        ("P,S,lcc,1,2,3,4,5.5,6,0.5", "line 2"),
        ("P,S,lcc,1,2,3,4,-1,6,0.5", "line 2"),
        ("P,S,lcc,1,2,3,4,5,6,", "line 2"),
        ("P,S,lcc,1,2,3,x,5,6,0.5", "line 2"),
    ],
)
def test_a_row_that_is_no_box_is_refused_by_its_line(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(",".join(PREDICTION_COLUMNS) + "\n" + row + "\n")
    with pytest.raises(DatasetError, match=rf"bad\.csv: .*{reason}\b"):
        Detections.from_csv(path)


@pytest.mark.parametrize(
    ("header", "row", "problem"),
    [
        (",".join(PREDICTION_COLUMNS), 'P,S,lcc,"1,234",2,3,4,5,6,1', "1,234"),
        (",".join((*PREDICTION_COLUMNS, "Score")), "P,S,lcc,1,2,3,4,5,6,1,0.5", "stands twice"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, header: str, row: str, problem: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"{header}\n{row}\n")
    with pytest.raises(DatasetError, match=problem):
        Detections.from_csv(path)


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("StudyUID,View,X\nS,lcc,1\n")
    with pytest.raises(DatasetError, match=r"bad\.csv: columns 'PatientID', 'Width'.* are missing"):
        Detections.from_csv(path)


@pytest.mark.parametrize(
    "found", [volume(), deep(), mammogram(), volume()[:0], deep()[:0], mammogram()[:0]], ids=str
)
def test_plain_values_are_the_record_again(found: Detections) -> None:
    again = Detections.from_json(json.loads(json.dumps(found.to_json())))
    np.testing.assert_array_equal(again.boxes_xyxy, found.rounded().boxes_xyxy)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert (again.spans is None) == (found.spans is None)
    if found.spans is not None:
        np.testing.assert_array_equal(again.spans, found.spans)
        assert again.study_id == "S1"
    assert (again.depths is None) == (found.depths is None)
    if again.depths is not None and found.depths is not None:
        np.testing.assert_allclose(again.depths.profile, found.depths.profile, atol=5e-5)
        np.testing.assert_allclose(again.best_slice, found.best_slice, atol=0.005)
        assert again.depths.looked_at.tolist() == [0, 5, 10, 15]
    assert again.image_id == found.image_id
    assert again.to_json() == found.to_json()
    assert again.to_dataframe().equals(found.to_dataframe())


def test_best_slices_and_profiles_go_where_their_boxes_go() -> None:
    found = deep()
    assert found.best_slice.tolist() == [5.0, 10.987, 0.0]
    assert volume().best_slice.tolist() == [5.0, 11.0, 0.0]  # the middle of what they span
    falling = found.by_score()
    assert falling.best_slice.tolist() == [10.987, 5.0, 0.0]
    assert falling.depths is not None
    np.testing.assert_allclose(falling.depths.profile[0], [0.125, 0.9, 0.5, 0])
    assert found[found.scores < 0.5].best_slice.tolist() == [5.0, 0.0]
    assert Detections.merge([found[2:], found[:1]]).best_slice.tolist() == [0.0, 5.0]
    there = found.to_grid(plan())  # mirrored: a right breast is turned in its plane, never along the stack
    assert there.best_slice.tolist() == found.best_slice.tolist()
    assert (
        there.to_source(plan()).clipped((100, 400)).rounded().best_slice.tolist() == found.best_slice.tolist()
    )


def test_a_row_of_the_json_file_says_its_best_slice_and_the_scores_along_the_stack() -> None:
    content = deep().to_json()
    assert content["slices_looked_at"] == [0, 5, 10, 15]
    assert content["detections"][1] == {
        "box_xyxy": [200.0, 40.0, 220.0, 80.0],
        "score": pytest.approx(0.9),
        "first_slice": 11,
        "num_spanned": 0,
        "best_slice": 10.99,
        "profile": [0.125, 0.9, 0.5, 0.0],
    }
    assert deep().to_dataframe().equals(volume().to_dataframe())  # the table is the challenge's


def test_boxes_of_other_slices_looked_at_are_not_merged() -> None:
    other = volume(depths=Depths([5.0, 11.0, 0.0], np.ones((3, 2)), [0, 8]))
    for part in (volume(), other):
        with pytest.raises(ValueError, match="only if the same slices were looked at"):
            Detections.merge([deep(), part])


def test_depths_are_of_boxes_of_a_volume() -> None:
    depths = Depths([5.0], [[0.5]], [5])
    for spans in (None, Spans([1, 2, 3], [1, 1, 1])):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="depths of 1 boxes do not fit 3 boxes of a volume"):
            Detections(BOXES, SCORES, spans, depths=depths, space="grid")  # type: ignore[arg-type]


def test_coco_has_no_volumes() -> None:
    assert mammogram().to_coco()[1] == {
        "image_id": "two",
        "category_id": 1,
        "bbox": [200.0, 40.0, 20.0, 40.0],
        "score": pytest.approx(0.9),
    }
    with pytest.raises(ValueError, match="no slices"):
        volume().to_coco()


def test_what_is_printed_says_what_it_is() -> None:
    assert (
        repr(volume())
        == "Detections(3 boxes in source pixels on slices 0-11, scores 0.125 to 0.9, image_id='one')"
    )
    assert (
        repr(mammogram(space="grid", image_id="")[1]) == "Detections(1 box in grid pixels, scores 0.9 to 0.9)"
    )
    assert repr(Detections.none("grid", volume=True)) == "Detections(0 boxes in grid pixels)"
