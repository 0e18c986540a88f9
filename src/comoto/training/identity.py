"""What a run was made of, known again by content: a store or a teacher may lie at another path later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comoto.checksums import content_sha256
from comoto.config import TrainConfig, flat_settings
from comoto.detectors.about import read_about
from comoto.errors import ConfigError
from comoto.preprocessing.store import PreparedStore
from comoto.splits.file import about_source, load_split_file
from comoto.splits.merge import MergeSource

if TYPE_CHECKING:
    from comoto.training.cohorts import Cohort

INPUTS = ("teacher", "init_from", "data.split_file", "data.tomosynthesis", "data.mammograms")
"""Settings that are paths of what a run is made of."""
MAY_CHANGE = ("workers", "threads", "device", "precision")
"""Settings that a resumed run may name anew; ``comoto.training.environment`` tells what they change."""
FOCUS = "focus."
"""So begin those of what is fitted after the training, which may be done again."""
EPOCHS = "schedule.epochs"
_MOST_NAMED = 5


def store_identity(store: PreparedStore) -> str:
    """Return the SHA-256 of a store's manifest, settings and pixels; place and order of rows do not matter.

    Pixels count by the names of their planes, which change with the content of the source.
    """
    about = about_source(MergeSource(alias="", manifest=store.manifest))
    settings = {
        "config": store.config.model_dump(mode="json"),
        "options": store.options.model_dump(mode="json"),
    }
    planes = {image_id: store.planes_path(image_id).stem for image_id in store.image_ids}
    return content_sha256({"images": about.content, "planes": planes, **settings})


def run_inputs(config: TrainConfig, cohorts: Mapping[str, Cohort]) -> dict[str, Any]:
    """Return what identifies each of ``INPUTS`` that the run uses.

    Args:
        config: of the run.
        cohorts: ``tomosynthesis`` and mammograms, as trained on.
    """
    found: dict[str, Any] = {
        key: read_about(run)[2]
        for key, run in (("teacher", config.teacher), ("init_from", config.init_from))
        if run is not None
    }
    if config.data.split_file is not None:
        found["data.split_file"] = load_split_file(config.data.split_file).hash
    mammograms = [store_identity(one.store) for name, one in cohorts.items() if name != "tomosynthesis"]
    if mammograms:
        found["data.mammograms"] = mammograms
    if "tomosynthesis" in cohorts:
        found["data.tomosynthesis"] = store_identity(cohorts["tomosynthesis"].store)
    return found


def refuse_other_inputs(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare what a run was started with and what it is to go on with.

    Raises:
        ConfigError: naming what differs in content.
    """
    differing = [key for key in INPUTS if before.get(key) != now.get(key)]
    if differing:
        raise ConfigError(
            f"{folder}: the run was started with other content under {', '.join(differing)}: other images, "
            "patients or weights; name the former ones, or start a new run in another --out"
        )


def refuse_other_settings(
    folder: Path, before: TrainConfig, now: TrainConfig, *, inputs_known: bool
) -> dict[str, list[Any]]:
    """Compare the settings of a run with those that it is to go on with.

    Args:
        folder: of the run.
        before: its settings.
        now: the wanted ones.
        inputs_known: paths may differ, because their content was compared.

    Returns:
        What differs and may: setting -> the former and the new value.

    Raises:
        ConfigError: naming what must not differ.
    """
    old, new = (flat_settings(each.model_dump(mode="json")) for each in (before, now))
    differing = {key: [old.get(key), new.get(key)] for key in {**old, **new} if old.get(key) != new.get(key)}
    refused = [key for key in differing if not _may_differ(key, old, new, inputs_known)]
    if refused:
        named = [f"{key} {old.get(key)!r} (now {new.get(key)!r})" for key in refused[:_MOST_NAMED]]
        hint = "; schedule.epochs may only grow, --stop-after ends earlier" if EPOCHS in refused else ""
        raise ConfigError(f"{folder}: the run was started with other settings: {', '.join(named)}{hint}")
    return differing


def _may_differ(key: str, old: Mapping[str, Any], new: Mapping[str, Any], inputs_known: bool) -> bool:
    if key == EPOCHS:
        return int(new[key]) > int(old[key])
    if key in INPUTS:
        return inputs_known or _places(old.get(key)) == _places(new.get(key))
    return key in MAY_CHANGE or key.startswith(FOCUS)


def _places(value: Any) -> list[Path]:
    paths = [value] if isinstance(value, str) else value or []
    return [Path(path).resolve() for path in paths]
