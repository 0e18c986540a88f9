"""Settings that contradict each other, or would do nothing in a run of this role."""

from __future__ import annotations

from typing import Literal

from comoto.config import TrainConfig, flat_settings
from comoto.distill.settings import distiller_settings
from comoto.errors import ConfigError
from comoto.progress import say

STUDENT_ONLY = (
    *("init", "teacher", "data.fraction", "batch.mined_negatives."),
    *("distill.", "joint.", "self_training.", "focus."),
)
TEACHER_ONLY = ("impa.",)


def check_settings(config: TrainConfig, role: Literal["teacher", "student"]) -> None:
    """Refuse what cannot be meant.

    A teacher with settings of a student is refused: it would be trained on all patients, without a distiller,
    and its run folder would say otherwise. A student with settings of ImPA is told that they do nothing,
    for a study's settings may be shared by both.

    Raises:
        ConfigError: names the settings and the way out.
    """
    if config.preprocess.mirror and config.augment.horizontal_flip > 0:
        raise ConfigError(
            f"augment.horizontal_flip={config.augment.horizontal_flip:g} reverses images that "
            "preprocess.mirror=true has turned alike, so the network would learn from breasts that it "
            "is never shown again; set augment.horizontal_flip=0, or preprocess.mirror=false as published"
        )
    _check_first_weights(config, role)
    if role == "student":
        _check_epochs(config)
        _check_focus(config)
        _check_mined(config)
    without_effect = _changed(config, STUDENT_ONLY if role == "teacher" else TEACHER_ONLY)
    if not without_effect:
        return
    named = f"{', '.join(without_effect[:4])}{', ...' if len(without_effect) > 4 else ''}"
    if role == "teacher":
        raise ConfigError(f"a teacher has no use for {named}; leave out what is meant for the student")
    say(f"note: {named} does nothing in a student's run; ImPA is part of the teacher's")


def _check_first_weights(config: TrainConfig, role: Literal["teacher", "student"]) -> None:
    """Refuse to go back to weights that nobody trained, or farther than all the way."""
    anchor, shares = config.optimizer.anchor, config.average.teacher_shares
    starts = config.init_from is not None or (role == "student" and config.init == "teacher")
    if not starts and (anchor or any(shares)):
        named = f"optimizer.anchor={anchor:g}" if anchor else f"average.teacher_shares={list(shares)}"
        way = "set init=teacher, or name --init-from" if role == "student" else "name --init-from"
        without = "optimizer.anchor=0" if anchor else "average.teacher_shares=[]"
        raise ConfigError(
            f"{named} goes back to the first weights, but these are random; {way}, or set {without}"
        )
    rate = config.optimizer.learning_rate
    if anchor * rate >= 1:
        raise ConfigError(
            f"optimizer.anchor={anchor:g} times optimizer.learning_rate={rate:g} is 1 or more, so a step "
            f"would go past the first weights; set optimizer.anchor below {1 / rate:g}"
        )


def _check_epochs(config: TrainConfig) -> None:
    """Refuse what would begin only after the last epoch."""
    epochs = config.schedule.epochs
    self_training = config.self_training.start_epoch if config.self_training.size else 0
    mined = config.batch.mined_negatives
    for key, start in (
        ("batch.mined_negatives.start_epoch", mined.start_epoch if mined.share else 0),
        ("self_training.start_epoch", self_training),
        ("distill.start_epoch", distiller_settings(config).start_epoch),
    ):
        if start >= epochs:
            raise ConfigError(
                f"{key}={start} is never reached: schedule.epochs={epochs}; "
                f"set it to {epochs - 1} or less, or train longer"
            )


def _check_focus(config: TrainConfig) -> None:
    """Refuse depths where there are none."""
    if config.focus.fit and config.data.single_images:
        raise ConfigError(
            "focus.fit=true reads the depth of lesions, and data.single_images=true leaves no stack; "
            "set focus.fit=false"
        )


def _check_mined(config: TrainConfig) -> None:
    """Refuse a share of slices that are never drawn."""
    batch = config.batch
    if batch.mined_negatives.share and (not batch.negative_share or batch.negatives == "background"):
        key = "negatives=background" if batch.negative_share else "negative_share=0"
        raise ConfigError(
            f"batch.mined_negatives.share={batch.mined_negatives.share:g} is a share of the slices of normal "
            f"images, and batch.{key} draws none; set batch.mined_negatives.share=0"
        )


def _changed(config: TrainConfig, prefixes: tuple[str, ...]) -> list[str]:
    """Return the settings of these names or sections (``name.``) that differ from the defaults, as texts."""
    own, default = (flat_settings(one.model_dump(mode="json")) for one in (config, TrainConfig()))
    if own["distill.kind"] != default["distill.kind"]:  # its further settings follow from the kind
        own = {key: value for key, value in own.items() if not key.startswith("distill.")}
        own["distill.kind"] = config.distill.kind
    return [
        f"{key}={value}"
        for key, value in own.items()
        if value != default.get(key) and any(_belongs(key, prefix) for prefix in prefixes)
    ]


def _belongs(key: str, name: str) -> bool:
    return key.startswith(name) if name.endswith(".") else key == name
