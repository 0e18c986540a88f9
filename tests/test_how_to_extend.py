"""The worked examples of docs/how-to, as they stand: a detector and a slice-to-volume rule."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from comoto import components
from comoto.config import AggregationConfig, load_train_config
from comoto.detections import Detections
from comoto.detectors.checkpoint import build_detector
from comoto.inference.aggregate import aggregate

PAGES = Path(__file__).parents[1] / "docs" / "how-to"


@pytest.fixture
def my_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package that the pages tell to write."""
    (tmp_path / "my_lab").mkdir()
    for page, name in (("add-detector.md", "centers.py"), ("add-aggregation.md", "rules.py")):
        (code,) = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)
        (tmp_path / "my_lab" / name).write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with components.own_permissions():
        components.allow_code("my_lab")
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
        del sys.modules[name]


def slice_of(*scored: tuple[float, float]) -> Detections:
    """Boxes of 10 x 10 pixels at x = 0, 20, ... with these scores; a pair is (x, score)."""
    boxes = np.asarray([(x, 0, x + 10, 10) for x, _ in scored], dtype=np.float32).reshape(-1, 4)
    return Detections(boxes, [score for _, score in scored], space="grid")


@pytest.mark.usefixtures("my_lab")
def test_the_rule_keeps_the_slice_with_the_largest_sum() -> None:
    config = AggregationConfig(kind="my_lab.rules:LoudestSlice")
    slices = {3: slice_of((0, 0.9)), 5: slice_of((0, 0.5), (20, 0.6)), 7: slice_of()}
    found = aggregate(slices, 10, config)
    np.testing.assert_array_equal(found.first_slice, [5, 5])
    np.testing.assert_array_equal(found.num_spanned, [0, 0])
    np.testing.assert_allclose(found.scores, [0.6, 0.5])
    assert len(aggregate({3: slice_of()}, 10, config)) == 0
    assert len(aggregate({3: slice_of((0, 0.2))}, 10, config.model_copy(update={"min_score": 0.3}))) == 0


@pytest.mark.usefixtures("my_lab")
def test_the_detector_learns_one_picture_and_takes_images_without_lesions() -> None:
    torch.manual_seed(0)
    settings = ["detector.kind=my_lab.centers:CenterDetector", "detector.channels=16"]
    detector = build_detector(load_train_config("demo", settings, role="teacher"))
    image = torch.rand(1, 1, 64, 64) * 0.2
    image[..., 20:44, 12:36] = 1.0
    box = torch.tensor([[12.0, 20.0, 36.0, 44.0]])
    optimizer = torch.optim.AdamW(detector.parameters(), lr=5e-3)
    for _ in range(80):
        losses = detector.losses(detector.features(image.repeat(2, 1, 1, 1)), [box, box])
        optimizer.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        optimizer.step()
    with torch.no_grad():
        (best,) = detector.predict(detector.features(image))
        empty = detector.losses(detector.features(image), [torch.zeros(0, 4)])
    assert float(best.scores[0]) > 0.5
    assert torch.allclose(best.boxes_xyxy[0], box[0], atol=5.0)
    assert bool((best.boxes_xyxy >= 0).all())
    assert bool((best.boxes_xyxy <= 64).all())
    assert float(empty["detection/size"]) == 0.0
    assert float(empty["detection/center"]) > 0.0
