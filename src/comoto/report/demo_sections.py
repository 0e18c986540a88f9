"""What the demo's page has beside the sections of every page on scored volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comoto.config import TrainConfig
from comoto.errors import DatasetError
from comoto.evaluation.intervals import Resampling
from comoto.evaluation.mammogram import MEAN_NAME, MammogramResult, evaluate_mammograms
from comoto.evaluation.own_volumes import HitRadius
from comoto.records import Split
from comoto.report.demo_folder import MAMMOGRAMS, STUDENTS, TEACHER, TOMOSYNTHESIS, DemoFolder, stage_table
from comoto.report.froc_figure import froc_figure
from comoto.report.held_out import HeldOut
from comoto.report.inputs import examples, split_rows
from comoto.report.pictures import figure_image
from comoto.report.results_sections import (
    Material,
    Page,
    froc_section,
    headline_section,
    metric_text,
    pictures_section,
    without_picture,
)
from comoto.report.source_images import SourceImages
from comoto.report.training_runs import ReportedRun, runs_section
from comoto.report.wording import Words, count, in_words, listed, share

_WORDS = Words(
    model="student",
    volume="test volume",
    patient="test patient",
    kind="simulated ",
    runs="Each method was trained once, with one seed",
)
_STARTS = {"scratch": "starts from random weights", "teacher": "starts from the teacher's weights"}
_ALONE = "is trained on tomosynthesis alone"
_DISTILLERS = {
    "lesion_points": "is also distilled from the teacher at points of the lesions",
    "image_level": "is also distilled from the teacher over whole images",
}


@dataclass(frozen=True)
class DemoMaterial:
    """Everything that the sections are made from.

    Attributes:
        results: of the students on the test volumes.
        runs: teacher and students by folder name.
    """

    demo: DemoFolder
    results: Material
    runs: dict[str, ReportedRun]


def read_material(folder: Path) -> DemoMaterial:
    """Open a demo folder.

    Raises:
        DatasetError: a file is missing, damaged, or does not belong to the others.
    """
    demo = DemoFolder(folder)
    runs = {name: demo.run(name) for name in (TEACHER, *STUDENTS)}
    images = SourceImages(runs[TEACHER].config.preprocess)
    return DemoMaterial(demo, Material(held_out_of(demo), images, _WORDS), runs)


def held_out_of(demo: DemoFolder) -> HeldOut:
    """Score the students on the test volumes, and compare with the evaluations that lie in the folder.

    Raises:
        DatasetError: a file is missing, damaged, or does not belong to the others.
    """
    stored = {name: demo.json(f"evaluation/{name}.json") for name in STUDENTS}
    tables = {title: demo.file(f"predictions/{name}.csv") for name, title in STUDENTS.items()}
    draws = _same_draws({demo.file(f"evaluation/{name}.json"): each for name, each in stored.items()})
    held_out = HeldOut(
        demo.manifest(TOMOSYNTHESIS).split(Split.TEST),
        tables,
        HitRadius(demo.about.min_hit_radius),
        draws,
        (demo.about.pixel_mm, demo.about.pixel_mm),
    )
    for (name, content), model in zip(stored.items(), held_out.models, strict=True):
        path = demo.file(f"evaluation/{name}.json")
        _refuse_other_metrics(path, content, tables[model.title], model.result.metric)
    return held_out


def _teacher_result(demo: DemoFolder) -> MammogramResult:
    """Score the teacher on the held-out mammograms likewise.

    Raises:
        DatasetError: a file is missing, damaged, or does not belong to the others.
    """
    path, content = demo.file("evaluation/teacher.json"), demo.json("evaluation/teacher.json")
    table, held_out = demo.file("predictions/teacher.csv"), demo.manifest(MAMMOGRAMS).split(Split.TEST)
    if content.get("rule") != "center":
        raise DatasetError(
            f"{path}: not an evaluation of the demo; run 'comoto demo' again into a new folder"
        )
    result = evaluate_mammograms(table, held_out, "center", bootstrap=_draws(path, content))
    _refuse_other_metrics(path, content, table, result.metric)
    return result


def _refuse_other_metrics(
    path: Path, evaluation: dict[str, Any], table: Path, metric: dict[str, float]
) -> None:
    for name, value in metric.items():
        if evaluation.get(name) != value:
            raise DatasetError(
                f"{path}: {name} is {evaluation.get(name)}, but {table} gives {value}; evaluate the "
                "predictions again"
            )


def _same_draws(evaluations: dict[Path, dict[str, Any]]) -> Resampling:
    """Return how the intervals of all evaluations were made.

    Raises:
        DatasetError: two of them were made differently.
    """
    draws = {path: _draws(path, content) for path, content in evaluations.items()}
    first, expected = next(iter(draws.items()))
    for path, found in draws.items():
        if found != expected:
            raise DatasetError(
                f"{path}: intervals of {found.replicates} replicates, seed {found.seed}, but those of "
                f"{first.name} are of {expected.replicates}, seed {expected.seed}; evaluate all students "
                "with the same --bootstrap and --seed"
            )
    return expected


def _draws(path: Path, evaluation: dict[str, Any]) -> Resampling:
    about = evaluation.get("bootstrap")
    if not isinstance(about, dict) or not {"replicates", "seed"} <= set(about):
        raise DatasetError(f"{path}: has no bootstrap; evaluate again with --bootstrap 1000")
    return Resampling(int(about["replicates"]), int(about["seed"]))


def about_section(material: DemoMaterial) -> Page:
    """What was done, and when."""
    about = material.demo.about
    return {"about": about, "steps": _steps(material), "started": about.started.replace("T", " ")}


def inputs_section(material: DemoMaterial) -> Page:
    """Counts by split and example images."""
    data_sets = []
    for name, title in ((MAMMOGRAMS, "Mammograms"), (TOMOSYNTHESIS, "Tomosynthesis volumes")):
        manifest = material.demo.manifest(name)
        training = list(manifest.split(Split.TRAIN).records())
        shown = examples(training, material.results.images, "simulated, ")
        data_sets.append({"title": title, "rows": split_rows(manifest), "examples": shown})
    return {"data_sets": data_sets}


def training_section(material: DemoMaterial) -> Page:
    """Training curves, cohorts and settings of all runs."""
    titles = {TEACHER: "Teacher", **STUDENTS}
    return runs_section({titles[name]: run for name, run in material.runs.items()})


def teacher_section(material: DemoMaterial) -> Page:
    """The teacher on held-out mammograms."""
    teacher = _teacher_result(material.demo)
    alt = (
        "FROC curve of the teacher on held-out mammograms; "
        f"mean sensitivity {share(teacher.metric[MEAN_NAME])}."
    )
    return {
        "teacher_froc": figure_image(froc_figure([("Teacher", teacher)]), alt),
        "teacher_sentence": _teacher_sentence(teacher),
    }


def stages_section(material: DemoMaterial) -> Page:
    """Run times and memory; what is missing is known when everything else is done."""
    return {
        "stages": stage_table(material.demo.about.stages),
        "without_picture": without_picture(material.results),
        "notices": (),
        "versions": material.demo.about.versions or "not noted",
    }


SECTIONS: tuple[Callable[[DemoMaterial], Page], ...] = (
    about_section,
    lambda material: headline_section(material.results),
    inputs_section,
    training_section,
    lambda material: froc_section(material.results),
    teacher_section,
    lambda material: pictures_section(material.results),
    stages_section,
)


def student_sentence(title: str, config: TrainConfig) -> str:
    """Say how a student was trained."""
    kind, mammograms = config.distill.kind, config.joint.size
    taught = [] if kind == "none" else [_DISTILLERS.get(kind, f"is also distilled by '{kind}'")]
    if mammograms:
        taught.append(f"sees {count(mammograms, 'mammogram')} in each batch beside its slices")
    shares = config.average.teacher_shares
    if any(shares):
        ways = " or ".join(f"{100 * share:g}" for share in shares)
        taught.append(f"goes back {ways} % of the way to the teacher's weights")
    if config.focus.fit:
        taught.append("reads depth off its features with a focus head")
    return f"The student {title} {listed([_STARTS[config.init], *(taught or [_ALONE])])}."


def _steps(material: DemoMaterial) -> list[tuple[str, list[str]]]:
    """Say what was done, step by step, with a line for each part of a step."""
    runs = material.runs
    teacher = runs[TEACHER].patients.get("mammograms/train", [])
    training = material.demo.manifest(TOMOSYNTHESIS).split(Split.TRAIN).images["patient_id"].nunique()
    used, *others = (set(runs[name].patients.get("tomosynthesis/train", [])) for name in STUDENTS)
    if any(other != used for other in others):
        raise DatasetError(
            f"{material.demo.root / 'runs'}: the students were trained on different patients and cannot be "
            "compared; run 'comoto demo' again into a new folder"
        )
    return [
        (f"A teacher was trained on simulated mammograms of {count(len(teacher), 'patient')}.", []),
        (
            f"{in_words(len(STUDENTS)).capitalize()} students were trained on the same {len(used)} of "
            f"{training} simulated tomosynthesis training patients.",
            [student_sentence(title, runs[name].config) for name, title in STUDENTS.items()],
        ),
        ("Each student then read the test volumes from DICOM, without a mammogram beside them.", []),
    ]


def _teacher_sentence(teacher: MammogramResult) -> str:
    interval = None if teacher.bootstrap is None else teacher.bootstrap.intervals[MEAN_NAME]
    return (
        f"Mean sensitivity at 1, 2, 3 and 4 FP per mammogram: "
        f"{metric_text(teacher.metric[MEAN_NAME], interval)}; "
        f"{count(teacher.froc.num_lesions, 'lesion')} in {count(teacher.froc.num_images, 'mammogram')}; "
        "a hit has its centre inside the lesion's box."
    )
