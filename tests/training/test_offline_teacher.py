"""A student that starts from a teacher fetches no first weights, whatever the preset says of them."""

from pathlib import Path

import pytest

from comoto import api
from comoto.errors import ConfigError
from tiny_exams import Exams


def test_the_teachers_weights_replace_those_that_would_be_fetched(
    exams: Exams, teacher_run: Path, tmp_path: Path
) -> None:
    """The thin backbone has no ImageNet weights, so asking for them tells whether they are wanted."""
    overrides = [
        *exams.student_data,
        f"teacher={teacher_run}",
        "detector.backbone.weights=imagenet",
        "distill.kind=lesion_points",
        "schedule.epochs=1",
    ]
    result = api.train_student(tmp_path / "student", preset="demo", overrides=overrides)
    assert result.epoch == 1
    assert api.load_model(result.run).config.detector.kind == "retinanet"
    with pytest.raises(ConfigError, match="thin backbone has no ImageNet weights"):
        api.train_student(tmp_path / "scratch", preset="demo", overrides=[*overrides, "init=scratch"])
