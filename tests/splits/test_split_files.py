"""``comoto split``: patients of several data sets dealt out once, into files that are checked."""

import hashlib
import json
import math
import random
import sys
from dataclasses import dataclass

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto import api
from comoto.cli.main import run
from comoto.errors import ConfigError, DatasetError, OutputExistsError
from comoto.records import LESION_COLUMNS, Manifest, Split
from comoto.splits.assign import SplitPlan, assign_fractions, assign_parts, split_plan
from comoto.splits.file import SplitFile, content_hash, load_split_file, save_split_file
from comoto.splits.make import MadeSplit, SplitOptions, assign, join
from comoto.splits.merge import MergeSource, merge, read_sources
from dicom_files import breast, write_dicom

NO_FILES = SplitOptions(headers=False)


def make_split(sources, plan=None, options=None) -> MadeSplit:
    plan, options = plan or SplitPlan(), options or SplitOptions()
    return assign(join(sources, plan, options), plan, options.fractions)


@dataclass(frozen=True)
class Patient:
    """A patient of a test: ``images`` images, the first with a lesion or not."""

    name: str
    lesion: bool
    split: str = "train"
    images: int = 2


def manifest(name, patients, modality="mammogram", folder="/data"):
    rows, lesions = [], []
    for patient in patients:
        for view in range(patient.images):
            image_id = f"{patient.name}-{view}"
            rows.append(
                {
                    "image_id": image_id,
                    "modality": modality,
                    "patient_id": patient.name,
                    "study_id": f"{name}-{patient.name}",
                    "view_key": ("L-CC", "R-CC")[view % 2],
                    "laterality": "LR"[view % 2],
                    "view": "CC",
                    "split": patient.split,
                    "label": "x",
                    "path": f"{folder}/{name}/{image_id}",
                    "num_slices": 1,
                }
            )
        if patient.lesion:
            lesions.append(
                {
                    "image_id": f"{patient.name}-0",
                    "x1": 0,
                    "y1": 0,
                    "x2": 5,
                    "y2": 5,
                    "slice_index": None,
                    "category": "Mass",
                }
            )
    return Manifest(name, pd.DataFrame(rows), pd.DataFrame(lesions, columns=list(LESION_COLUMNS)))


def crowd(positive, negative, split="train", first=0):
    return [Patient(f"{first + n:04d}", n < positive, split) for n in range(positive + negative)]


def half_up(number):
    return math.floor(number + 0.5)


def parts_of(made):
    return {part: made.split.part(part) for part in Split}


# ---- properties -------------------------------------------------------------------------------------------


def table(counts, official=None):
    """The patients of several sets, (with a lesion, without) each, as ``merge`` describes them."""
    rows = [
        {
            "patient_id": f"set{k}:{n:04d}",
            "sets": f"set{k}",
            "has_lesion": n < positive,
            "official": official,
            "validation_given": False,
        }
        for k, (positive, negative) in enumerate(counts)
        for n in range(positive + negative)
    ]
    return pd.DataFrame(rows)


@settings(max_examples=60)
@given(
    counts=st.lists(st.tuples(st.integers(3, 12), st.integers(0, 25)), min_size=1, max_size=3),
    seed=st.integers(0, 5),
    validation=st.floats(0.02, 0.45),
    test=st.floats(0.0, 0.45),
    fractions=st.lists(st.floats(0.001, 1.0), min_size=2, max_size=4),
)
def test_everybody_has_one_part_and_fractions_are_nested(counts, seed, validation, test, fractions):
    patients = table(counts)
    parts = assign_parts(patients, SplitPlan(seed=seed, validation=validation, test=test))
    assert parts.keys() == set(patients["patient_id"])
    sick = set(patients["patient_id"][patients["has_lesion"]])
    for k, (positive, negative) in enumerate(counts):
        own = [name for name in parts if name.startswith(f"set{k}:")]
        well = [name for name in own if name not in sick]
        assert sum(parts[name] is Split.TEST for name in well) == half_up(test * negative)
        for part in (Split.TRAIN, Split.VALIDATION, *((Split.TEST,) if test else ())):
            assert any(parts[name] is part for name in own if name in sick)
        tested = sum(parts[name] is Split.TEST for name in own if name in sick)
        assert abs(tested - test * positive) <= 1.5  # rounded, and one at least stays for each other part
    chosen = assign_fractions(patients, parts, fractions, seed)
    training = {name for name, part in parts.items() if part is Split.TRAIN}
    inner = set()
    for share in sorted(set(fractions)):
        assert inner <= set(chosen[share]) <= training
        assert any(name in sick for name in chosen[share])
        inner = set(chosen[share])
    assert set(assign_fractions(patients, parts, [1.0], seed)[1.0]) == training


@settings(max_examples=5)
@given(seed=st.integers(0, 5), shared=st.booleans(), shuffle=st.randoms(use_true_random=False))
def test_order_has_no_effect_and_no_patient_is_in_two_parts(seed, shared, shuffle):
    sources = [MergeSource(f"set{n}", manifest(f"set{n}", crowd(5 + n, 4))) for n in range(2)]
    plan = SplitPlan(seed=seed)
    options = SplitOptions(shared_ids=shared, headers=False, fractions=(0.5,))
    made = make_split(sources, plan, options)
    assert (made.merged.manifest.images.groupby("patient_id")["split"].nunique() == 1).all()
    assert len({name for names in made.split.patients.values() for name in names}) == (10 if shared else 19)
    shuffled = [MergeSource(s.alias, shuffled_rows(s.manifest, shuffle)) for s in reversed(sources)]
    again = make_split(shuffled, plan, options)
    assert again.split == made.split  # with its hash
    pd.testing.assert_frame_equal(again.merged.manifest.images, made.merged.manifest.images)


def shuffled_rows(one, shuffle):
    order = list(range(len(one.images)))
    shuffle.shuffle(order)
    return Manifest(one.name, one.images.iloc[order], one.lesions[::-1])


@settings(max_examples=40)
@given(
    counts=st.lists(st.tuples(st.integers(8, 20), st.integers(0, 30)), min_size=1, max_size=3),
    folds=st.integers(2, 5),
    seed=st.integers(0, 3),
    held_out=st.sampled_from(["validation", "test"]),
)
def test_folds_partition_and_are_even(counts, folds, seed, held_out):
    patients = table(counts)
    sick = set(patients["patient_id"][patients["has_lesion"]])
    test = 0 if held_out == "test" else 0.15
    drawn = [
        assign_parts(patients, SplitPlan(seed=seed, test=test, folds=folds, fold=k, held_out=held_out))
        for k in range(folds)
    ]
    folded = [{name for name, part in parts.items() if part == held_out} for parts in drawn]
    fixed = {name for name, part in drawn[0].items() if part == "test"} if test else set()
    assert set().union(*folded) == set(patients["patient_id"]) - fixed
    assert sum(map(len, folded)) == len(set().union(*folded))  # so they are disjoint
    for names in (folded, [fold & sick for fold in folded]):
        sizes = sorted(map(len, names))
        assert sizes[-1] - sizes[0] <= 1
    assert all(fold & sick for fold in folded)
    assert len(fixed & sick) == (
        sum(max(1, half_up(0.15 * positive)) for positive, _ in counts) if test else 0
    )
    if test:
        assert all({name for name, part in parts.items() if part == "test"} == fixed for parts in drawn)


# ---- worked out by hand -----------------------------------------------------------------------------------


def test_the_hash_decides_who_is_drawn():
    """Worked out apart from the code: sha256 of "test 7", a line feed and the patient."""
    made = make_split([MergeSource("a", manifest("a", crowd(10, 0)))], SplitPlan(seed=7, test=0.2), NO_FILES)
    names = [f"{n:04d}" for n in range(10)]

    def ranked(salt):
        return sorted(names, key=lambda name: hashlib.sha256(f"{salt}\n{name}".encode()).hexdigest())

    test = set(ranked("test 7")[:2])
    validation = [name for name in ranked("validation 7") if name not in test][:2]  # 1.5 rounds up
    assert parts_of(made) == {
        Split.TEST: test,
        Split.VALIDATION: set(validation),
        Split.TRAIN: set(names) - test - set(validation),
    }


def test_every_set_and_its_lesions_have_their_share():
    sources = [
        MergeSource("a", manifest("a", crowd(20, 40))),
        MergeSource("b", manifest("b", crowd(10, 100))),
    ]
    made = make_split(sources, SplitPlan(validation=0.1, test=0.2), NO_FILES)
    positive = {f"a:{n:04d}" for n in range(20)} | {f"b:{n:04d}" for n in range(10)}
    sizes = {
        (part, name, sick): len({p for p in names if p.startswith(name) and (p in positive) == sick})
        for part, names in parts_of(made).items()
        for name in "ab"
        for sick in (True, False)
    }
    assert sizes == {
        (Split.TEST, "a", True): 4,
        (Split.TEST, "a", False): 8,
        (Split.TEST, "b", True): 2,
        (Split.TEST, "b", False): 20,
        (Split.VALIDATION, "a", True): 2,
        (Split.VALIDATION, "a", False): 4,
        (Split.VALIDATION, "b", True): 1,
        (Split.VALIDATION, "b", False): 10,
        (Split.TRAIN, "a", True): 14,
        (Split.TRAIN, "a", False): 28,
        (Split.TRAIN, "b", True): 7,
        (Split.TRAIN, "b", False): 70,
    }


def official_set(name="official", validation=True):
    people = crowd(6, 6) + crowd(2, 2, "test", 100)
    return manifest(name, people + (crowd(2, 2, "validation", 200) if validation else []))


def test_official_splits_are_kept():
    one = official_set()
    made = make_split([MergeSource("a", one)], None, NO_FILES)
    for part in Split:
        assert made.split.part(part) == frozenset(one.split(part).images["patient_id"])


def test_missing_validation_comes_out_of_official_training():
    one = official_set(validation=False)
    made = make_split([MergeSource("a", one)], SplitPlan(validation=0.5, test=0.4), NO_FILES)
    assert made.split.part(Split.TEST) == frozenset(one.split(Split.TEST).images["patient_id"])
    validation = made.split.part(Split.VALIDATION)
    assert len(validation) == 6
    assert len(validation & {f"{n:04d}" for n in range(6)}) == 3


def test_official_splits_can_be_ignored():
    made = make_split([MergeSource("a", official_set())], SplitPlan(official=False, test=0.5), NO_FILES)
    assert len(made.split.part(Split.TEST)) == 10
    assert made.split.part(Split.TEST) != {f"{n:04d}" for n in (100, 101, 102, 103)}


def test_folds_keep_the_official_test_and_pool_the_rest():
    one = official_set()
    made = [make_split([MergeSource("a", one)], SplitPlan(folds=4, fold=k), NO_FILES).split for k in range(4)]
    test = frozenset(one.split(Split.TEST).images["patient_id"])
    assert {split.part(Split.TEST) for split in made} == {test}
    assert frozenset().union(*(split.part(Split.VALIDATION) for split in made)) == (
        frozenset(one.images["patient_id"]) - test
    )
    with pytest.raises(DatasetError, match=r"4 patients are an official test split.*--ignore-official"):
        make_split([MergeSource("a", one)], SplitPlan(folds=4, fold=0, held_out="test"), NO_FILES)


def test_mammograms_of_shared_patients_follow_their_volumes():
    """A patient who is tested by volume is tested by mammogram too, however few are drawn."""
    volumes = MergeSource("dbt", official_set("dbt"))
    films = MergeSource("ffdm", manifest("ffdm", crowd(8, 8) + crowd(2, 2, first=100)))
    made = make_split([films, volumes], None, SplitOptions(shared_ids=True, headers=False))
    assert {"0100", "0101", "0102", "0103"} <= made.split.part(Split.TEST)
    mammograms = made.split.apply(films.manifest)
    assert set(mammograms.images["patient_id"][mammograms.images["split"] == "test"]) >= {"0100", "0103"}
    apart = make_split([films, volumes], None, NO_FILES)
    assert "dbt:0100" in apart.split.part(Split.TEST)
    assert {"ffdm:0100", "dbt:0100"} <= {name for names in apart.split.patients.values() for name in names}


@pytest.mark.parametrize(("one", "other"), [("omidb", "omidb-selection"), ("tsynth", "msynth")])
def test_the_same_people_in_two_data_sets_are_no_strangers(one, other):
    """Nothing in the files of OMI-DB and of its extract tells that they show the same women."""
    sets = manifest(one, crowd(9, 9)), manifest(other, crowd(9, 9))
    images = sets[1].images.assign(image_id="x" + sets[1].images["image_id"])
    other_set = Manifest(other, images, sets[1].lesions.assign(image_id="x" + sets[1].lesions["image_id"]))
    with pytest.raises(DatasetError, match=f"hold the same people.*{min(one, other)}=FOLDER for each"):
        merge([MergeSource(one, sets[0]), MergeSource(other, other_set)])
    for merged in (
        merge([MergeSource("both", sets[0]), MergeSource("both", other_set)]),
        merge([MergeSource(one, sets[0]), MergeSource(other, other_set)], shared_ids=True),
    ):
        assert len(merged.patients) == 18
        assert len(merged.manifest.images) == 72
    apart = merge([MergeSource(one, sets[0]), MergeSource("cmmd", manifest("cmmd", crowd(9, 9)))])
    assert len(apart.patients) == 36


def test_official_splits_that_contradict_each_other():
    one = manifest("a", [Patient("1", True, "test"), Patient("2", True)])
    other = manifest("b", [Patient("1", True), Patient("2", True), Patient("3", True, "test")])
    with pytest.raises(DatasetError, match=r"disagree about 1 patients of the same id, such as 1;"):
        merge([MergeSource("a", one), MergeSource("b", other)], shared_ids=True)
    merge([MergeSource("a", one), MergeSource("b", other)])  # other people
    merge([MergeSource("a", one), MergeSource("b", other)], shared_ids=True, official=False)


# ---- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 3}, "folds and fold belong together"),
        ({"folds": 3, "fold": 3}, "fold 3 of 3: folds count from 0 to 2"),
        ({"validation": 0.6, "test": 0.4}, "leave no one to train"),
        ({"validation": 0}, "validation: Input should be greater than 0"),
        ({"held_out": "test"}, "held_out is for folds"),
        ({"held_out": "train"}, "held_out: Input should be 'validation' or 'test'"),
    ],
)
def test_plans_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        split_plan(**settings)


@pytest.mark.parametrize(
    ("positive", "plan", "message"),
    [
        (1, SplitPlan(test=0), "no patient with a lesion is left for validation: 1 patients have one"),
        (2, SplitPlan(), "no patient with a lesion is left for (validation|test)"),
        (2, SplitPlan(folds=3, fold=0, test=0), "3 folds of 2 patients with a lesion"),
    ],
)
def test_parts_without_a_lesion(positive, plan, message):
    with pytest.raises(DatasetError, match=message):
        make_split([MergeSource("a", manifest("a", crowd(positive, 20)))], plan, NO_FILES)


def saved(tmp_path, options=NO_FILES, **plan):
    made = make_split([MergeSource("a", manifest("a", crowd(5, 5)))], SplitPlan(**plan), options)
    path = tmp_path / "split.json"
    save_split_file(path, made.split)
    return path, made.split


def test_a_split_file_survives_saving_and_can_be_read_by_people(tmp_path):
    path, split = saved(tmp_path, SplitOptions(headers=False, fractions=(0.25, 1 / 3)))
    assert load_split_file(path) == load_split_file(tmp_path) == split
    content = json.loads(path.read_text())
    assert list(content)[:3] == ["format", "hash", "name"]
    assert sorted(content["patients"]["train"] + content["patients"]["validation"]) == sorted(
        {f"{n:04d}" for n in range(10)} - set(content["patients"]["test"])
    )
    assert split.fraction(1 / 3) == frozenset(content["fractions"][str(1 / 3)])
    with pytest.raises(ConfigError, match=r"no fraction 0\.5 \(it has: 0\.25, 0\.333"):
        split.fraction(0.5)


def test_a_changed_file_is_refused(tmp_path):
    path, _ = saved(tmp_path)
    content = json.loads(path.read_text())
    moved = content["patients"]["test"].pop()
    content["patients"]["train"].append(moved)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"split\.json: the content does not fit its hash"):
        load_split_file(path)


def test_a_patient_in_two_parts_is_refused_even_with_a_fitting_hash(tmp_path):
    path, _ = saved(tmp_path)
    content = json.loads(path.read_text())
    twice = content["patients"]["test"][0]
    content["patients"]["train"].append(twice)
    content["hash"] = content_hash(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rf"patient {twice} stands in train and in test"):
        load_split_file(path)


def test_fractions_that_are_not_nested_are_refused(tmp_path):
    path, _ = saved(tmp_path, SplitOptions(headers=False, fractions=(0.2, 0.5)))
    content = json.loads(path.read_text())
    content["fractions"]["0.2"] = content["patients"]["test"]
    content["hash"] = content_hash(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"fraction 0\.2 is not nested"):
        load_split_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a split file"),
        ("[]", "Input should be a valid dictionary"),
        ("{}", "hash: Field required"),
        ('{"format": "comoto-split-1"}', "format: Input should be 'comoto-split-2'"),
        ("\xff", "not a split file"),
    ],
)
def test_other_files_are_no_splits(tmp_path, text, message):
    path = tmp_path / "split.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DatasetError, match=rf"split\.json: {message}.*make it again with 'comoto split'"):
        load_split_file(path)
    with pytest.raises(DatasetError, match="no such file"):
        load_split_file(tmp_path / "none.json")


# ---- which manifest a file is of --------------------------------------------------------------------------


def test_a_split_applies_to_the_merged_manifest_and_to_each_that_went_in():
    sources = [MergeSource("a", manifest("a", crowd(5, 5))), MergeSource("b", manifest("b", crowd(5, 5)))]
    made = make_split(sources, None, NO_FILES)
    merged = made.split.apply(made.merged.manifest)
    pd.testing.assert_frame_equal(merged.images, made.merged.manifest.images)
    own = made.split.apply(sources[1].manifest)
    for patient, split in zip(own.images["patient_id"], own.images["split"], strict=True):
        assert f"b:{patient}" in made.split.part(Split(split))
    with pytest.raises(DatasetError, match=r"c: the split file is of a, b;"):
        made.split.apply(manifest("c", crowd(1, 0)))
    with pytest.raises(DatasetError, match=r"a: 2 patients are in no part of the split file, such as a:0010"):
        made.split.apply(manifest("a", crowd(6, 6)))


def test_two_sets_of_one_name_need_two_names(tmp_path):
    for folder, first in (("one", 0), ("two", 100)):
        manifest("csv", crowd(5, 5, first=first)).save(tmp_path / folder)
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    with pytest.raises(DatasetError, match=r"two manifests are named csv; write NAME=FOLDER with two names"):
        read_sources(folders, shared_ids=False)
    named = [f"north={folders[0]}", f"south={folders[1]}"]
    made = make_split(read_sources(named, shared_ids=False), None, NO_FILES)
    assert made.split.name == "north+south"
    with pytest.raises(DatasetError, match=r"csv: the split file holds several sets of that name"):
        made.split.apply(Manifest.load(tmp_path / "one"))
    alike = read_sources([f"all={folders[0]}", f"all={folders[1]}"], shared_ids=False)
    assert "0105" in {
        name for names in make_split(alike, None, NO_FILES).split.patients.values() for name in names
    }
    assert len(read_sources(folders, shared_ids=True)) == 2


@pytest.mark.parametrize("name", ["", "a:b", "a+b", " a"])
def test_names_that_would_be_ambiguous(tmp_path, name):
    manifest("csv", crowd(1, 0)).save(tmp_path / "one")
    with pytest.raises(DatasetError, match="is no name for a data set"):
        read_sources([f"{name}={tmp_path / 'one'}"], shared_ids=False)


def test_study_ids_get_a_name_in_front_only_where_they_collide():
    one, other = manifest("a", crowd(1, 0)), manifest("b", crowd(1, 0))
    assert list(merge([MergeSource("a", one), MergeSource("b", other)]).manifest.images["study_id"]) == (
        ["a-0000"] * 2 + ["b-0000"] * 2
    )
    other.images["study_id"] = "a-0000"
    merged = merge([MergeSource("a", one), MergeSource("b", other)]).manifest
    assert set(merged.images["study_id"]) == {"a:a-0000", "b:a-0000"}
    assert merged.notes == ("1 study ids stand in two sets, so all study ids got the set's name in front",)
    assert list(merged.lesions["image_id"]) == ["a:0000-0", "b:0000-0"]


# ---- the same image twice ---------------------------------------------------------------------------------


def on_disk(folder, name, people, uid=None):
    """A manifest whose images are DICOM files; ``uid`` maps image ids to SOP Instance UIDs."""
    made = manifest(name, people, folder=str(folder))
    for row in made.images.itertuples():
        target = folder / name / row.image_id
        target.parent.mkdir(parents=True, exist_ok=True)
        own = (uid or {}).get(row.image_id, f"1.2.3.{random.Random(f'{name}{row.image_id}').getrandbits(60)}")
        write_dicom(target, breast(1, 24, 16, "L")[0], "raw", tags={"SOPInstanceUID": own})
    return made


def test_one_image_under_two_patients_is_refused(tmp_path):
    one = on_disk(tmp_path, "a", crowd(3, 0), {"0001-0": "1.2.3.4"})
    other = on_disk(tmp_path, "b", crowd(3, 0), {"0002-1": "1.2.3.4"})
    sources = [MergeSource("a", one), MergeSource("b", other)]
    message = r"1 images belong to two patients: a:0001-0 and b:0002-1 \(SOP Instance UID 1\.2\.3\.4\)"
    for drop in (False, True):
        with pytest.raises(DatasetError, match=message):
            make_split(sources, None, SplitOptions(drop_duplicates=drop))
    make_split(sources, None, SplitOptions(headers=False))  # paths alone do not tell


def test_one_image_twice_of_one_patient_can_be_dropped(tmp_path):
    one = on_disk(tmp_path, "a", crowd(4, 0), {"0001-0": "1.2.3.4", "0001-1": "1.2.3.4"})
    with pytest.raises(
        DatasetError, match=r"1 images are there twice: 0001-0 and 0001-1 .*--drop-duplicates"
    ):
        make_split([MergeSource("a", one)])
    other = r"1 images are there twice with different lesions: 0001-0 and 0001-1 .* which lesions are right"
    with pytest.raises(DatasetError, match=other):  # leaving the second out would make a healthy image of it
        make_split([MergeSource("a", one)], None, SplitOptions(drop_duplicates=True))
    first = one.lesions[one.lesions["image_id"] == "0001-0"]
    both = pd.concat([one.lesions[one.lesions["image_id"] != "0001-1"], first.assign(image_id="0001-1")])
    one = Manifest(one.name, one.images, both)
    made = make_split([MergeSource("a", one)], None, SplitOptions(drop_duplicates=True))
    assert len(made.merged.manifest) == 7
    assert made.merged.manifest.dropped == ("0001-1: SOP Instance UID 1.2.3.4 as 0001-0",)


def test_one_file_under_two_ids_is_refused_without_reading_it():
    one = manifest("a", crowd(3, 0))
    one.images.loc[3, "path"] = one.images["path"][0]
    with pytest.raises(DatasetError, match=r"0000-0 and 0001-1 \(the same file\)"):
        make_split([MergeSource("a", one)], None, NO_FILES)


def test_files_without_identifiers_are_compared_by_their_bytes(tmp_path):
    import cv2

    one = manifest("a", crowd(4, 0), folder=str(tmp_path))
    one.images["path"] += ".png"
    (tmp_path / "a").mkdir()
    for number, path in enumerate(one.images["path"]):
        cv2.imwrite(path, breast(1, 24, 16, "L", level=500 if number in (0, 5) else 500 + number)[0])
    with pytest.raises(DatasetError, match=r"belong to two patients: 0000-0 and 0002-1 \(the same bytes\)"):
        make_split([MergeSource("a", one)])


def test_what_is_not_on_disk_or_cannot_be_read_is_said(tmp_path):
    one = on_disk(tmp_path, "a", crowd(3, 0))
    (tmp_path / "a" / "0000-0").unlink()
    (tmp_path / "a" / "0001-0").write_text("no image")
    made = make_split([MergeSource("a", one)])
    notes = "\n".join(made.merged.manifest.notes)
    assert "1 images are not on disk and were compared by path only" in notes
    assert "1 images could not be read and were not compared, such as" in notes
    assert "0001-0" in notes


# ---- the command ------------------------------------------------------------------------------------------


def comoto(monkeypatch, capsys, *arguments):
    """Run the command line; returns the exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["comoto", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        run()
    output = capsys.readouterr()
    return caught.value.code, output.out, output.err


@pytest.fixture
def folders(tmp_path):
    manifest("film", crowd(10, 10)).save(tmp_path / "film")
    manifest("dbt", crowd(10, 10), "tomosynthesis").save(tmp_path / "dbt")
    return tmp_path / "film", tmp_path / "dbt"


def test_the_command_writes_a_folder_per_modality(folders, tmp_path, monkeypatch, capsys):
    out = tmp_path / "splits" / "seed-3"
    arguments = ["split", *folders, "--seed", 3, "--fractions", "0.1,0.5", "--quick", "--out", out]
    code, said, _ = comoto(monkeypatch, capsys, *arguments)
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "mammograms",
        "split.json",
        "summary.txt",
        "tomosynthesis",
    ]
    assert [path.name for path in out.parent.iterdir()] == ["seed-3"]
    assert said == (out / "summary.txt").read_text()
    split = load_split_file(out)
    assert split.plan == SplitPlan(seed=3)
    assert f"hash: {split.hash}" in said
    for name, prefix in (("mammograms", "film:"), ("tomosynthesis", "dbt:")):
        images = Manifest.load(out / name).images
        assert images["patient_id"].str.startswith(prefix).all()
        for part in Split:
            own = set(images["patient_id"][images["split"] == part.value])
            assert own == {name for name in split.part(part) if name.startswith(prefix)}

    code, said, _ = comoto(monkeypatch, capsys, "split", *folders, "--verify", out / "split.json")
    assert (code, said) == (0, f"{out / 'split.json'}: whole, no patient in two parts, hash {split.hash}\n")
    code, _, error = comoto(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "is not empty" in error
    assert comoto(monkeypatch, capsys, *arguments, "--overwrite")[0] == 0
    (out / "thesis.tex").write_text("precious")
    assert comoto(monkeypatch, capsys, *arguments, "--overwrite")[0] == 2
    assert (out / "thesis.tex").read_text() == "precious"


def test_the_command_writes_all_folds(folders, tmp_path, monkeypatch, capsys):
    out = tmp_path / "folds"
    code, _, _ = comoto(monkeypatch, capsys, "split", folders[1], "--folds", 3, "--quick", "--out", out)
    assert code == 0
    splits = [load_split_file(out / f"fold-{k}") for k in range(3)]
    assert [split.plan.fold for split in splits] == [0, 1, 2]
    assert len({split.hash for split in splits}) == 3
    code, _, _ = comoto(
        monkeypatch,
        capsys,
        "split",
        folders[1],
        "--folds",
        3,
        "--fold",
        1,
        "--quick",
        "--out",
        tmp_path / "one",
    )
    assert code == 0
    assert load_split_file(tmp_path / "one") == splits[1]


def test_verify_tells_a_manifest_that_has_changed(folders, tmp_path, monkeypatch, capsys):
    api.split(folders, tmp_path / "out", headers=False)
    manifest("film", crowd(11, 10)).save(folders[0])
    code, _, error = comoto(monkeypatch, capsys, "split", *folders, "--verify", tmp_path / "out")
    assert code == 2
    assert "film: not the manifest that" in error
    assert comoto(monkeypatch, capsys, "split", "--verify", tmp_path / "out")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name either --out, to make a split, or --verify"),
        (("--out", "x", "--verify", "y"), "name either --out"),
        (("--out", "x"), "no manifest is named"),
        (("--out", "x", "--fractions", "a,b"), "expected numbers with commas"),
        (("--out", "x", "--fold", "1"), "folds and fold belong together"),
        (("nowhere", "--out", "x"), "no manifest.json here"),
    ],
)
def test_wrong_calls(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, said, error = comoto(monkeypatch, capsys, "split", *arguments)
    assert (code, said) == (2, "")
    assert message in error
    assert not list(tmp_path.iterdir())


def test_output_is_refused_before_anything_is_read(folders, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputExistsError, match="is a file; name a folder"):
        api.split(folders, tmp_path / "out")


def test_the_file_model_is_frozen(tmp_path):
    _, split = saved(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        split.name = "other"
    assert isinstance(split, SplitFile)


# ---- nobody, hardly anybody, the same person twice --------------------------------------------------------


def test_a_manifest_without_images_is_refused():
    empty = manifest("a", crowd(3, 0))
    empty = empty.select(empty.images["image_id"] == "")
    with pytest.raises(DatasetError, match="b: the manifest has no images; leave it out"):
        make_split([MergeSource("a", manifest("a", crowd(3, 0))), MergeSource("b", empty)])


@pytest.mark.parametrize("name", ["", "  "])
def test_images_without_a_patient_are_refused(name):
    """They may be of many people, whom no split can keep apart."""
    made = manifest("a", crowd(3, 3))
    images = made.images.replace({"patient_id": {"0001": name}})
    with pytest.raises(
        DatasetError, match=r"a: 2 images have no patient_id, such as 0001-0; .*index it again"
    ):
        make_split([MergeSource("a", Manifest("a", images, made.lesions))])


@pytest.mark.parametrize("name", ["P0001 ", "p0001", "P 0001"])
def test_ids_that_differ_in_capitals_and_blanks_only_are_named(name):
    people = [*crowd(4, 0), Patient("P0001", True, "train"), Patient(name, True, "train")]
    made = make_split([MergeSource("a", manifest("a", people))], None, SplitOptions(headers=False))
    (note,) = (note for note in made.merged.manifest.notes if "but for capitals or blanks" in note)
    assert note.startswith("1 patient ids are the same")
    assert f"'{name}'" in note
    assert "'P0001'" in note
    assert "capitals" not in make_split([MergeSource("a", manifest("a", crowd(6, 0)))]).summary()


def test_parts_of_nobody_and_of_hardly_anybody_are_told():
    """Ten patients with a lesion and ten without: 15 % are 2 of each, so 2, 2 and 6 have a lesion."""
    made = make_split([MergeSource("a", manifest("a", crowd(10, 10)))], None, SplitOptions(headers=False))
    assert [line for line in made.summary().splitlines() if "of so few" in line] == [
        f"note: {count} patients have a lesion in {part}: metrics of so few are chance"
        for part, count in (("train", 6), ("validation", 2), ("test", 2))
    ]
    all_test = make_split(
        [MergeSource("a", manifest("a", crowd(12, 2, "test")))], None, SplitOptions(headers=False)
    )
    assert [line for line in all_test.summary().splitlines() if "nobody" in line] == [
        "note: nobody is in train",
        "note: nobody is in validation",
    ]


FOLDS = {"folds": 3, "fold": 0}


@pytest.mark.parametrize(
    ("parts", "settings", "unused"),
    [
        ((None,), {"validation": 0.3, "test": 0.3}, []),
        ((None,), {**FOLDS, "validation": 0.3, "test": 0.3}, ["validation (0.3) is not used: the fold is"]),
        ((None,), {**FOLDS, "held_out": "test", "validation": 0.3}, []),
        ((None,), {**FOLDS, "held_out": "test", "test": 0.3}, ["test (0.3) is not used: the fold is"]),
        ((None,), FOLDS, []),
        (("train", "test"), {"validation": 0.3}, []),
        (("train", "test"), {"test": 0.3}, ["test (0.3) is not used: every set has an official one"]),
        (("train", "validation", "test"), {"validation": 0.3}, ["validation (0.3) is not used: every set"]),
        (("train", "validation", "test"), {}, []),
    ],
)
def test_shares_that_decide_nothing_are_told(parts, settings, unused):
    """Only those that somebody named: defaults are no wish."""
    people = [
        patient
        for number, part in enumerate(parts)
        for patient in crowd(8, 8, part or "train", first=100 * number)
    ]
    made = make_split(
        [MergeSource("a", manifest("a", people))], SplitPlan(**settings), SplitOptions(headers=False)
    )
    lines = [line for line in made.summary().splitlines() if "is not used" in line]
    assert len(lines) == len(unused)
    for line, words in zip(lines, unused, strict=True):
        assert line.startswith(f"note: the share for {words}")


def test_the_command_passes_on_which_shares_were_named(tmp_path):
    place = tmp_path / "manifest"
    manifest("a", crowd(8, 8)).save(place)
    plain, *_ = api.split([place], folds=3, headers=False)
    named, *_ = api.split([place], folds=3, headers=False, validation=0.3)
    assert "is not used" not in plain.summary()
    assert "note: the share for validation (0.3) is not used" in named.summary()
