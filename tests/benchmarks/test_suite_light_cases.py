"""The light cases of the benchmark suite run, both sides agree, and the table holds what was measured.

No time is asserted. The suite's own verdict on equality is not trusted alone: the loops it compares with are
run here again on tables of another seed.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from comoto.config import AggregationConfig
from comoto.detections import Detections
from comoto.evaluation.challenge import challenge_metric
from comoto.inference.aggregate import aggregate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LIGHT = ("challenge_metric", "volume_suppression")


@pytest.fixture
def cases() -> Iterator[SimpleNamespace]:
    """The modules of the suite; the folder is on the path for as long as the test runs."""
    sys.path.insert(0, str(BENCHMARKS))
    names = (*LIGHT, "metric_by_rows", "suppression_by_loops", "harness", "table")
    try:
        yield SimpleNamespace(**{name: importlib.import_module(f"cases.{name}") for name in names})
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in [name for name in sys.modules if name == "cases" or name.startswith("cases.")]:
            del sys.modules[name]


def run_suite(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "run_all.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)


@pytest.mark.slow
def test_quick_run_writes_equal_results_and_keeps_other_cases(tmp_path):
    for name in LIGHT:
        done = run_suite("--quick", "--case", name, "--out", str(tmp_path))
        assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "performance.json").read_text())
    assert list(content["cases"]) == list(LIGHT)
    rows = [row for case in content["cases"].values() for row in case["rows"]]
    assert len(rows) == 6
    assert all(row["same"] for row in rows)
    assert rows[0]["equal"] == "equal to the last digit"
    page = (tmp_path / "performance.md").read_text()
    assert all(f"| {row['what']} |" in page for row in rows)
    assert str(tmp_path) not in page


def test_quick_times_never_get_into_the_docs():
    done = run_suite("--quick", "--case", "challenge_metric")
    assert done.returncode == 2
    assert "--out" in done.stdout


def test_rows_one_by_one_give_the_metric(cases):
    predictions, labels, boxes = cases.challenge_metric.make_tables(150, 24)
    predictions["Score"] = predictions["Score"].round(1)  # ties
    predictions = predictions.sample(frac=1, random_state=5)
    expected = cases.metric_by_rows.metric_by_rows(predictions, labels, boxes)
    found = challenge_metric(predictions, labels, boxes)
    assert found.keys() == expected.keys()
    assert max(abs(found[name] - expected[name]) for name in expected) <= 1e-12
    assert 0 < expected["mean_sensitivity_positive"] < 1


@pytest.mark.parametrize("window_share", [0.1, 1.0])
def test_loops_keep_the_same_boxes(cases, window_share):
    generator = np.random.default_rng(8)
    slices = {}
    for index in range(14):
        number = int(generator.integers(0, 9))
        low = generator.uniform(0, 60, (number, 2))
        boxes = np.hstack([low, low + generator.uniform(5, 40, (number, 2))]).astype(np.float32)
        slices[index] = Detections(boxes, np.round(generator.random(number), 1), space="grid")
    tensors = [(torch.from_numpy(one.boxes_xyxy), torch.from_numpy(one.scores)) for one in slices.values()]
    loops = cases.suppression_by_loops
    config = AggregationConfig(kind="local_maximum", window_share=window_share, border_slices=2)
    found = aggregate(slices, 14, config)
    expected = loops.local_maximum(tensors, 2, 0.5, window_share, 0.001)
    ours = zip(found.scores.tolist(), found.first_slice.tolist(), found.boxes_xyxy.tolist(), strict=True)
    assert sorted(ours) == sorted(expected)
    assert len(expected) > 3


def test_a_result_that_differs_never_meets_its_target(cases):
    row = cases.harness.Row("size", "target", None, same=False)
    assert cases.harness.judged(row, True).met is False


def test_sides_take_turns_and_the_slow_one_stops_early(cases):
    order: list[str] = []
    sides = {
        name: cases.harness.Side(lambda name=name: order.append(name), most=most)
        for name, most in (("common", 1), ("ours", 3))
    }
    cases.harness.in_turns(sides, minutes=1)
    assert order == ["common", "ours", "ours", "ours"]
    assert sides["ours"].times.rounds == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.005524, "0.00552"), (1.236, "1.24"), (12.34, "12.3"), (987.6, "988"), (1234.5, "1,234"), (0.0, "0")],
)
def test_three_digits_that_count(cases, value, text):
    assert cases.table.significant(value) == text


def test_page_without_marks_is_refused(cases, tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n")
    with pytest.raises(ValueError, match="begin"):
        cases.table.write_page(page, {"cases": {}}, ())
    assert page.read_text() == "# Performance\n"
