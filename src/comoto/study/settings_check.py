"""Whether runs on disk were trained with the settings, and on the content, that the study plans for them.

A study's file names a preset, and presets change between versions of this package. A folder of an earlier
version would then be read as if its runs were something else, or one variant's runs as another's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from comoto.config import flat_settings, load_run_config
from comoto.detectors.about import read_about
from comoto.errors import ConfigError
from comoto.preprocessing.store import PreparedStore
from comoto.study.grid import TRAINED, PlannedRun
from comoto.study.kept import DONE
from comoto.training.identity import store_identity
from comoto.training.record import CONFIG, read_about_run

_MOST_NAMED = 5


def changed_settings(run: PlannedRun, out: Path) -> str:
    """Return how the settings of a run's folder differ from the planned ones.

    Args:
        run: as planned now.
        out: the study's folder.

    Returns:
        The first five, "" if there is none or nothing was started yet.
    """
    path = out / run.name / TRAINED / CONFIG
    if not path.is_file():
        return ""
    earlier = load_run_config(path)
    if earlier.teacher is not None and (out / run.name / DONE).is_file():  # the folder may have been moved
        earlier = earlier.model_copy(update={"teacher": run.config.teacher})
    if earlier == run.config:
        return ""
    old, new = (flat_settings(config.model_dump(mode="json")) for config in (earlier, run.config))
    differing = sorted(key for key in {**old, **new} if old.get(key) != new.get(key))
    return ", ".join(f"{key} {old.get(key)!r} (now {new.get(key)!r})" for key in differing[:_MOST_NAMED])


def changed_inputs(runs: Iterable[PlannedRun], out: Path) -> Iterator[tuple[PlannedRun, str]]:
    """Yield the runs that were made of other content than their stores and teachers hold now.

    Settings name stores by their paths, where another preparation may lie by now. Runs of former versions,
    which do not know what they were made of, are passed over.

    Args:
        runs: as planned now.
        out: the study's folder.

    Yields:
        The run, and the settings whose content has changed.
    """
    identity = cache(lambda path: store_identity(PreparedStore(path)))
    student_identity = cache(lambda path: store_identity(PreparedStore(path).as_volumes()))
    for run in runs:
        about = read_about_run(out / run.name / TRAINED)
        if about is None:
            continue
        data = run.config.data
        now: dict[str, Any] = {"data.mammograms": [identity(path) for path in data.mammograms]}
        if data.tomosynthesis is not None:
            now["data.tomosynthesis"] = student_identity(data.tomosynthesis)
        if run.teacher is not None and (out / run.teacher / DONE).is_file():
            now["teacher"] = read_about(out / run.teacher / TRAINED)[2]
        before = about["inputs"]
        differing = [key for key, value in now.items() if key in before and before[key] != value]
        if differing:
            yield run, ", ".join(differing)


def refuse_changed_settings(runs: Iterable[PlannedRun], out: Path) -> None:
    """Check runs before what they found is put into a table.

    Raises:
        ConfigError: a run was trained with other settings than the study now plans for it.
    """
    for run in runs:
        changes = changed_settings(run, out)
        if changes:
            raise ConfigError(
                f"{out / run.name}: was run with other settings than {out.name}/study.yaml now stands for: "
                f"{changes}. Presets differ between versions of comoto: write the old values into "
                f"{run.role}_settings of that file, or read it with the version that {run.name}/{DONE} names"
            )
