"""What share of the training the network waits for its input, with the default preset's batches and step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from cases.harness import Options, Row
from cases.networks import DEFAULT, build, settings, train_once
from comoto import api
from comoto.config import TrainConfig, override
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.store import PreparedStore
from comoto.simulation import simulate, sized
from comoto.training.cohorts import choose_cohort
from comoto.training.data import stream
from comoto.training.memory import kept_memory
from comoto.training.student import StudentBatches, distiller_settings, mammogram_samplers

ABOUT = "training input, default preset"
LEAST_SHARE = 0.98
CORES, WORKERS = 2, (0, 2)


def run(options: Options) -> list[Row]:
    torch.set_num_threads(1 if options.quick else CORES)
    network = build(DEFAULT, quick=options.quick)
    step = network.step(teacher_head=False)
    steps = 2 if options.quick else 12
    rows = []
    with tempfile.TemporaryDirectory() as name, kept_memory():  # as in training
        config = network.config
        make = batches_of(config, *stores(Path(name), DEFAULT, quick=options.quick))
        for workers in WORKERS:
            waited, ran = [], []
            batches = stream(make, range(steps + 1), workers, pin=False)
            for _ in range(steps + 1):
                begun = time.perf_counter()
                batch = next(batches)
                got = time.perf_counter()
                train_once(step, batch.expanded(), network)
                waited.append(got - begun)
                ran.append(time.perf_counter() - got)
            share = sum(ran[1:]) / (sum(ran[1:]) + sum(waited[1:]))
            rows.append(
                Row(
                    f"batches of {config.batch.size} slices and {config.joint.size} mammograms, "
                    f"`workers={workers}`",
                    f"network busy at least {100 * LEAST_SHARE:.0f} % on {CORES} cores",
                    share >= LEAST_SHARE,
                    figure=f"busy {100 * share:.2f} %; a step {median(ran[1:]):.3f} s, "
                    f"its batch {1e3 * median(waited[1:]):.1f} ms",
                )
            )
    return rows


def batches_of(
    config: TrainConfig, slices: PreparedStore, mammograms: PreparedStore
) -> Callable[[int], tuple[Any, ...]]:
    """Return what makes the parts of the batch of a step: what a student's training uses."""
    own = SliceBatches(slices, slices.image_ids, config.batch, config.augment, 0)
    cohort = choose_cohort(mammograms, config.data, 1.0, 0)
    lesions, joint = mammogram_samplers(config, [cohort], for_distiller=False)
    return StudentBatches(own, lesions, joint, None, distiller_settings(config), steps_per_epoch=1)


def stores(folder: Path, preset: str, *, quick: bool) -> tuple[PreparedStore, PreparedStore]:
    """Simulate a few patients and prepare them with a preset: tomosynthesis, mammograms."""
    wanted = [
        "mammography.training_patients=4",
        "mammography.test_patients=0",
        "mammography.lesion_share=0.5",
        "tomosynthesis.train_patients=3",
        "tomosynthesis.validation_patients=0",
        "tomosynthesis.test_patients=0",
        "tomosynthesis.lesion_share=0.67",
    ]
    size = "tiny" if quick else "small"
    paths = simulate(folder / "exams", override(sized(size), wanted), workers=1)
    config = settings(preset, quick=quick).preprocess
    grid = [f"preprocess.rows={config.rows}", f"preprocess.columns={config.columns}"]
    made = []
    for name, root in (("bcs-dbt", paths.bcs_dbt), ("vindr-mammo", paths.vindr_mammo)):
        api.prepare(api.index(name, root), folder / name, preset=preset, overrides=grid, workers=1)
        made.append(PreparedStore(folder / name))
    return made[0], made[1]
