"""Gradient descent with too large a learning rate, on a quadratic with a closed-form solution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lmlab.demos import Demo, Section
from lmlab.study.figure_style import add_grid, line_style, new_figure

_SHAPE, _SCALE = (10, 10), 5.0


def sgd_lr(*, config: Any, lrs: list[float], steps: int) -> Demo:
    """Minimize the mean square of 100 weights with the rate lr / sqrt(t + 1) in step t.

    The gradient of the mean square of n weights is 2 w / n, so step t multiplies every weight by
    1 - 2 lr / (n sqrt(t + 1)), which predicts every loss.

    Args:
        config: the configuration, whose seed is used.
        lrs: learning rates to compare.
        steps: updates per learning rate.
    """
    losses = {lr: measure(lr, steps, config.seed) for lr in lrs}
    max_error = max(
        abs(measured - expected) / max(abs(expected), 1e-30)
        for lr in lrs
        for measured, expected in zip(losses[lr], predict(losses[lr][0], lr, steps), strict=True)
        if math.isfinite(expected) and expected > 1e-12
    )
    rows = [[str(step), *(f"{losses[lr][step]:.4g}" for lr in lrs)] for step in range(steps + 1)]
    return Demo(
        title="sgd_lr",
        question="How does gradient descent on a quadratic behave at rates of 10, 100 and 1,000?",
        sections=[
            Section("Loss by step", columns=["step", *(f"lr {lr:g}" for lr in lrs)], rows=rows,
                    figure=("losses", _draw(losses))),
            Section("Why", text=[*(_describe(lr, losses[lr]) for lr in lrs),
                f"Step t multiplies every weight by 1 - 2 lr / (100 sqrt(t + 1)). Losses computed "
                f"from this factor agree with the measured ones to a relative difference of "
                f"{max_error:.1e}."]),
        ],
        limits=["A quadratic has one curvature. A network has many, and they change in training."],
    )  # fmt: skip


def measure(lr: float, steps: int, seed: int) -> list[float]:
    """Measure the losses before each update and after the last, with torch's gradients."""
    generator = torch.Generator().manual_seed(seed)
    weights = (_SCALE * torch.randn(_SHAPE, generator=generator)).requires_grad_()
    losses = []
    for step in range(steps + 1):
        loss = (weights**2).mean()
        losses.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights -= lr / math.sqrt(step + 1) * gradient
    return losses


def predict(first_loss: float, lr: float, steps: int) -> list[float]:
    """Predict the same losses from the factor of each step."""
    losses = [first_loss]
    for step in range(steps):
        losses.append(losses[-1] * factor(lr, step) ** 2)
    return losses


def factor(lr: float, step: int) -> float:
    """Return the factor by which update ``step`` (from 0) multiplies every weight."""
    return 1 - 2 * lr / (math.prod(_SHAPE) * math.sqrt(step + 1))


def _describe(lr: float, losses: Sequence[float]) -> str:
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
        positive = [(step, loss) for step, loss in enumerate(values) if loss > 1e-20]
        steps, positive_losses = zip(*positive, strict=True)
        axes.plot(
            steps,
            positive_losses,
            markersize=4,
            label=f"lr {lr:g}",
            **line_style(index),
        )
    axes.set_yscale("log")
    axes.set_xlabel("updates")
    axes.set_ylabel("mean square of the weights")
    axes.legend(frameon=False)
    add_grid(axes)
    return figure
