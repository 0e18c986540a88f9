"""Parts by columns: of a manifest, of the challenge's tables, of a table of lesions; sizes in steps."""

import math

import numpy as np
import pandas as pd
import pytest
from challenge_cases import MEAN, box, boxes, false_positive, labels, prediction, predictions, volume
from test_own_volumes import manifest

from comoto import api
from comoto.errors import ConfigError, DatasetError
from comoto.evaluation.challenge_tables import read_truth
from comoto.evaluation.columns import Column, binned, size_column
from comoto.evaluation.groups import is_small, parts_by
from comoto.evaluation.lesion_table import read_lesion_table
from comoto.records import Manifest

A, B, C, D = (volume(number) for number in (1, 2, 3, 4))
FOUND = predictions(prediction(A, 0.9), false_positive(C, 0.8), prediction(B, 0.5), false_positive(D, 0.4))
"""Two lesions on A (at x 1000 and 2000), one on B; C and D have none."""
LESIONS = boxes(box(A), box(A, x=2000), box(B, slice_index=25))


def truth():
    return read_truth(labels(A, B, C, D), LESIONS)


def test_lesions_are_grouped_with_the_false_positives_of_all_volumes():
    """Masses are A's first and B's; A's second is a cyst, never found. All false positives are on C and D."""
    lesions = LESIONS.assign(Class=["mass", "cyst", "mass"])
    groups = api.evaluate(FOUND, labels(A, B, C, D), lesions, by=["type"]).beside.groups["type"]
    assert list(groups) == ["cyst", "mass"]
    mass = groups["mass"]
    assert (mass.num_lesions, mass.num_patients, mass.num_volumes, mass.num_positive) == (2, 2, 4, 2)
    assert mass.kinds["challenge"][MEAN].value == 1.0
    assert groups["cyst"].kinds["challenge"][MEAN].value == 0.0
    # wAFROC of masses against the best false positives 0.8 and 0.4: 0.9 wins 2, 0.5 wins 1, each of weight 1.
    assert mass.kinds["areas"]["wafroc"].value == pytest.approx(3 / 4)
    # Exams: with a mass 0.9 and 0.5, without any lesion 0.8 and 0.4; with a cyst 0.9.
    assert mass.kinds["areas"]["auc_per_exam"].value == pytest.approx(3 / 4)
    assert groups["cyst"].kinds["areas"]["auc_per_exam"].value == 1.0
    # One false positive of four volumes, 0.8, stands between the hits: the points (0, 1/2) and (1/4, 1).
    assert mass.kinds["all_volumes"]["sensitivity_at_0.25_fps_all"].value == 1.0
    assert mass.kinds["all_volumes"]["sensitivity_at_0.125_fps_all"].value == pytest.approx(0.75)


def test_volumes_are_grouped_with_their_own_false_positives():
    dense = labels(A, B, C, D).assign(Density=["a", "b", "a", "b"])
    groups = api.evaluate(FOUND, dense, LESIONS, by=["Density"]).beside.groups["Density"]
    a, b = groups["a"], groups["b"]
    assert (a.num_lesions, a.num_volumes, b.num_lesions, b.num_volumes) == (2, 2, 1, 2)
    # A and C: one of two lesions, weight 1/2, 0.9 against 0.8; the other -inf: 1/2.
    assert a.kinds["areas"]["wafroc"].value == pytest.approx(0.5)
    assert b.kinds["areas"]["wafroc"].value == 1.0
    assert a.is_small
    assert b.record()["small"] is True


def test_columns_of_a_manifest(tmp_path):
    """A's lesion is found, B's is not; C has none, and the mammogram counts nowhere."""
    plain = manifest(tmp_path)
    images = plain.images.assign(laterality=["L", "R", "L", "R"], label=["x", "y", "z", "film"])
    lesions = plain.lesions.assign(category=["mass", "cyst", "film"], x2=[1050.0, 1090.0, 10.0])
    found = predictions(prediction(A, 0.9), prediction(B, 0.3, x=400))
    result = api.evaluate(found, manifest=Manifest("own", images, lesions), by="type,laterality,size,label")
    groups = result.beside.groups
    counted = {
        name: {
            value: (part.num_lesions, part.num_volumes, part.kinds["challenge"][MEAN].value)
            for value, part in parts.items()
        }
        for name, parts in groups.items()
    }
    none = pytest.approx(math.nan, nan_ok=True)
    assert counted == {
        "type": {"cyst": (1, 3, 0.0), "mass": (1, 3, 1.0)},
        "laterality": {"L": (1, 2, 1.0), "R": (1, 1, 0.0)},
        # 100 x 100 and 140 x 100; the files that would say millimetres are not there.
        "size": {"64 to 128 pixels": (1, 3, 1.0), "128 to 256 pixels": (1, 3, 0.0)},
        "label": {"x": (1, 1, 1.0), "y": (1, 1, 0.0), "z": (0, 1, none)},
    }
    assert "by laterality" in result.summary()
    assert "* fewer than 10 lesions" in result.summary()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"by": "colour"}, r"--by colour: no table has such a column \(there are: .*StudyUID"),
        ({"by": "type"}, "--by type: no table has such a column"),
        ({"by": "View,View"}, "name each column once"),
        ({"by": "View,"}, "name each column once"),
        (
            {"lesion_table": pd.DataFrame({"StudyUID": ["S1"], "View": ["lcc"]})},
            "--lesion-table: name the columns",
        ),
    ],
)
def test_wrong_columns(given, message):
    with pytest.raises(ConfigError, match=message):
        api.evaluate(FOUND, labels(A, B, C, D), LESIONS, **given)


def test_tables_that_are_not_utf8_can_be_grouped_by(tmp_path):
    frames = {"labels": labels(A, B, C, D).assign(Ort="Köln"), "boxes": LESIONS.assign(Class="Übel")}
    for name, frame in frames.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False, encoding="cp1252")
    paths = [tmp_path / f"{name}.csv" for name in frames]
    groups = api.evaluate(FOUND, *paths, by="Ort,type").beside.groups
    assert {name: list(parts) for name, parts in groups.items()} == {"Ort": ["Köln"], "type": ["Übel"]}


def test_a_column_of_the_boxes_hides_that_of_the_labels():
    both = labels(A, B, C, D).assign(Class="of the volume"), LESIONS.assign(Class="of the lesion")
    assert list(api.evaluate(FOUND, *both, by="type").beside.groups["type"]) == ["of the lesion"]


def test_too_many_values():
    names = tuple(f"name {k}" for k in range(21))
    many = read_truth(labels(*map(volume, range(21))), boxes(box(volume(0))))
    with pytest.raises(ConfigError, match="--by x: 21 different values; choose a column with at most 20"):
        parts_by("x", Column("volumes", names), many)


def test_a_column_of_many_numbers_is_cut_into_thirds():
    rows = [volume(number) for number in range(9)]
    many = read_truth(labels(*rows), boxes(*map(box, rows)))
    parts = parts_by("contrast", Column("lesions", tuple(str(k / 10) for k in range(9))), many)
    # 0.0 to 0.8: the thirds end at 0.2667 and 0.5333.
    assert {name: int(part.lesions.sum()) for name, part in parts.items()} == {
        "up to 0.2667": 3,
        "0.2667 to 0.5333": 3,
        "above 0.5333": 3,
    }
    parts = parts_by("grade", Column("lesions", ("1", "2", "", *"121212")), many)
    assert [(name, int(part.lesions.sum())) for name, part in parts.items()] == [
        ("1", 4),
        ("2", 4),
        ("(not said)", 1),
    ]


def test_numbers_are_ordered_by_their_value_and_words_by_the_alphabet():
    rows = [volume(number) for number in range(4)]
    some = read_truth(labels(*rows), boxes(*map(box, rows)))
    for values, order in (
        (("10", "9", "-1", "9.5"), ["-1", "9", "9.5", "10"]),
        (("10", "9", "", "a"), ["10", "9", "a", "(not said)"]),
        (("10", "9", "nan", "8"), ["10", "8", "9", "nan"]),
    ):
        assert list(parts_by("x", Column("lesions", values), some)) == order


def test_steps_of_near_edges_have_different_names():
    near = binned(np.array([1.00001, 1.00003, 2.0]), (1.00002, 1.00004))
    assert near.values == ("up to 1.00002", "1.00002 to 1.00004", "above 1.00004")
    tight = binned(np.array([1.0]), (1.0, np.nextafter(1.0, 2)))
    assert tight.order == ("up to 1", "1 to 1.0000000000000002", "above 1.0000000000000002")


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, ""])
def test_what_a_frame_lacks_is_not_said_and_a_word_is(nothing):
    lesions = LESIONS.assign(Class=pd.Series(["mass", nothing, "None"], dtype=object))
    groups = api.evaluate(FOUND, labels(A, B, C, D), lesions, by=["type"]).beside.groups["type"]
    assert list(groups) == ["None", "mass", "(not said)"]


def test_sizes():
    assert binned(np.array([9.9, 10.0, 10.1, 31.0, np.nan]), (10.0, 20.0, 30.0), " mm").values == (
        *("up to 10 mm", "up to 10 mm", "10 to 20 mm", "above 30 mm", ""),
    )
    wide = read_truth(labels(A), boxes(box(A, size=(300, 100)), box(A, x=2000, size=(100, 120))))
    assert size_column(wide, None).values == ("256 to 512 pixels", "64 to 128 pixels")
    # 300 columns of 0.1 mm are 30 mm; 120 rows of 0.2 mm are 24 mm, 100 columns of 0.1 mm are 10 mm.
    spacing = np.array([[0.2, 0.1], [0.2, 0.1]])
    assert size_column(wide, spacing).values == ("20 to 30 mm", "20 to 30 mm")


def test_small_parts():
    rows = [volume(number) for number in range(10)]
    enough = read_truth(labels(*rows), boxes(*map(box, rows)))
    everyone = parts_by("x", Column("lesions", ("a",) * 10), enough)["a"]
    assert not is_small(everyone, enough)
    assert is_small(parts_by("x", Column("lesions", (*"aaaaaaaaa", "b")), enough)["a"], enough)
    one = labels(*({**row, "PatientID": f"P{k % 4}"} for k, row in enumerate(rows)))
    assert is_small(everyone, read_truth(one, boxes(*map(box, rows))))


class TestLesionTable:
    def read(self, rows):
        return read_lesion_table(pd.DataFrame(rows), truth())

    def test_by_number_slice_or_place(self):
        key_a, key_b = ({name: row[name] for name in ("StudyUID", "View")} for row in (A, B))
        numbered = self.read([{**key_a, "Lesion": 2, "type": "cyst"}, {**key_b, "Lesion": 1, "type": "mass"}])
        assert numbered == {"type": Column("lesions", ("", "cyst", "mass"))}
        assert self.read([{**key_b, "Slice": 25, "type": "mass"}])["type"].values == ("", "", "mass")
        placed = self.read([{**key_a, "Slice": 20, "X": 1950.4, "Y": 950, "type": "cyst"}])
        assert placed["type"].values == ("", "cyst", "")

    def test_rows_of_volumes_make_a_column_of_volumes(self):
        given = [(A, 1, "x", "mass"), (A, 2, "x", "cyst"), (B, None, "y", None), (C, 0, "x", None)]
        rows = [
            {**row, "Lesion": number, "vendor": vendor, "type": kind} for row, number, vendor, kind in given
        ]
        assert self.read(rows) == {
            "vendor": Column("volumes", ("x", "y", "x", "")),
            "type": Column("lesions", ("mass", "cyst", "")),
        }

    def test_other_splits_are_passed_over(self):
        rows = [{**A, "Lesion": 1, "type": "mass"}, {**volume(77), "Lesion": 5, "type": "x"}]
        assert self.read(rows)["type"].values == ("mass", "", "")

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([{**A, "Lesion": 3}], r"rows fit no lesion of their volume \(row 0\); Lesion counts from 1"),
            ([{**C, "Slice": 3}], "rows fit no lesion"),
            ([{**A, "Slice": 20}], r"rows fit several lesions \(row 0\); add a column Lesion"),
            ([{**A, "Lesion": 1}, {**A, "Lesion": 1}], r"lesions have two rows \(row 1\)"),
            ([{**C, "Lesion": 0}, {**C, "Lesion": 0}], r"volumes have two rows \(row 1\)"),
            ([{**volume(8), "Lesion": 1}], "no row names a volume of the cohort"),
            (
                [
                    {**A, "Lesion": 1, "kind": "mass"},
                    {**A, "Lesion": 2, "kind": "cyst"},
                    {**C, "Lesion": 0, "kind": "normal"},
                ],
                r"column kind: a row says something else than another one of its volume \(row 1\)",
            ),
            ([{"StudyUID": "S1", "Lesion": 1}], "column 'View' is missing"),
            ([{**A, "Lesion": "first"}], "Lesion is 'first', which is not a number"),
        ],
    )
    def test_wrong_rows(self, rows, message):
        with pytest.raises(DatasetError, match=message):
            self.read([{**row, "type": "x"} for row in rows])

    def test_it_hides_other_columns_and_is_read_from_a_file(self, tmp_path):
        path = tmp_path / "more.csv"
        pd.DataFrame([{**B, "Lesion": 1, "type": "asymmetry"}]).to_csv(path, index=False)
        lesions = LESIONS.assign(Class="mass")
        groups = api.evaluate(
            FOUND, labels(A, B, C, D), lesions, by=["type", "Class"], lesion_table=path
        ).beside.groups
        assert list(groups["type"]) == ["asymmetry", "(not said)"]
        assert list(groups["Class"]) == ["mass"]
