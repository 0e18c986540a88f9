"""Whether an operating point is one of the model and the settings that predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comoto.config import InferenceConfig, former_inference
from comoto.errors import ConfigError
from comoto.operating_points import KnownPoint
from comoto.progress import say

if TYPE_CHECKING:
    from comoto.inference.model import Model

_WITHOUT_EFFECT = {"batch_size"}


def check_point(point: KnownPoint, model: Model, config: InferenceConfig) -> None:
    """Compare what an operating point was chosen on with what is to predict; say it where that is unknown.

    Raises:
        ConfigError: it was chosen on predictions of another model, or with settings that give other scores.
    """
    what = f"operating point {point.wanted}"
    if not point.made_by:
        say(f"{what}: does not say on which model's predictions it was chosen; a threshold belongs to one")
        return
    if point.made_by.get("model_sha256") != model.sha256:
        raise ConfigError(
            f"{what}: was chosen on predictions of another model ({point.made_by.get('model')}), whose "
            f"scores mean something else; choose one on predictions of {model.name}"
        )
    now, then = config.model_dump(mode="json"), former_inference(dict(point.made_by.get("inference") or {}))
    differing = sorted(key for key in now.keys() - _WITHOUT_EFFECT if now[key] != then.get(key))
    if differing:
        raise ConfigError(
            f"{what}: was chosen on predictions with other settings ({', '.join(differing)}), which give "
            "other boxes or scores; predict with those settings, or choose one anew"
        )
