"""The runs of a study as data: which teachers, which students, what each is trained with.

Teachers are shared: one per seed, with ImPA and without. Students of one seed and repetition see the same
patients in every variant and regime. Two entries of the table whose configurations are equal are one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from comoto import components
from comoto.config import (
    FORMER_CHOICES,
    AggregationConfig,
    TrainConfig,
    config_hash,
    flat_settings,
    load_train_config,
    override,
    read_yaml,
)
from comoto.distill.settings import teacher_sees
from comoto.errors import ConfigError
from comoto.study.config import MOST_REPETITIONS, StudyConfig, VariantConfig
from comoto.training.check_settings import check_settings
from comoto.training.record import CONFIG

TRAINED = "run"
"""Folder of the training inside a run's folder."""
_AGGREGATION = "inference.aggregation."
_SPAN = f"{_AGGREGATION}span="
_RUNS = "teachers/*", "students/*/*/*/*"
"""Where the folders of runs lie in a study's."""
_OWN_KEYS = (
    "seed",
    "teacher",
    "data.mammograms",
    "data.tomosynthesis",
    "data.fraction",
    "selection.min_hit_radius",
)


@dataclass(frozen=True)
class PlannedRun:
    """One training.

    Attributes:
        name: folder below the study's, with slashes.
        role: of the checkpoint.
        label: row of the progress table: the variant, or the teacher.
        config: everything that decides its numbers.
        teacher: name of the run that must be complete before.
    """

    name: str
    role: Literal["teacher", "student"]
    label: str
    config: TrainConfig
    teacher: str | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps, to estimate times; an epoch of unknown length counts as one."""
        return self.config.schedule.epochs * (self.config.schedule.steps_per_epoch or 1)


@dataclass(frozen=True)
class Cell:
    """One entry of the table and the run that fills it."""

    regime: str
    fraction: float
    variant: str
    seed: int
    repetition: int
    run: str


@dataclass(frozen=True)
class Grid:
    """All runs, in the order in which they are started, and what they are for."""

    teachers: tuple[PlannedRun, ...]
    students: tuple[PlannedRun, ...]
    cells: tuple[Cell, ...]

    def only(self, variants: Sequence[str]) -> Grid:
        """Return the runs that some variants need.

        Raises:
            ConfigError: no such variant.
        """
        known = {cell.variant for cell in self.cells}
        for variant in variants:
            if variant not in known:
                raise ConfigError(f"--only {variant}: {components.suggest(variant, known)}")
        cells = tuple(cell for cell in self.cells if cell.variant in variants)
        needed = {cell.run for cell in cells}
        students = tuple(run for run in self.students if run.name in needed)
        wanted = {run.teacher for run in students}
        return Grid(tuple(run for run in self.teachers if run.name in wanted), students, cells)


def build_grid(study: StudyConfig, out: Path) -> Grid:
    """Work out every run of a study; nothing is written.

    A study that a former version began goes on with the choices of then where a preset has made others since,
    unless its file names them: what is compared is trained and predicted alike.

    Args:
        study: with absolute paths.
        out: the study's folder, absolute; it need not be there.

    Raises:
        ConfigError: a setting of a variant is unknown or wrong; variant, regime and fraction are named.
    """
    last = _former_choices(out)
    bases = {place: _student_base(study, *place, last) for place in _places(study)}
    for base in bases.values():
        rules_of(study, base)
    teacher_bases = {
        name: _teacher_base(study, name, last)
        for name, variant in study.variants.items()
        if variant.impa is not None
    }
    teachers: dict[str, PlannedRun] = {}
    students: dict[str, PlannedRun] = {}
    cells = []
    for regime, fraction, name, seed, repetition in _cells(study):
        teacher: PlannedRun | None = None
        if name in teacher_bases:
            teacher = _teacher(study, name, teacher_bases[name].model_copy(update={"seed": seed}))
            teacher = teachers.setdefault(config_hash(teacher.config), teacher)
        config = bases[regime, fraction, name].model_copy(
            update={
                "seed": student_seed(seed, repetition),
                "teacher": None if teacher is None else out / teacher.name / TRAINED,
            }
        )
        folder = f"students/{regime}/{100 * fraction:g}/{name}/seed{seed}-rep{repetition}"
        run = students.setdefault(
            config_hash(config),
            PlannedRun(folder, "student", name, config, None if teacher is None else teacher.name),
        )
        cells.append(Cell(regime, fraction, name, seed, repetition, run.name))
    ordered = sorted(teachers.values(), key=lambda run: run.config.seed)
    return Grid(tuple(ordered), tuple(students.values()), tuple(cells))


def rules_of(study: StudyConfig, config: TrainConfig) -> dict[str, AggregationConfig]:
    """Return the study's further slice-to-volume aggregation rules, laid over a student's own.

    Raises:
        ConfigError: a setting is not one of ``inference.aggregation``, or is wrong.
    """
    rules = {}
    for name, settings in study.rules.items():
        for text in settings:
            if not text.startswith(_AGGREGATION):
                raise ConfigError(
                    f"rules.{name}: '{text}' is no setting of inference.aggregation; "
                    "write it in full, such as inference.aggregation.kind=tracks"
                )
        try:
            own_span = (
                f"{_SPAN}{config.inference.aggregation.span}"  # another kind drops the student's settings
            )
            rules[name] = override(config, [own_span, *settings], typed=False).inference.aggregation
            components.resolve("aggregator", rules[name].kind)
        except ConfigError as error:
            raise ConfigError(f"rules.{name}: {error}") from error
    return rules


def rule_texts(study: StudyConfig, grid: Grid) -> dict[str, str]:
    """Say what each slice-to-volume aggregation is: "" is the students' own, then the further ones."""
    own = sorted({run.config.inference.aggregation.kind for run in grid.students})
    further = {
        name: f"{name} ({', '.join(text.removeprefix(_AGGREGATION) for text in settings)})"
        for name, settings in study.rules.items()
    }
    return {"": f"the students' own ({', '.join(own)})", **further}


def student_seed(seed: int, repetition: int) -> int:
    """Return the seed of all students of a teacher's seed and a repetition.

    It draws the patients, the batches and the first weights; so all variants share the patients, a smaller
    fraction lies inside a larger one, and repetitions differ. 1000 x seed + repetition.
    """
    return MOST_REPETITIONS * seed + repetition


def _places(study: StudyConfig) -> Iterator[tuple[str, float, str]]:
    for fraction in study.fractions:
        for regime in study.regimes:
            for name, variant in study.variants.items():
                if fraction in (variant.fractions or study.fractions) and regime in (
                    variant.regimes or study.regimes
                ):
                    yield regime, fraction, name


def _cells(study: StudyConfig) -> Iterator[tuple[str, float, str, int, int]]:
    """Yield every entry; one repetition of one seed is complete in all variants before the next begins."""
    most = max([study.repetitions, *(variant.repetitions or 1 for variant in study.variants.values())])
    places = list(_places(study))
    for repetition in range(most):
        for number, seed in enumerate(study.seeds, start=1):
            for regime, fraction, name in places:
                if number > study.fraction_seeds.get(fraction, number):
                    continue
                wanted = study.variants[name].repetitions or study.repetitions
                if repetition < min(wanted, study.fraction_repetitions.get(fraction, wanted)):
                    yield regime, fraction, name, seed, repetition


def _former_choices(out: Path) -> tuple[str, ...]:
    """Return the settings that the runs of a study's folder do not know, as they were when these began."""
    unknown: set[str] = set()
    for path in chain.from_iterable(out.glob(f"{runs}/{TRAINED}/{CONFIG}") for runs in _RUNS):
        content = read_yaml(path)  # of every run: those of this version that continue a study know them
        if isinstance(content, dict):
            unknown |= FORMER_CHOICES.keys() - flat_settings(content).keys()
    return tuple(f"{key}={value}" for key, value in FORMER_CHOICES.items() if key in unknown)


def _student_base(
    study: StudyConfig, regime: str, fraction: float, name: str, last: Sequence[str]
) -> TrainConfig:
    """Build the configuration that the students of one place share, but for seed and teacher."""
    variant = study.variants[name]
    layers = {
        "settings": study.settings,
        "student_settings": study.student_settings,
        f"fraction_settings.{fraction:g}": study.fraction_settings.get(fraction, ()),
        f"regimes.{regime}": study.regimes[regime],
        f"variants.{name}.settings": variant.settings,
        f"variants.{name}.fraction_settings.{fraction:g}": variant.fraction_settings.get(fraction, ()),
    }
    config = _own(study, _layered(study.preset, layers, "student", last), fraction)
    _check_teacher(name, variant, config, bool(study.data.mammograms))
    return config


def _teacher_base(study: StudyConfig, name: str, last: Sequence[str]) -> TrainConfig:
    """Build the configuration of a variant's teachers, but for the seed."""
    variant = study.variants[name]
    layers = {
        "settings": study.settings,
        "teacher_settings": study.teacher_settings,
        f"variants.{name}.teacher_settings": variant.teacher_settings,
        "impa": () if variant.impa else ("impa.weight=0",),
    }
    config = _own(study, _layered(study.preset, layers, "teacher", last), 1.0)
    if variant.impa and config.impa.weight == 0:
        raise ConfigError(f"variants.{name}: impa is true, but impa.weight is 0")
    try:
        check_settings(config, "teacher")
    except ConfigError as error:
        raise ConfigError(
            f"variants.{name}, its teacher: {error}; student_settings are a student's"
        ) from error
    return config


def _teacher(study: StudyConfig, name: str, config: TrainConfig) -> PlannedRun:
    variant = study.variants[name]
    kind = "impa" if variant.impa else "plain"
    own = variant.teacher_settings
    folder = f"teachers/{kind}{f'-{name}' if own else ''}-seed{config.seed}"
    return PlannedRun(folder, "teacher", f"teacher, {kind}{f', for {name}' if own else ''}", config)


def _layered(preset: str, layers: Mapping[str, Sequence[str]], role: str, last: Sequence[str]) -> TrainConfig:
    """Lay settings over each other; what is wrong is named with the list that it stands in.

    ``last`` is laid on top, but for what the lists set themselves.
    """
    overrides = ["threads=1"]
    for where, settings in layers.items():
        for text in settings:
            if _key(text) in _OWN_KEYS:
                raise ConfigError(f"{where}: '{_key(text)}' is set by the study itself")
        overrides += settings
    overrides += [one for one in last if not any(_key(text) == _key(one) for text in overrides)]
    try:
        return load_train_config(preset, overrides, role=role, typed=False)
    except ConfigError as error:
        raise ConfigError(f"{_first_wrong(preset, layers, role)}: {error}") from error


def _key(setting: str) -> str:
    return setting.partition("=")[0].strip()


def _first_wrong(preset: str, layers: Mapping[str, Sequence[str]], role: str) -> str:
    """Return the name of the layer with which the configuration first fails."""
    overrides: list[str] = []
    for where, settings in layers.items():
        overrides += settings
        try:
            load_train_config(preset, overrides, role=role, typed=False)
        except ConfigError:
            return where if settings else "preset"
    return "preset"


def _own(study: StudyConfig, config: TrainConfig, fraction: float) -> TrainConfig:
    """Set what the study decides; see ``_OWN_KEYS``."""
    data = {"mammograms": study.data.mammograms, "tomosynthesis": study.data.tomosynthesis}
    return config.model_copy(
        update={
            "seed": 0,
            "teacher": None,
            "data": config.data.model_copy(update={**data, "fraction": fraction}),
            "selection": config.selection.model_copy(update={"min_hit_radius": study.min_hit_radius}),
        }
    )


def _check_teacher(name: str, variant: VariantConfig, config: TrainConfig, has_mammograms: bool) -> None:
    sees = teacher_sees(config)
    wants = []
    if config.init == "teacher":
        wants.append("init=teacher")
    if sees != "nothing":
        wants.append(f"distill.kind={config.distill.kind}")
    if wants and variant.impa is None:
        raise ConfigError(
            f"variants.{name}: {wants[0]} needs a teacher; set impa: true or false, or init=scratch"
        )
    if not wants and variant.impa is not None:
        raise ConfigError(f"variants.{name}: nothing in its settings uses a teacher; set impa: none")
    if not has_mammograms and (variant.impa is not None or config.joint.size):
        why = f"joint.size={config.joint.size}" if variant.impa is None else "its teacher"
        raise ConfigError(
            f"variants.{name}: {why} needs mammograms, but data.mammograms names no prepared store"
        )
