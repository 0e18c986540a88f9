"""docs/distillers.md: its tables are the settings there are, and its distiller works as it stands."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from comoto import components
from comoto.config import load_train_config
from comoto.detectors.checkpoint import build_detector
from comoto.distill.base import Distiller, DistillerConfig
from comoto.distill.points import read_bilinear
from comoto.errors import ConfigError
from comoto.training.batch import StudentBatch
from comoto.training.steps import StudentStep, total

PAGE = (Path(__file__).parents[2] / "docs" / "distillers.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
KINDS = sorted(set(components.DISTILLERS) - {"none"})
GRID = (64, 32)


def table(section: str) -> dict[str, str]:
    """Return setting -> default, as written."""
    return dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", SECTIONS[section], re.MULTILINE))


def defaults(config: type[DistillerConfig]) -> dict[str, str]:
    made = config().model_dump(mode="json")
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in made.items()}


def test_the_shared_settings_are_those_of_the_base() -> None:
    shared = {name: field for name, field in DistillerConfig.model_fields.items() if name != "kind"}
    assert table("What all of them share") == {
        name: json.dumps(field.get_default()) for name, field in shared.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_table_holds_the_settings_there_are(kind: str) -> None:
    config: type[DistillerConfig] = components.resolve("distiller", kind).Config
    own = set(config.model_fields) - set(DistillerConfig.model_fields) | {"weight"}
    assert table(kind) == {name: value for name, value in defaults(config).items() if name in own}


@pytest.mark.parametrize("kind", KINDS)
def test_each_distiller_stands_in_its_family(kind: str) -> None:
    unpaired, slices = re.findall(r"^- \*\*.*$", SECTIONS["Two families"], re.MULTILINE)
    family = {"mammograms": unpaired, "slices": slices}
    seen = components.resolve("distiller", kind).teacher_sees
    assert [f"`{kind}`" in family[name] for name in ("mammograms", "slices")] == [
        seen == "mammograms",
        seen == "slices",
    ]


@pytest.fixture
def overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The page's own distiller as outside code, and the settings that name it."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (command,) = re.findall(r"```console\n\$ (.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "losses.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    words = shlex.split(command.replace("\\\n", " "))
    yield [after for word, after in pairwise(words) if word == "--set"]
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
        del sys.modules[name]


def test_the_example_runs_through_the_students_step(overrides: list[str]) -> None:
    torch.manual_seed(0)
    config = load_train_config("demo", overrides)
    assert isinstance(config.distill, DistillerConfig)
    assert config.distill.weight == 1.0
    student, teacher = build_detector(config), build_detector(config)
    made = components.resolve("distiller", config.distill.kind)
    distiller: Distiller = made(config.distill, student.level_specs, GRID)
    distiller.check(student, teacher)
    step = StudentStep(student, distiller, teacher).eval()
    images, mammograms = torch.rand(2, 1, *GRID), torch.rand(3, 1, *GRID)
    boxes = [torch.tensor([[4.0, 6.0, 18.0, 24.0]])]
    losses = step(StudentBatch(images, boxes * 2, mammograms, boxes * 3))
    total(losses).backward()

    means = []
    for detector, pictures in ((student, images), (teacher, mammograms)):
        with torch.no_grad():
            maps = detector.features(pictures).levels["p4"]
        vectors = [read_bilinear(one, boxes[0], GRID, 5).mean(dim=(0, 2)).numpy() for one in maps]
        means.append(np.mean(vectors, axis=0, dtype=np.float64))
    cosine = means[0] @ means[1] / np.sqrt((means[0] @ means[0]) * (means[1] @ means[1]))
    assert float(losses["distill/mine"].detach()) == pytest.approx(1 - cosine, abs=1e-5)
    assert all(p.grad is not None for p in distiller.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_the_example_refuses_what_any_distiller_refuses(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'distill\.level'"):
        load_train_config("demo", [*overrides, "distill.levle=p3"])
    config = load_train_config("demo", [*overrides, "distill.level=p9"])
    made = components.resolve("distiller", config.distill.kind)
    with pytest.raises(ConfigError, match="no level 'p9'"):
        made(config.distill, build_detector(config).level_specs, GRID)


def test_the_example_is_short() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
