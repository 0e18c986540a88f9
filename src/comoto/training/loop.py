"""The loop, top to bottom: what a researcher reads to know what a run does."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from comoto.config import TrainConfig
from comoto.detectors.about import About
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import save_checkpoint
from comoto.detectors.weights import DAMAGED
from comoto.errors import CheckpointError, ConfigError
from comoto.preprocessing.balance import SEEDS_APART
from comoto.progress import progress_bar, say
from comoto.training.average import TEACHER_SHARE, WeightAverages
from comoto.training.batch import Batch
from comoto.training.data import stream
from comoto.training.environment import Environment, continued, environment
from comoto.training.optimizer import Anchor, build_optimizer, rate_of, set_rates
from comoto.training.record import STATE, RunRecord, TrainingState
from comoto.training.steps import refuse_broken, total
from comoto.training.validate import Validator

RATIO = "distill/ratio"
_LEAST_RATIO, _LARGEST_RATIO = 0.01, 1.0


@dataclass(frozen=True)
class TrainingTask:
    """What is trained, on what, and how it is validated.

    Attributes:
        role: of the checkpoint.
        step: forward(batch) gives named losses; its detector is what is saved.
        groups: parameters and the peak of their learning rate, as ``optimizer.group`` makes them.
        make_batch: step -> what ``step`` takes, before it is expanded.
        steps_per_epoch: of the schedule.
        validator: measures the detector after an epoch and names the metric that chooses the checkpoint.
        before_epoch: finished epochs -> what the log shall say; may change what ``make_batch`` returns.
    """

    role: Literal["teacher", "student"]
    step: nn.Module
    detector: Detector
    groups: list[dict[str, Any]]
    make_batch: Callable[[int], Batch]
    steps_per_epoch: int
    validator: Validator
    before_epoch: Callable[[int], dict[str, float]] | None = None


def fit(
    fabric: Fabric,
    task: TrainingTask,
    config: TrainConfig,
    record: RunRecord,
    stop_after: int | None = None,
) -> TrainingState:
    """Train, validate, keep the best checkpoint by the validator's metric, and leave a state to resume from.

    Args:
        fabric: device and precision.
        task: see ``TrainingTask``.
        config: of the whole run; the schedule always runs over all its epochs.
        record: the run folder; if it holds a state, training continues from there.
        stop_after: stop after this epoch although the schedule goes on; the run can be resumed.

    Raises:
        ConfigError: a loss or a weight is not finite, or the run cannot go on here as it began.
        CheckpointError: the state to resume from is damaged.
    """
    epochs, validator, detector = config.schedule.epochs, task.validator, task.detector
    step, optimizer = fabric.setup(task.step, build_optimizer(task.groups, config.optimizer))
    anchor, averages = Anchor(detector, config.optimizer.anchor), WeightAverages(detector, config.average)
    state, here = _where_it_stands(record, config, fabric, step, optimizer, averages)
    last_epoch = min(epochs, stop_after or epochs)

    left = max(last_epoch - state.epoch, 0) * task.steps_per_epoch
    bar = progress_bar(f"train {task.role} on {fabric.device}", left)
    with bar as advance, _divergence_told(record.folder, state, config):
        for epoch in range(state.epoch, last_epoch):
            started, sums = time.monotonic(), defaultdict[str, list[Tensor]](list)
            torch.manual_seed(config.seed * SEEDS_APART + epoch)  # so that a resumed run draws the same
            values = task.before_epoch(epoch) if task.before_epoch else {}
            step.train()
            steps = range(epoch * task.steps_per_epoch, (epoch + 1) * task.steps_per_epoch)
            batches = stream(task.make_batch, steps, config.workers, pin=fabric.device.type == "cuda")
            for number, batch in zip(steps, batches, strict=True):
                set_rates(optimizer, number, epochs, task.steps_per_epoch, config.optimizer)
                losses = step(fabric.to_device(batch).expanded())
                optimizer.zero_grad()
                fabric.backward(total(losses))
                if config.optimizer.gradient_clip is not None:
                    fabric.clip_gradients(step, optimizer, max_norm=config.optimizer.gradient_clip)
                optimizer.step()
                anchor.pull(rate_of(optimizer))
                averages.follow(number)
                for key, loss in losses.items():
                    sums[key].append(loss.detach())
                advance(1)

            refuse_broken(step)
            values = epoch_means(sums) | values
            values |= {"train_seconds": time.monotonic() - started, "learning_rate": rate_of(optimizer)}
            state.epoch = epoch + 1
            if state.epoch % config.schedule.validate_every == 0 or state.epoch == epochs:
                step.eval()
                with averages.best(validator, partial(_run_over, fabric, step, task)) as metrics:
                    values |= {f"validation/{key}": value for key, value in metrics.items()}
                    if state.improves(metrics[validator.metric], metrics[validator.tie_break]):
                        save_checkpoint(
                            record.folder, detector, config, About(task.role, state.epoch, metrics)
                        )
            record.log(state.epoch, values)
            parts = {"step": step.state_dict(), "optimizer": optimizer.state_dict()}
            record.save_state(state, {**parts, **averages.state(), "environment": here.record()})
            _report(task, state, values)
    return state


def _where_it_stands(
    record: RunRecord,
    config: TrainConfig,
    fabric: Fabric,
    step: nn.Module,
    optimizer: torch.optim.Optimizer,
    averages: WeightAverages,
) -> tuple[TrainingState, Environment]:
    """Take up the state of the run folder, if there is one, and return it and where the run computes.

    Raises:
        CheckpointError, ConfigError: the state is damaged, or does not go on here.
    """
    if not record.can_resume:
        return TrainingState(), environment(config, fabric.device)
    state, saved = record.load_state(fabric.device)
    here = continued(saved.get("environment"), config, fabric.device)
    try:
        step.load_state_dict(saved["step"])
        optimizer.load_state_dict(saved["optimizer"])
        averages.load(saved)
    except DAMAGED as error:
        raise CheckpointError(
            f"{record.folder / STATE}: cannot be resumed from: was written by another version of comoto; "
            "resume with that one, or start a new run in another --out"
        ) from error
    return state, here


def _run_over(fabric: Fabric, step: nn.Module, task: TrainingTask, batches: int) -> None:
    """Run the network over the first training batches of the run, and learn nothing from them."""
    for number in range(batches):
        step(fabric.to_device(task.make_batch(number)).without_distillation().expanded())


@contextmanager
def _divergence_told(folder: Path, state: TrainingState, config: TrainConfig) -> Iterator[None]:
    """Turn numbers that are not finite into an error with the way out; the last state is kept."""
    try:
        yield
    except FloatingPointError as error:
        rate, start = config.optimizer.learning_rate, ""
        if state.best_epoch:
            start = f"; --init-from {folder} starts from the best weights so far"
        raise ConfigError(
            f"{folder}: the training diverged in epoch {state.epoch + 1}: {error}. What epoch {state.epoch} "
            f"left is kept. Train into another --out with a lower optimizer.learning_rate (now {rate:g}), "
            f"or with precision=32-true (now {config.precision}){start}"
        ) from error


def epoch_means(losses: Mapping[str, list[Tensor]]) -> dict[str, float]:
    """Return the mean of each loss over the steps that had it, and distillation over detection.

    Args:
        losses: key -> scalars.

    Returns:
        One number a key, and ``distill/ratio`` if there was distillation: the sum of its losses over all
        steps, divided by the sum of the detection losses.
    """
    columns = {key: torch.stack(each) for key, each in losses.items()}
    values = {key: float(column.mean()) for key, column in columns.items()}
    sums = {key: float(column.sum()) for key, column in columns.items()}
    told = [value for key, value in sums.items() if key.startswith("distill/")]
    seen = sum(value for key, value in sums.items() if key.startswith("detection/"))
    if told and seen > 0:
        values[RATIO] = sum(told) / seen
    return values


def ratio_warning(values: Mapping[str, float]) -> str | None:
    """Return a line if the distillation drowns detection or is drowned by it."""
    ratio = values.get(RATIO)
    if ratio is None or _LEAST_RATIO <= ratio <= _LARGEST_RATIO:
        return None
    way = "lower" if ratio > _LARGEST_RATIO else "raise"
    return f"warning: the distillation loss is {ratio:.3g} times the detection loss; {way} distill.weight"


def _report(task: TrainingTask, state: TrainingState, values: Mapping[str, float]) -> None:
    prefixes = ("detection/", "impa/", "distill/", "mammograms/")
    loss = sum(value for key, value in values.items() if key.startswith(prefixes) and key != RATIO)
    metric, name = values.get(f"validation/{task.validator.metric}"), task.validator.metric
    validated = "" if metric is None else f", {name} {metric:.3f} (best {state.best_value:.3f})"
    share = values.get(f"validation/{TEACHER_SHARE}")
    validated += "" if share is None else f", share of the first weights {share:g}"
    say(f"{task.role} epoch {state.epoch}: loss {loss:.3f}{validated}")
    warning = ratio_warning(values)
    if warning is not None:
        say(f"{task.role} epoch {state.epoch}: {warning}")
