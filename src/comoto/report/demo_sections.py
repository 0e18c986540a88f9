"""What the template of the demo's page is filled with, section by section."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comoto.config import TrainConfig
from comoto.errors import DatasetError
from comoto.evaluation.bootstrap import Interval
from comoto.evaluation.challenge_tables import ChallengeTruth
from comoto.evaluation.depth import CAUTION
from comoto.evaluation.mammogram import MammogramResult
from comoto.records import Split
from comoto.report.breakdown import breakdowns
from comoto.report.chance import ChanceLevel, chance_level, mean_in_the_middle
from comoto.report.curves_figure import curves_figure
from comoto.report.demo_folder import MAMMOGRAMS, STUDENTS, TEACHER, TOMOSYNTHESIS, DemoAbout, DemoFolder, Run
from comoto.report.findings import student_findings
from comoto.report.froc_figure import froc_figure
from comoto.report.headline import MEAN_FIGURE, headline
from comoto.report.held_out import OPERATING_FIGURE, HeldOut, Student, paired_differences
from comoto.report.inputs import examples, split_rows
from comoto.report.pictures import figure_image
from comoto.report.settings import differences, stage_table
from comoto.report.side_by_side import STRONGEST, comparisons
from comoto.report.source_images import SourceImages
from comoto.report.teacher_result import read_mammogram_result
from comoto.report.wording import NOT_KNOWN, count, in_words, listed, share, share_interval
from comoto.training.log_file import read_log
from comoto.training.validate import MAMMOGRAM_METRIC, VOLUME_METRIC

CHANCE_DRAWS = 20
_FIGURES = {
    MEAN_FIGURE: "Mean sensitivity at 1, 2, 3 and 4 FP per volume with a lesion",
    **{
        f"sensitivity_at_{fps}_fps_positive": f"Sensitivity at {fps} FP per volume with a lesion"
        for fps in (1, 2, 3, 4)
    },
    OPERATING_FIGURE: "Sensitivity at 2 FP per volume, over all volumes",
}
_STARTS = {"scratch": "starts from random weights", "teacher": "starts from the teacher's weights"}
_ALONE = "is trained on tomosynthesis alone"
_DISTILLERS = {
    "lesion_points": "is also distilled from the teacher at points of the lesions",
    "image_level": "is also distilled from the teacher over whole images",
}

Page = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """Everything that the sections are made from."""

    demo: DemoFolder
    held_out: HeldOut
    runs: dict[str, Run]
    images: SourceImages

    @property
    def students(self) -> tuple[Student, ...]:
        """The reference, then the others."""
        return tuple(self.held_out.students.values())

    @property
    def student_runs(self) -> tuple[Run, ...]:
        """The training runs of the same students."""
        return tuple(self.runs[name] for name in self.held_out.students)


@dataclass(frozen=True)
class FigureRow:
    """One figure in words, with value and interval per column."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class DepthRow:
    """What the depth of one student's boxes is worth.

    Attributes:
        title: of the student.
        span: slices that a box on a volume with a lesion spans, as a share of the stack; median over boxes.
        mean: the student's mean sensitivity.
        in_the_middle: the same with every box put at the middle slice of its volume.
    """

    title: str
    span: str
    mean: str
    in_the_middle: str


@dataclass(frozen=True)
class CohortRow:
    """Patients that one run saw in one kind of images."""

    run: str
    images: str
    training: int
    choosing: int


@dataclass(frozen=True)
class Step:
    """What was done in one step, and a line for each part of it."""

    text: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunText:
    """One run in the settings: its title and its YAML."""

    title: str
    yaml: str


def read_material(folder: Path) -> Material:
    """Open a demo folder.

    Raises:
        DatasetError: a file is missing, damaged, or does not belong to the others.
    """
    demo = DemoFolder(folder)
    runs = {name: demo.run(name) for name in (TEACHER, *STUDENTS)}
    return Material(demo, HeldOut(demo), runs, SourceImages(runs[TEACHER].config.preprocess))


def headline_section(material: Material) -> Page:
    """The figures, the differences, chance, and what was done."""
    students = material.students
    result, truth = students[0].result, material.held_out.truth
    chances, paired = _chance_levels(material), paired_differences(material.held_out)
    positive_patients = len({int(truth.volume_patient[volume]) for volume in truth.lesion_volume})
    return {
        "about": material.demo.about,
        "num_students": in_words(len(students)),
        "headline": headline(students, chances, paired, positive_patients),
        "steps": _steps(material),
        "denominators": (
            f"{count(result.num_lesions, 'lesion')} in {count(result.num_volumes_positive, 'volume')}; "
            f"{count(result.num_volumes_all, 'test volume')} of {count(result.num_patients, 'patient')} "
            "in all"
        ),
        "hit_radius": _radius_text(material.demo.about),
        "depth_sentence": CAUTION,
        "depth_rows": tuple(_depth_row(student, truth) for student in students),
        "started": material.demo.about.started.replace("T", " "),
        "interval_method": students[0].bootstrap.text(),
    }


def inputs_section(material: Material) -> Page:
    """Counts by split and example images."""
    data_sets = []
    for name, title in ((MAMMOGRAMS, "Mammograms"), (TOMOSYNTHESIS, "Tomosynthesis volumes")):
        manifest = material.demo.manifest(name)
        shown = examples(manifest, material.images)
        data_sets.append({"title": title, "rows": split_rows(manifest), "examples": shown})
    return {"data_sets": data_sets, "cohorts": _cohorts(material)}


def training_section(material: Material) -> Page:
    """Training curves of all runs."""
    titles = {TEACHER: "Teacher", **STUDENTS}
    curves = []
    for name, run in material.runs.items():
        metric = MAMMOGRAM_METRIC if name == TEACHER else VOLUME_METRIC
        curves.append((titles[name], read_log(run.log), metric, run.best_epoch))
    epochs = ", ".join(f"{title}: epoch {best}" for title, _, _, best in curves)
    alt = f"Loss terms and validation metric by epoch of teacher and students. Kept: {epochs}."
    return {"curves": figure_image(curves_figure(curves), alt)}


def froc_section(material: Material) -> Page:
    """FROC curves and all figures with intervals."""
    students = material.students
    alt = "FROC curves of the students with bootstrap bands. " + " ".join(
        f"{student.title}: mean sensitivity {share(student.result.mean_sensitivity_positive)}."
        for student in students
    )
    path = material.demo.file("evaluation/teacher.json")
    teacher = read_mammogram_result(path, material.demo.json("evaluation/teacher.json"))
    teacher_alt = (
        "FROC curve of the teacher on held-out mammograms; "
        f"mean sensitivity {share(teacher.metric[MAMMOGRAM_METRIC])}."
    )
    named = [(student.title, student.result) for student in students]
    return {
        "froc": figure_image(froc_figure(named), alt),
        "figures": tuple(
            FigureRow(name, tuple(_with_interval(student, key) for student in students))
            for key, name in _FIGURES.items()
        ),
        "titles": tuple(student.title for student in students),
        "teacher_froc": figure_image(froc_figure([("Teacher", teacher)]), teacher_alt),
        "teacher_sentence": _teacher_sentence(teacher),
        "warnings": tuple(dict.fromkeys(text for student in students for text in student.result.warnings)),
    }


def pictures_section(material: Material) -> Page:
    """All students on the same slices, and what each found, missed and invented."""
    held_out, images = material.held_out, material.images
    return {
        "comparisons": comparisons(held_out, images),
        "strongest": STRONGEST,
        "findings": tuple(student_findings(held_out, student, images) for student in material.students),
        "breakdowns": breakdowns(held_out),
    }


def settings_section(material: Material) -> Page:
    """Run times, settings and versions."""
    titles = {TEACHER: "Teacher", **STUDENTS}
    return {
        "stages": stage_table(material.demo.about.stages),
        "differing": differences(material.student_runs),
        "run_texts": tuple(RunText(titles[name], run.config_text) for name, run in material.runs.items()),
    }


SECTIONS: tuple[Callable[[Material], Page], ...] = (
    headline_section,
    inputs_section,
    training_section,
    froc_section,
    pictures_section,
    settings_section,
)


def student_sentence(title: str, config: TrainConfig) -> str:
    """Say how a student was trained."""
    kind, mammograms = config.distill.kind, config.joint.size
    taught = [] if kind == "none" else [_DISTILLERS.get(kind, f"is also distilled by '{kind}'")]
    if mammograms:
        taught.append(f"sees {count(mammograms, 'mammogram')} in each batch beside its slices")
    return f"The student {title} {listed([_STARTS[config.init], *(taught or [_ALONE])])}."


def _steps(material: Material) -> tuple[Step, ...]:
    runs = material.runs
    teacher = runs[TEACHER].patients.get("mammograms/train", [])
    training = material.demo.manifest(TOMOSYNTHESIS).split(Split.TRAIN).images["patient_id"].nunique()
    used, *others = (set(run.patients.get("tomosynthesis/train", [])) for run in material.student_runs)
    if any(other != used for other in others):
        raise DatasetError(
            f"{material.demo.root / 'runs'}: the students were trained on different patients and cannot be "
            "compared; run 'comoto demo' again into a new folder"
        )
    return (
        Step(f"A teacher was trained on simulated mammograms of {count(len(teacher), 'patient')}."),
        Step(
            f"{in_words(len(STUDENTS)).capitalize()} students were trained on the same {len(used)} of "
            f"{training} simulated tomosynthesis training patients.",
            tuple(student_sentence(title, runs[name].config) for name, title in STUDENTS.items()),
        ),
        Step("Each student then read the test volumes from DICOM, without a mammogram beside them."),
    )


def _radius_text(about: DemoAbout) -> str:
    pixels = about.min_hit_radius
    return f"{pixels * about.pixel_mm:.1f} mm ({pixels:g} source pixels)"


def _cohorts(material: Material) -> tuple[CohortRow, ...]:
    titles = {TEACHER: "Teacher", **STUDENTS}
    rows = []
    for name, run in material.runs.items():
        for images in dict.fromkeys(key.split("/")[0] for key in run.patients):
            training, choosing = (
                len(run.patients.get(f"{images}/{part}", [])) for part in ("train", "validation")
            )
            rows.append(CohortRow(titles[name], images, training, choosing))
    return tuple(rows)


def _depth_row(student: Student, truth: ChallengeTruth) -> DepthRow:
    span = student.found.depth.spanned_share
    return DepthRow(
        title=student.title,
        span=NOT_KNOWN if math.isnan(span) else f"{100 * span:.0f} %",
        mean=share(student.result.mean_sensitivity_positive),
        in_the_middle=share(mean_in_the_middle(student.table, truth)),
    )


def _chance_levels(material: Material) -> tuple[ChanceLevel, ...]:
    spaces = {key: material.images.search_space(record) for key, record in material.held_out.volumes.items()}
    truth, seed = material.held_out.truth, material.demo.about.seed
    return tuple(
        chance_level(student.table, spaces, truth, CHANCE_DRAWS, seed) for student in material.students
    )


def _with_interval(student: Student, figure: str) -> str:
    return _figure_text(student.result.metric[figure], student.bootstrap.intervals[figure])


def _figure_text(value: float, interval: Interval | None) -> str:
    return share(value) if interval is None else f"{share(value)} ({share_interval(interval)})"


def _teacher_sentence(teacher: MammogramResult) -> str:
    interval = None if teacher.bootstrap is None else teacher.bootstrap.intervals[MAMMOGRAM_METRIC]
    rule = (
        f"a hit overlaps the lesion by an IoU of at least {teacher.iou:g}"
        if teacher.rule == "iou"
        else "a hit has its centre inside the lesion's box"
    )
    return (
        f"Mean sensitivity at 1, 2, 3 and 4 FP per mammogram: "
        f"{_figure_text(teacher.metric[MAMMOGRAM_METRIC], interval)}; "
        f"{count(teacher.froc.num_lesions, 'lesion')} in {count(teacher.froc.num_images, 'mammogram')}; "
        f"{rule}."
    )
