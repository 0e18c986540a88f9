"""The optimizers and the course of the learning rate, by hand."""

import pytest
import torch
from torch import nn

from comoto.config import OptimizerConfig
from comoto.training.optimizer import Anchor, build_optimizer, group, rate_factor, set_rates


def stepped(config: OptimizerConfig, gradients: list[float]) -> list[float]:
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = build_optimizer([group([weight], config.learning_rate)], config)
    values = []
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        values.append(float(weight.detach()))
    return values


def test_sgd_with_momentum_and_weight_decay_by_hand() -> None:
    # g = 2 + 0.5 * 1 = 2.5, v = 2.5, w = 1 - 0.1 * 2.5 = 0.75; then g = 1 + 0.5 * 0.75 = 1.375,
    # v = 0.9 * 2.5 + 1.375 = 3.625, w = 0.75 - 0.3625 = 0.3875.
    config = OptimizerConfig(kind="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.5)
    assert stepped(config, [2.0, 1.0]) == pytest.approx([0.75, 0.3875])


def test_adamw_takes_no_momentum_and_moves_by_its_rate() -> None:
    # The first step of AdamW is the rate times the sign of the gradient, after the decay of the weight.
    config = OptimizerConfig(kind="adamw", learning_rate=0.1, weight_decay=0.5)
    assert stepped(config, [3.0]) == pytest.approx([1 * (1 - 0.1 * 0.5) - 0.1])


def test_the_published_course_is_two_plateaus() -> None:
    config = OptimizerConfig(
        learning_rate=5e-5, decay="step", decay_epochs=30, decay_factor=0.1, warmup_share=0
    )
    factors = [rate_factor(step, 50, 7, config) for step in range(350)]
    assert factors[: 30 * 7] == [1.0] * 210
    assert factors[30 * 7 :] == pytest.approx([0.1] * 140)
    assert rate_factor(60 * 7, 90, 7, config) == pytest.approx(0.01)


def test_a_warm_up_comes_before_the_steps() -> None:
    config = OptimizerConfig(decay="step", decay_epochs=2, decay_factor=0.5, warmup_share=0.25)
    factors = [rate_factor(step, 4, 4, config) for step in range(16)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0] + [1.0] * 4 + [0.5] * 8)


def test_without_warm_up_the_cosine_starts_at_its_top() -> None:
    config = OptimizerConfig(warmup_share=0)
    assert rate_factor(0, 10, 10, config) == 1.0
    assert rate_factor(50, 10, 10, config) == pytest.approx(0.01 + 0.99 / 2)


def test_each_group_keeps_its_own_peak() -> None:
    config = OptimizerConfig(kind="sgd", decay="step", decay_epochs=1, decay_factor=0.1, warmup_share=0)
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = build_optimizer([group(weights[:1], 1e-2), group(weights[1:], 3e-4)], config)
    set_rates(optimizer, 5, 4, 5, config)
    assert [one["lr"] for one in optimizer.param_groups] == pytest.approx([1e-3, 3e-5])


def test_an_anchor_takes_a_step_of_the_way_back() -> None:
    module = nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(1.0)
        anchor = Anchor(module, 2.0)
        module.weight.fill_(3.0)
    anchor.pull(0.1)
    assert float(module.weight.detach()) == pytest.approx(3 - 0.1 * 2 * (3 - 1))
    Anchor(module, 0.0).pull(0.1)
    assert float(module.weight.detach()) == pytest.approx(2.6)
