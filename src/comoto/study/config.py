"""A study as one YAML file: which variants are trained, on how many patients, how often.

A variant is nothing but settings over a preset, as ``--set`` takes them. Everything is checked before the
first run starts.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from comoto.components import short, suggest
from comoto.config import PRESETS, StrictModel, dump_yaml, read_yaml
from comoto.config.explain import own_words, plain_problem
from comoto.defaults import HIT_RADIUS, PRESET
from comoto.errors import ConfigError
from comoto.output_files import write_text
from comoto.study.kept import STUDY

Settings = tuple[str, ...]
"""Overrides such as ``batch.size=4``; later ones win."""
Fraction = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)]
"""Names become folders."""

MOST_REPETITIONS = 1000
OWN_RULE = "own"
"""What the students' own slice-to-volume aggregation is called in tables."""
FINE_TUNED = "fine-tuned"
_FORMER_VARIANTS, _FORMER_REFERENCE = "arms", "pretraining"


class StudyData(StrictModel):
    """Prepared stores."""

    mammograms: tuple[Path, ...] = ()
    """One store or several; teachers and distillers look at them."""
    tomosynthesis: Path
    """Training and validation volumes."""
    test: Path | None = None
    """Store whose test split is predicted; none: the test split of ``tomosynthesis``."""
    split: Literal["test", "validation"] = "test"
    """What is predicted. ``validation`` is for choosing between settings, so that no test volume does."""

    @field_validator("mammograms", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """Accept one path in place of a list of one."""
        return (value,) if isinstance(value, str | Path) else value or ()

    @model_validator(mode="after")
    def _own_validation(self) -> Self:
        if self.split == "validation" and self.test is not None:
            raise ValueError("test: another store is for the test split; leave it out with split: validation")
        return self

    def absolute(self) -> Self:
        """Return the same stores with absolute paths, for workers that start elsewhere."""
        return self.model_copy(
            update={
                "mammograms": tuple(path.absolute() for path in self.mammograms),
                "tomosynthesis": self.tomosynthesis.absolute(),
                "test": None if self.test is None else self.test.absolute(),
            }
        )


class VariantConfig(StrictModel):
    """One way to train the student."""

    impa: bool | None
    """Which teacher: ``true`` with ImPA, ``false`` without; ``none`` is no teacher."""
    settings: Settings = ()
    teacher_settings: Settings = ()
    """For a variant that needs teachers of its own, such as another detector."""
    fraction_settings: dict[Fraction, Settings] = Field(default_factory=dict)
    fractions: tuple[Fraction, ...] | None = None
    """Only these of the study's."""
    repetitions: Annotated[int, Field(ge=1, le=MOST_REPETITIONS)] | None = None
    regimes: tuple[Name, ...] | None = None
    """Only these of the study's."""

    @field_validator("impa", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        """Read the word ``none``, which YAML takes for a text."""
        return None if value == "none" else value


class MainComparison(StrictModel):
    """A comparison that the study is made for, named before its test volumes are looked at."""

    variant: Name
    fraction: Fraction
    against: Name | None = None
    """Another variant; the study's reference if it is not given."""
    regime: Name | None = None
    """The study's first if it is not given."""


class StudyConfig(StrictModel):
    """What is compared with what; docs/studies.md explains each key."""

    name: Name
    preset: str = PRESET
    settings: Settings = ()
    """Of every run."""
    teacher_settings: Settings = ()
    student_settings: Settings = ()
    fraction_settings: dict[Fraction, Settings] = Field(default_factory=dict)
    """Of every student at that fraction, such as more steps on all patients."""
    data: StudyData
    fractions: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.1, 0.25, 0.5, 1.0)
    """Of the training patients; the smaller lie inside the larger."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2)
    """Of the teachers."""
    repetitions: Annotated[int, Field(ge=1, le=MOST_REPETITIONS)] = 1
    """Patient subsets for each seed."""
    fraction_repetitions: dict[Fraction, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """At most so many repetitions at that fraction; at 1.0 all subsets are the same patients."""
    fraction_seeds: dict[Fraction, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """At most so many of the seeds at that fraction, the first ones."""
    regimes: dict[Name, Settings] = Field(default={"standard": ()}, min_length=1)
    """Settings of every student, beside each other; such as the published recipe and a stronger one."""
    variants: dict[Name, VariantConfig] = Field(min_length=1)
    rules: dict[Name, Settings] = Field(default_factory=dict)
    """Further slice-to-volume aggregation rules, as ``inference.aggregation`` settings; the test volumes are
    predicted under each, and the table can be made for any of them."""
    reference: Name = FINE_TUNED
    """The variant that all others are compared with."""
    main: tuple[MainComparison, ...] = ()
    """The comparisons that ``comoto study verdict`` judges together; all others are looked at, not judged."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.03
    """Two variants are equivalent where the interval of their difference lies within this of 0."""
    min_hit_radius: Annotated[float, Field(gt=0)] = HIT_RADIUS
    """Least hit radius in source pixels, for validation and test."""
    bootstrap: Annotated[int, Field(ge=1)] = 2000
    """Replicates of the intervals in the table."""

    @model_validator(mode="before")
    @classmethod
    def _former_words(cls, content: Any) -> Any:
        """Understand the words of former versions: study files lie around for years."""
        if not isinstance(content, dict):
            return content
        content = dict(content)
        if _FORMER_VARIANTS in content:
            if "variants" in content:
                raise ValueError(f"'{_FORMER_VARIANTS}' is the former word for 'variants'; give one of them")
            content["variants"] = content.pop(_FORMER_VARIANTS)
        variants = content.get("variants")
        names = set(variants) if isinstance(variants, dict) else set()
        if "reference" not in content and names & {FINE_TUNED, _FORMER_REFERENCE} == {_FORMER_REFERENCE}:
            content["reference"] = _FORMER_REFERENCE
        return content

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, values in (("seeds", self.seeds), ("fractions", self.fractions)):
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: a value stands twice")
        if OWN_RULE in self.rules:
            raise ValueError(
                f"rules: '{OWN_RULE}' is what the students' own rule is called; take another name"
            )
        if self.reference not in self.variants:
            raise ValueError(
                f"reference '{self.reference}' is no variant; {suggest(self.reference, self.variants)}"
            )
        _subset("fraction_settings", self.fraction_settings, self.fractions)
        _subset("fraction_repetitions", self.fraction_repetitions, self.fractions)
        _subset("fraction_seeds", self.fraction_seeds, self.fractions)
        for name, variant in self.variants.items():
            _subset(f"variants.{name}.fractions", variant.fractions or (), self.fractions)
            _subset(f"variants.{name}.fraction_settings", variant.fraction_settings, self.fractions)
            _subset(f"variants.{name}.regimes", variant.regimes or (), self.regimes)
            if variant.teacher_settings and variant.impa is None:
                raise ValueError(
                    f"variants.{name}: teacher_settings without a teacher; set impa: true or false"
                )
        for number, one in enumerate(self.main, start=1):
            self._check_main(f"main, comparison {number}", one)
        return self

    def _check_main(self, where: str, one: MainComparison) -> None:
        against = one.against or self.reference
        for name in (one.variant, against):
            if name not in self.variants:
                raise ValueError(f"{where}: '{name}' is no variant; {suggest(name, self.variants)}")
            fractions = self.variants[name].fractions or self.fractions
            _subset(f"{where}: fraction of '{name}'", (one.fraction,), fractions)
        if one.variant == against:
            raise ValueError(f"{where}: '{against}' is compared with itself")
        _subset(f"{where}: regime", (one.regime or next(iter(self.regimes)),), self.regimes)
        if self.main.count(one) > 1:
            raise ValueError(f"{where}: stands twice")


def load_study(path: Path) -> StudyConfig:
    """Read a study file.

    Relative paths in it are relative to the working directory, as everywhere on the command line.

    Raises:
        ConfigError: not readable, an unknown key (the nearest valid one is named) or a bad value.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; 'comoto study init {path.name}' writes one to start from")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, found {type(content).__name__}")
    try:
        study = StudyConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from error
    if study.preset not in PRESETS and not Path(study.preset).is_file():
        raise ConfigError(
            f"{path}: preset '{short(study.preset)}' is neither a file nor one of {', '.join(PRESETS)}; "
            f"{suggest(study.preset, PRESETS)}"
        )
    preset = study.preset if study.preset in PRESETS else str(Path(study.preset).absolute())
    return study.model_copy(update={"data": study.data.absolute(), "preset": preset})


def save_study(study: StudyConfig, folder: Path) -> None:
    """Keep the study with its results, paths absolute."""
    write_text(folder / STUDY, dump_yaml(study.model_dump(mode="json")))


def saved_study(folder: Path) -> StudyConfig:
    """Read what ``save_study`` wrote.

    Raises:
        ConfigError: the folder holds no study.
    """
    if not (folder / STUDY).is_file():
        raise ConfigError(f"{folder}: holds no {STUDY}; give the --out of 'comoto study run'")
    return load_study(folder / STUDY)


def starting_file() -> str:
    """Return the commented study file that ``comoto study init`` writes."""
    return resources.files("comoto.study").joinpath("low_data.yaml").read_text(encoding="utf-8")


def _subset(key: str, given: Any, known: Any) -> None:
    for value in given:
        if value not in known:
            raise ValueError(f"{key}: {value} is none of the study's ({', '.join(map(str, known))})")


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        parts = [str(part) for part in problem["loc"]]
        name = short(".".join(parts))
        if problem["type"] == "extra_forbidden":
            lines.append(f"unknown key '{name}'; {suggest(parts[-1], _section(parts).model_fields)}")
        elif parts[-1:] == ["[key]"]:
            lines.append(
                f"key '{'.'.join(parts[:-1])}': names become folders; use letters, digits, '_', '-' and '.'"
            )
        elif parts[-1:] == ["impa"] and problem["type"] != "missing":
            lines.append(
                f"key '{name}': Input should be true, false or none (got {short(repr(problem['input']))})"
            )
        elif name:
            lines.append(f"key '{name}': {plain_problem(problem)}")
        else:
            lines.append(own_words(problem))
    return "; ".join(lines)


def _section(parts: list[str]) -> type[BaseModel]:
    if len(parts) == 3 and parts[0] == "variants":
        return VariantConfig
    return StudyData if len(parts) == 2 and parts[0] == "data" else StudyConfig
