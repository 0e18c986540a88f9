"""Which runs a study consists of."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError
from study_files import study_content, study_of, write_study

from comoto.config import config_hash, dump_yaml
from comoto.errors import ConfigError
from comoto.records import Manifest
from comoto.splits.fractions import patient_fraction
from comoto.study.config import StudyConfig, load_study, starting_file
from comoto.study.grid import build_grid, rules_of, student_seed
from comoto.study.settings_check import changed_settings

OUT = Path("/study")
VARIANTS = {
    "pretraining": {"impa": False},
    "pretraining-impa": {"impa": True},
    "lskd": {"impa": False, "settings": ["distill.kind=lesion_points"]},
    "scratch": {"impa": "none", "settings": ["init=scratch"]},
}


def test_teachers_are_shared_and_students_are_all_there() -> None:
    study = study_of(variants=VARIANTS, seeds=[0, 3], repetitions=3, fractions=[0.1, 0.5])
    grid = build_grid(study, OUT)
    assert [run.name for run in grid.teachers] == [
        "teachers/plain-seed0",
        "teachers/impa-seed0",
        "teachers/plain-seed3",
        "teachers/impa-seed3",
    ]
    assert len(grid.students) == len(grid.cells) == 4 * 2 * 2 * 3  # variants, fractions, seeds, repetitions
    used = Counter(run.teacher for run in grid.students)
    assert used == {
        None: 12,
        "teachers/plain-seed0": 12,  # two variants x two fractions x three repetitions
        "teachers/plain-seed3": 12,
        "teachers/impa-seed0": 6,
        "teachers/impa-seed3": 6,
    }
    for teacher in grid.teachers:
        assert teacher.config.impa.weight == (2.0 if "impa" in teacher.name else 0.0)
        assert teacher.config.seed == int(teacher.name[-1])
    for student in grid.students:
        expected = None if student.teacher is None else OUT / student.teacher / "run"
        assert student.config.teacher == expected
        assert student.config.threads == 1
        assert student.config.selection.min_hit_radius == 5.3


def test_fewer_repetitions_at_a_fraction() -> None:
    study = study_of(
        variants=VARIANTS, seeds=[0], repetitions=3, fractions=[0.1, 1.0], fraction_repetitions={1.0: 2}
    )
    found = Counter((cell.fraction, cell.variant) for cell in build_grid(study, OUT).cells)
    assert found == {(f, variant): n for f, n in ((0.1, 3), (1.0, 2)) for variant in VARIANTS}


def test_fewer_seeds_at_a_fraction() -> None:
    study = study_of(variants=VARIANTS, seeds=[5, 3, 4], fractions=[0.1, 1.0], fraction_seeds={1.0: 2})
    found = build_grid(study, OUT).cells
    for fraction, seeds in ((0.1, [5, 3, 4]), (1.0, [5, 3])):
        own = [cell.seed for cell in found if cell.fraction == fraction and cell.variant == "pretraining"]
        assert own == seeds


@pytest.mark.parametrize(
    ("wanted", "span"), [([], "strong"), (["inference.aggregation.span=spread"], "spread")]
)
def test_a_study_of_a_former_version_keeps_its_spans(tmp_path: Path, wanted: list[str], span: str) -> None:
    study = study_of(
        variants=VARIANTS, settings=wanted, rules={"tracks": ["inference.aggregation.kind=tracks"]}
    )
    student = build_grid(study, tmp_path).students[0]
    assert student.config.inference.aggregation.span == "spread"
    content = student.config.model_dump(mode="json")
    del content["inference"]["aggregation"]["span"]
    written = tmp_path / student.name / "run" / "config.yaml"
    written.parent.mkdir(parents=True)
    written.write_text(dump_yaml(content), encoding="utf-8")
    for run in build_grid(study, Path("/elsewhere")).teachers:  # begun by this version, which says the span
        beside = tmp_path / run.name / "run" / "config.yaml"
        beside.parent.mkdir(parents=True)
        beside.write_text(dump_yaml(run.config.model_dump(mode="json")), encoding="utf-8")
    grid = build_grid(study, tmp_path)
    assert {run.config.inference.aggregation.span for run in (*grid.teachers, *grid.students)} == {span}
    assert rules_of(study, grid.students[0].config)["tracks"].span == span
    assert bool(changed_settings(grid.students[0], tmp_path)) == (span != "strong")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["batch.size=4"], r"rules.other: 'batch.size=4' is no setting of inference.aggregation"),
        (["kind=tracks"], r"write it in full, such as inference\.aggregation\.kind=tracks"),
        (
            ["inference.aggregation.iuo=0.1"],
            r"rules.other: unknown configuration key .*did you mean 'inference.aggregation.iou'",
        ),
        (
            ["inference.aggregation.kind=trakcs"],
            r"rules.other: unknown aggregator 'trakcs'; did you mean 'tracks'",
        ),
    ],
)
def test_wrong_rules_are_refused_before_anything_starts(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_grid(study_of(variants=VARIANTS, rules={"other": settings}), OUT)


def test_a_students_setting_for_all_is_refused_before_anything_starts() -> None:
    with pytest.raises(
        ConfigError, match=r"its teacher: a teacher has no use for joint.size=4.*student_settings"
    ):
        build_grid(study_of(variants=VARIANTS, settings=["joint.size=4"]), OUT)


def test_arms_share_patients_repetitions_do_not_and_fractions_nest() -> None:
    study = study_of(variants=VARIANTS, seeds=[0, 1], repetitions=2, fractions=[0.1, 0.25, 0.5, 1.0])
    grid = build_grid(study, OUT)
    runs = {run.name: run.config for run in grid.students}
    ids = [f"p{number:03}" for number in range(40)]
    images = pd.DataFrame(
        {
            "image_id": ids, "patient_id": ids, "study_id": ids, "view_key": "lcc", "laterality": "L",
            "modality": "tomosynthesis", "view": "CC", "split": "train", "label": "",
            "path": "x", "num_slices": 9,
        }
    )  # fmt: skip
    lesions = pd.DataFrame(
        {
            "image_id": ids[:20],
            "x1": 0.0,
            "y1": 0.0,
            "x2": 1.0,
            "y2": 1.0,
            "slice_index": 0,
            "category": "mass",
        }
    )
    manifest = Manifest("forty", images, lesions)
    chosen = {
        (cell.variant, cell.seed, cell.repetition, cell.fraction): frozenset(
            patient_fraction(manifest, runs[cell.run].data.fraction, runs[cell.run].seed)
        )
        for cell in grid.cells
    }
    for (_, seed, repetition, fraction), patients in chosen.items():
        assert patients == chosen["pretraining", seed, repetition, fraction]
        assert len(patients) == 40 * fraction
    subsets = []
    for seed in (0, 1):
        for repetition in (0, 1):
            nested = [chosen["lskd", seed, repetition, fraction] for fraction in study.fractions]
            assert all(smaller < larger for smaller, larger in pairwise(nested))
            subsets.append(nested[0])
    assert len(set(subsets)) == 4


def test_student_seeds_never_meet() -> None:
    seeds = {student_seed(seed, repetition) for seed in range(20) for repetition in (0, 1, 999)}
    assert len(seeds) == 60
    assert student_seed(2, 5) == 2005


def test_one_repetition_is_complete_before_the_next_begins() -> None:
    study = study_of(
        variants=VARIANTS, seeds=[0, 1], repetitions=2, regimes={"paper": ["batch.size=2"], "strong": []}
    )
    grid = build_grid(study, OUT)
    order = [run.config.seed for run in grid.students]
    assert order == [0] * 16 + [1000] * 16 + [1] * 16 + [1001] * 16  # 4 variants x 2 regimes x 2 fractions


def test_equal_runs_run_once() -> None:
    regimes = {"one": ["batch.size=4"], "other": ["batch.size=4"], "third": ["batch.size=2"]}
    grid = build_grid(study_of(regimes=regimes), OUT)
    assert len(grid.cells) == 2 * 3 * 2 * 2
    assert len(grid.students) == 2 * 2 * 2 * 2
    assert len({config_hash(run.config) for run in grid.students}) == len(grid.students)
    by_regime = {
        regime: [cell.run for cell in grid.cells if cell.regime == regime]
        for regime in ("one", "other", "third")
    }
    assert by_regime["one"] == by_regime["other"]
    assert not set(by_regime["one"]) & set(by_regime["third"])


def test_settings_are_laid_over_each_other_in_the_order_of_the_page() -> None:
    content = study_content(Path("/stores"))
    study = study_of(
        settings=[*content["settings"], "batch.size=1", "optimizer.weight_decay=1"],
        student_settings=["batch.size=2", "optimizer.weight_decay=2"],
        fraction_settings={1.0: ["batch.size=3", "schedule.epochs=7"]},
        regimes={"r": ["batch.size=4"]},
        variants={
            "pretraining": {"impa": False, "settings": ["batch.size=5"]},
            "scratch": {
                "impa": "none",
                "settings": ["init=scratch"],
                "fraction_settings": {0.5: ["batch.size=6"]},
            },
        },
    )
    grid = build_grid(study, OUT)
    runs = {run.name: run.config for run in grid.students}
    size = {(cell.variant, cell.fraction): runs[cell.run].batch.size for cell in grid.cells}
    assert size == {
        ("pretraining", 0.5): 5,
        ("pretraining", 1.0): 5,
        ("scratch", 0.5): 6,
        ("scratch", 1.0): 4,
    }
    assert {cell.fraction: runs[cell.run].schedule.epochs for cell in grid.cells} == {0.5: 1, 1.0: 7}
    assert {run.optimizer.weight_decay for run in runs.values()} == {2}
    assert {(run.config.batch.size, run.config.optimizer.weight_decay) for run in grid.teachers} == {(1, 1)}


def test_an_arm_may_take_part_in_less_and_have_teachers_of_its_own() -> None:
    variants = {
        "pretraining": {"impa": False},
        "lskd": {
            "impa": False,
            "settings": ["distill.kind=lesion_points"],
            "teacher_settings": ["impa.margin=9"],
            "fractions": [0.5],
            "repetitions": 3,
            "regimes": ["b"],
        },
    }
    grid = build_grid(study_of(variants=variants, regimes={"a": [], "b": ["batch.size=2"]}), OUT)
    own = [cell for cell in grid.cells if cell.variant == "lskd"]
    assert {(cell.regime, cell.fraction) for cell in own} == {("b", 0.5)}
    assert len(own) == 2 * 3
    assert [run.name for run in grid.teachers] == [
        "teachers/plain-seed0",
        "teachers/plain-lskd-seed0",
        "teachers/plain-seed1",
        "teachers/plain-lskd-seed1",
    ]


def test_only_some_arms_need_only_their_teachers() -> None:
    grid = build_grid(study_of(variants=VARIANTS), OUT)
    assert [run.teacher for run in grid.only(["scratch"]).students] == [None] * 4
    assert grid.only(["scratch"]).teachers == ()
    few = grid.only(["pretraining-impa", "scratch"])
    assert {run.name for run in few.teachers} == {"teachers/impa-seed0", "teachers/impa-seed1"}
    with pytest.raises(ConfigError, match="--only lskt: did you mean 'lskd'"):
        grid.only(["lskt"])


def test_the_file_to_start_from_is_a_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(starting_file(), encoding="utf-8")
    study = load_study(path)
    assert study.data.tomosynthesis == Path.cwd() / "prepared" / "volumes"
    grid = build_grid(study, OUT)
    assert len(grid.teachers) == 6
    plain, mixed = (
        5 * 2 * 4 * 3,
        1 * 4 * 3,
    )  # variants, regimes, fractions, seeds; the recipe in one regime
    assert len(grid.students) == plain + mixed
    mixes = {(run.label, run.config.joint.size) for run in grid.students}
    assert {size for label, size in mixes if "recipe" in label} == {8}
    assert {size for label, size in mixes if "recipe" not in label} == {0}
    assert {run.config.schedule.epochs for run in grid.students if run.config.data.fraction == 1.0} == {20}


def test_the_words_of_former_versions_are_understood() -> None:
    content = study_content(Path("/stores"))
    assert "reference" not in content
    former = {key: value for key, value in content.items() if key != "variants"} | {
        "arms": content["variants"]
    }
    study = StudyConfig.model_validate(former)
    assert study == StudyConfig.model_validate(content)
    assert (study.reference, "arms" in study.model_dump()) == ("pretraining", False)
    named = {"fine-tuned": {"impa": False}, "pretraining": {"impa": True}}
    assert StudyConfig.model_validate(content | {"variants": named}).reference == "fine-tuned"
    with pytest.raises(ValidationError, match="reference 'fine-tuned' is no variant; known: mine"):
        StudyConfig.model_validate(content | {"variants": {"mine": {"impa": False}}})
    with pytest.raises(ValidationError, match="'arms' is the former word for 'variants'; give one of them"):
        StudyConfig.model_validate(content | {"arms": content["variants"]})


class TestMistakes:
    """Each is found before anything starts, and named."""

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"fraktions": [0.1]}, "unknown key 'fraktions'; did you mean 'fractions'"),
            (
                {"data": {"tomosyntesis": "x"}},
                "unknown key 'data.tomosyntesis'; did you mean 'tomosynthesis'",
            ),
            ({"data": {}}, "key 'data.tomosynthesis': Field required"),
            ({"fractions": [0.0]}, "key 'fractions.0': Input should be greater than 0"),
            ({"fractions": [0.5, 0.5]}, "fractions: a value stands twice"),
            ({"seeds": []}, "key 'seeds'"),
            ({"reference": "pretrainin"}, "reference 'pretrainin' is no variant; did you mean 'pretraining'"),
            ({"fraction_settings": {0.3: []}}, r"fraction_settings: 0.3 is none of the study's \(0.5, 1.0\)"),
            ({"variants": {"pretraining": {"impa": False, "setings": []}}}, "did you mean 'settings'"),
            ({"variants": {"pretraining": {}}}, "key 'variants.pretraining.impa': Field required"),
            (
                {"variants": {"pretraining": {"impa": False, "regimes": ["x"]}}},
                "variants.pretraining.regimes: x is none",
            ),
            (
                {"variants": {"../x": {"impa": False}}},
                "key 'variants.../x': names become folders; use letters",
            ),
            (
                {"variants": {"pretraining": {"impa": "maybe"}}},
                r"impa': Input should be true, false or none \(got",
            ),
            ({"seeds": 3}, r"key 'seeds': Input should be a list, such as \[3\] \(got 3\)"),
            ({"preset": "dmeo"}, "preset 'dmeo' is neither a file nor one of .*did you mean 'demo'"),
            ({"rules": {"own": []}}, "rules: 'own' is what the students' own rule is called"),
        ],
    )
    def test_in_the_file(self, tmp_path: Path, changes: dict, message: str) -> None:
        path = write_study(tmp_path / "study.yaml", study_content(Path("/stores"), **changes))
        with pytest.raises(ConfigError, match=message) as refusal:
            load_study(path)
        assert str(refusal.value).startswith(f"{path}: ")

    @pytest.mark.parametrize(
        ("variant", "message"),
        [
            (
                {"impa": False, "settings": ["distil.kind=none"]},
                r"variants.pretraining.settings: unknown configuration key 'distil'; did you mean 'distill'",
            ),
            (
                {"impa": False, "settings": ["distill.kind=lesion_dots"]},
                "variants.pretraining.settings: unknown distiller",
            ),
            ({"impa": False, "settings": ["batch.size=0"]}, "variants.pretraining.settings: .*'batch.size'"),
            (
                {"impa": False, "settings": ["seed=3"]},
                "variants.pretraining.settings: 'seed' is set by the study",
            ),
            (
                {"impa": False, "teacher_settings": ["impa.wait=1"]},
                "variants.pretraining.teacher_settings: unknown",
            ),
            ({"impa": "none"}, "variants.pretraining: init=teacher needs a teacher"),
            (
                {"impa": "none", "settings": ["init=scratch", "distill.kind=lesion_points"]},
                "variants.pretraining: distill.kind=lesion_points needs a teacher",
            ),
            ({"impa": True, "settings": ["init=scratch"]}, "nothing in its settings uses a teacher"),
            ({"impa": True, "teacher_settings": ["impa.weight=0"]}, "impa is true, but impa.weight is 0"),
        ],
    )
    def test_in_the_settings_of_a_variant(self, variant: dict, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            build_grid(study_of(variants={"pretraining": variant}), OUT)

    def test_in_the_settings_of_a_regime(self) -> None:
        with pytest.raises(
            ConfigError, match=r"regimes\.paper: unknown configuration key 'batch\.negatve_share'"
        ):
            build_grid(study_of(regimes={"paper": ["batch.negatve_share=0"]}), OUT)

    def test_no_mammograms_for_a_teacher(self) -> None:
        with pytest.raises(ConfigError, match=r"data\.mammograms names no prepared store"):
            build_grid(study_of(data={"tomosynthesis": "/stores/bcs-dbt"}), OUT)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no such file; 'comoto study init study.yaml' writes one"):
            load_study(tmp_path / "study.yaml")

    def test_no_yaml(self, tmp_path: Path) -> None:
        (tmp_path / "study.yaml").write_text("name: [", encoding="utf-8")
        with pytest.raises(ConfigError, match="not readable as YAML"):
            load_study(tmp_path / "study.yaml")
