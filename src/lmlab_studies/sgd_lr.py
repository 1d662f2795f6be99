"""What too large a learning rate does to plain gradient descent, on a loss that can be solved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lmlab.demos import Demo, Section
from lmlab.study.figure_style import add_grid, line_style, new_figure

_SHAPE, _SCALE = (10, 10), 5.0


def sgd_lr(*, config: Any, lrs: list[float], steps: int) -> Demo:
    """Gradient descent on the mean square of 100 weights, at rate lr / sqrt(t + 1) in step t.

    The gradient of the mean square of n weights is 2 w / n, so step t multiplies every weight by
    1 - 2 lr / (n sqrt(t + 1)), which tells every loss beforehand.

    Args:
        config: the run's; its seed is used.
        lrs: rates to compare.
        steps: updates at each.
    """
    losses = {lr: measure(lr, steps, config.seed) for lr in lrs}
    off = max(
        abs(found - expected) / max(abs(expected), 1e-30)
        for lr in lrs
        for found, expected in zip(losses[lr], predict(losses[lr][0], lr, steps), strict=True)
        if math.isfinite(expected) and expected > 1e-12
    )
    rows = [[str(step), *(f"{losses[lr][step]:.4g}" for lr in lrs)] for step in range(steps + 1)]
    return Demo(
        title="sgd_lr",
        question="What do rates of 10, 100 and 1,000 do to gradient descent on a bowl?",
        sections=[
            Section("Loss by step", columns=["step", *(f"lr {lr:g}" for lr in lrs)], rows=rows,
                    figure=("losses", _draw(losses))),
            Section("Why", text=[*(_told(lr, losses[lr]) for lr in lrs),
                f"Step t multiplies every weight by 1 - 2 lr / (100 sqrt(t + 1)). Losses computed "
                f"from that agree with the measured ones to a relative difference of {off:.1e}."]),
        ],
        limits=["A bowl has one curvature; a network has many, and they change as it trains."],
    )  # fmt: skip


def measure(lr: float, steps: int, seed: int) -> list[float]:
    """Losses before each update and after the last, by torch's own gradients."""
    chance = torch.Generator().manual_seed(seed)
    weights = (_SCALE * torch.randn(_SHAPE, generator=chance)).requires_grad_()
    losses = []
    for step in range(steps + 1):
        loss = (weights**2).mean()
        losses.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights -= lr / math.sqrt(step + 1) * gradient
    return losses


def predict(first_loss: float, lr: float, steps: int) -> list[float]:
    """The same losses from the factor of each step."""
    losses = [first_loss]
    for step in range(steps):
        losses.append(losses[-1] * factor(lr, step) ** 2)
    return losses


def factor(lr: float, step: int) -> float:
    """What update number ``step`` (from 0) multiplies every weight by."""
    return 1 - 2 * lr / (math.prod(_SHAPE) * math.sqrt(step + 1))


def _told(lr: float, losses: Sequence[float]) -> str:
    first, second = factor(lr, 0), factor(lr, 1)
    trend = "diverges" if losses[-1] > losses[0] else "converges"
    return (
        f"lr {lr:g} {trend}: from {losses[0]:.4g} to {losses[-1]:.4g}; the first two updates "
        f"multiply the weights by {first:.3g} and {second:.3g}."
    )


def _draw(losses: dict[float, list[float]]) -> Any:
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    for index, (lr, values) in enumerate(losses.items()):
        shown = [(step, loss) for step, loss in enumerate(values) if loss > 1e-20]
        steps, kept = zip(*shown, strict=True)
        axes.plot(steps, kept, marker="o", markersize=4, label=f"lr {lr:g}", **line_style(index))
    axes.set_yscale("log")
    axes.set_xlabel("updates")
    axes.set_ylabel("mean square of the weights")
    axes.legend(frameon=False)
    add_grid(axes)
    return figure
