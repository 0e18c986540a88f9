"""The loop, top to bottom: what a researcher reads to know what a run does."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from comoto.config import OptimizerConfig, TrainConfig
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import About, save_checkpoint
from comoto.progress import progress_bar, say
from comoto.training.data import Batch, stream
from comoto.training.record import RunRecord, State
from comoto.training.steps import total


def group(parameters: Iterable[nn.Parameter], peak: float) -> dict[str, Any]:
    """Return a parameter group of the optimizer with the peak of its learning rate."""
    return {"params": list(parameters), "lr": peak, "peak": peak}


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and how it is judged.

    Attributes:
        role: of the checkpoint.
        step: forward(*batch) gives named losses; its detector is what is saved.
        groups: parameters and the peak of their learning rate, as ``group`` makes them.
        make_batch: step -> the arguments of ``step``.
        validate: returns metrics.
        metric: names the one that chooses the checkpoint.
        tie_break: names the one that decides between equal values of ``metric``.
    """

    role: Literal["teacher", "student"]
    step: nn.Module
    detector: Detector
    groups: list[dict[str, Any]]
    make_batch: Callable[[int], Batch]
    validate: Callable[[], dict[str, float]]
    metric: str
    tie_break: str


def fit(
    fabric: Fabric,
    task: Task,
    config: TrainConfig,
    record: RunRecord,
    stop_after: int | None = None,
) -> State:
    """Train, validate, keep the best checkpoint by the reported metric, and leave a state to resume from.

    Args:
        fabric: device and precision.
        task: see ``Task``.
        config: of the whole run; the schedule always runs over all its epochs.
        record: the run folder; if it holds a state, training continues from there.
        stop_after: stop after this epoch although the schedule goes on; the run can be resumed.

    Raises:
        FloatingPointError: a loss is not finite.
        CheckpointError: the state to resume from is damaged.
    """
    schedule, steps_per_epoch = config.schedule, config.schedule.steps_per_epoch or 1
    optimizer = torch.optim.AdamW(task.groups, weight_decay=config.optimizer.weight_decay)
    step, optimizer = fabric.setup(task.step, optimizer)
    state = State()
    if record.can_resume:
        state, tensors = record.load_state(fabric.device)
        step.load_state_dict(tensors["step"])
        optimizer.load_state_dict(tensors["optimizer"])
    last_epoch = min(schedule.epochs, stop_after or schedule.epochs)
    left = max(last_epoch - state.epoch, 0) * steps_per_epoch

    with progress_bar(f"train {task.role} on {fabric.device}", left) as advance:
        for epoch in range(state.epoch, last_epoch):
            started, sums = time.monotonic(), defaultdict[str, list[Tensor]](list)
            steps = range(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch)
            step.train()
            batches = stream(task.make_batch, steps, config.workers, pin=fabric.device.type == "cuda")
            for number, batch in zip(steps, batches, strict=True):
                set_rates(optimizer, number, schedule.epochs * steps_per_epoch, config.optimizer)
                losses = step(*fabric.to_device(batch))
                optimizer.zero_grad()
                fabric.backward(total(losses))
                if config.optimizer.gradient_clip is not None:
                    fabric.clip_gradients(step, optimizer, max_norm=config.optimizer.gradient_clip)
                optimizer.step()
                for key, loss in losses.items():
                    sums[key].append(loss.detach())
                advance(1)

            values = {key: float(torch.stack(each).mean()) for key, each in sums.items()}
            values["learning_rate"] = optimizer.param_groups[0]["lr"]
            values["train_seconds"] = time.monotonic() - started
            state.epoch = epoch + 1
            if state.epoch % schedule.validate_every == 0 or state.epoch == schedule.epochs:
                step.eval()
                metrics = task.validate()
                values |= {f"validation/{key}": value for key, value in metrics.items()}
                if state.improves(metrics[task.metric], metrics[task.tie_break]):
                    save_checkpoint(
                        record.folder, task.detector, config, About(task.role, state.epoch, metrics)
                    )
            record.log(state.epoch, values)
            record.save_state(state, {"step": step.state_dict(), "optimizer": optimizer.state_dict()})
            say(_line(task, state, values))
    record.close()
    return state


def set_rates(optimizer: torch.optim.Optimizer, step: int, steps: int, config: OptimizerConfig) -> None:
    """Set each group's learning rate for a step; a group keeps its peak under ``peak``."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * rate_factor(step, steps, config)


def rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """Return the factor on the learning rate: linear warm-up, then half a cosine down to 1 %."""
    warm = max(1, round(config.warmup_share * steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


def _line(task: Task, state: State, values: dict[str, float]) -> str:
    losses = sum(
        value for key, value in values.items() if key.startswith(("detection/", "impa/", "distill/"))
    )
    metric = values.get(f"validation/{task.metric}")
    judged = "" if metric is None else f", {task.metric} {metric:.3f} (best {state.best_value:.3f})"
    return f"{task.role} epoch {state.epoch}: loss {losses:.3f}{judged}"
