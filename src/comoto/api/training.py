"""Train a teacher or a student, or take over what the published code trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comoto.arguments import AnyPath, as_path, as_paths, as_settings
from comoto.defaults import PRESET
from comoto.errors import ConfigError

if TYPE_CHECKING:
    from comoto.config import TrainConfig
    from comoto.detectors.published import ImportedRun
    from comoto.training.run import TrainResult


def train_teacher(
    out: AnyPath,
    *,
    mammograms: AnyPath | Sequence[AnyPath] = (),
    init_from: AnyPath | None = None,
    preset: AnyPath | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    resume: bool = False,
    stop_after: int | None = None,
) -> TrainResult:
    """Train a teacher on mammograms (``comoto train teacher``).

    Args:
        out: the run folder.
        mammograms: prepared store, or several.
        init_from: run folder of a teacher or a student whose weights are the first ones.
        preset: ``demo``, ``small``, ``full``, ``paper`` or a YAML file; ``small`` if not given, or the
            settings of the run that is resumed.
        overrides: other settings, such as ``batch.size=4``; what stands after ``=`` is read as YAML.
        values: other settings as values, such as ``{"batch.size": 4}``.
        resume: continue the interrupted run in ``out``; nothing else has to be given. ``schedule.epochs``
            may grow, and the same data and weights may lie at another path.
        stop_after: stop after this epoch.

    Examples:
        >>> import comoto
        >>> shorter = {"schedule.epochs": 1}
        >>> settings = "runs/teacher/config.yaml"
        >>> result = comoto.train_teacher(
        ...     "runs/new-teacher", mammograms="stores/vindr-mammo", preset=settings, values=shorter
        ... )
        >>> result.epoch, result.metric
        (1, 'mean_sensitivity')
    """
    paths = {"data.mammograms": mammograms, "init_from": init_from}
    given, place = {**(values or {}), **_given(paths)}, as_path("out", out)
    config = _train_config("teacher", place if resume else None, preset, overrides, given)
    from comoto.training import run as training

    return training.train_teacher(config, place, resume=resume, stop_after=stop_after)


def train_student(
    out: AnyPath,
    *,
    tomosynthesis: AnyPath | None = None,
    teacher: AnyPath | None = None,
    mammograms: AnyPath | Sequence[AnyPath] = (),
    init_from: AnyPath | None = None,
    preset: AnyPath | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    resume: bool = False,
    stop_after: int | None = None,
) -> TrainResult:
    """Train a student on tomosynthesis (``comoto train student``).

    Args:
        out: the run folder.
        tomosynthesis: prepared store; needed.
        teacher: run folder of the teacher; needed unless ``init=scratch`` and there is no distiller.
        mammograms: prepared store, or several; needed unless ``joint.size=0`` and no distiller wants them.
        init_from: run folder of a teacher or a student whose weights are the first ones, in place of
            ``init``.
        preset: ``demo``, ``small``, ``full``, ``paper`` or a YAML file; ``small`` if not given, or the
            settings of the run that is resumed.
        overrides: other settings, such as ``batch.size=4``; what stands after ``=`` is read as YAML.
        values: other settings as values, such as ``{"batch.size": 4}``.
        resume: continue the interrupted run in ``out``; nothing else has to be given. ``schedule.epochs``
            may grow, and the same data and weights may lie at another path.
        stop_after: stop after this epoch.

    Examples:
        >>> import comoto
        >>> result = comoto.train_student(
        ...     "runs/new-student",
        ...     tomosynthesis="stores/bcs-dbt",
        ...     mammograms="stores/vindr-mammo",
        ...     teacher="runs/teacher",
        ...     preset="runs/student/config.yaml",
        ...     values={"schedule.epochs": 1},
        ... )
        >>> result.epoch, result.metric
        (1, 'mean_sensitivity_positive')
    """
    paths = {
        "data.mammograms": mammograms,
        "data.tomosynthesis": tomosynthesis,
        "teacher": teacher,
        "init_from": init_from,
    }
    given, place = {**(values or {}), **_given(paths)}, as_path("out", out)
    config = _train_config("student", place if resume else None, preset, overrides, given)
    from comoto.training import run as training

    return training.train_student(config, place, resume=resume, stop_after=stop_after)


def import_checkpoint(
    path: AnyPath, out: AnyPath, *, role: Literal["teacher", "student"], overrides: Sequence[str] = ()
) -> ImportedRun:
    """Turn a checkpoint of the published CoMoTo code into a run folder (``comoto import-checkpoint``).

    Args:
        path: what the published code saved; nothing in it is executed.
        out: the run folder, new or empty; ``load_model`` and ``train_student`` take it.
        role: ``teacher`` (mammograms) or ``student`` (tomosynthesis).
        overrides: settings in which the checkpoint differs from the preset ``paper``.

    Returns:
        ``.run``, ``.resnet`` (which ResNet it holds) and ``.config``.

    Examples:
        >>> import comoto
        >>> comoto.import_checkpoint("published.pth", "runs/published", role="student")  # doctest: +SKIP
    """
    from comoto.detectors import published

    settings = as_settings("overrides", overrides)
    return published.import_checkpoint(as_path("path", path), as_path("out", out), role, settings)


def _train_config(
    role: Literal["teacher", "student"],
    resumed: Path | None,
    preset: AnyPath | None,
    overrides: Sequence[str],
    values: Mapping[str, Any],
) -> TrainConfig:
    """Return the settings of a training: without a preset those of the run that is resumed, if any."""
    from comoto.config import load_train_config, override

    if resumed is not None and preset is None:
        from comoto.training.record import is_run, read_about_run, saved_config

        if is_run(resumed):
            about = read_about_run(resumed)
            if about is not None and about["role"] != role:
                raise ConfigError(f"{resumed}: is a run of 'comoto train {about['role']}'")
            return override(saved_config(resumed), as_settings("overrides", overrides), values)
        if not values:
            raise ConfigError(f"{resumed}: no run to resume here; name its folder, or what to train on")
    chosen = PRESET if preset is None else as_path("preset", preset)
    return load_train_config(chosen, as_settings("overrides", overrides), role, values)


def _given(paths: Mapping[str, AnyPath | Sequence[AnyPath] | None]) -> dict[str, Path | tuple[Path, ...]]:
    """Return the settings whose paths were given; several are allowed for mammograms alone."""
    given: dict[str, Path | tuple[Path, ...]] = {}
    for key, value in paths.items():
        name = key.removeprefix("data.")
        if isinstance(value, str | PathLike) or (value is not None and name != "mammograms"):
            given[key] = as_path(name, value)
        elif value is not None and (several := as_paths(name, value)):
            given[key] = tuple(several)
    return given
