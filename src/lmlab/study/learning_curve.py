"""The learning curve of one run, drawn from its run folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lmlab.run_folder import RunFolder
from lmlab.study.figure_style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    label_sparsely,
    new_figure,
    save,
)


def draw_learning_curve(run_folder: Path) -> list[Path]:
    """Draw :func:`make_figure` and save it to the run folder.

    Returns:
        Paths of ``learning_curve.png`` and ``learning_curve.svg``; the same rows give the same
        bytes. Empty if the run has not recorded any loss yet.
    """
    figure = make_figure(run_folder)
    return [] if figure is None else save(figure, Path(run_folder) / "learning_curve")


def make_figure(run_folder: Path) -> Figure | None:
    """Plot training and validation loss against tokens.

    A dashed line marks the entropy of the validation text where it is known. The loss axis is
    logarithmic, so that late improvements remain visible beside the drop at the start.

    Args:
        run_folder: folder with ``metrics.jsonl``, ``meta.json`` and ``status.json``.

    Returns:
        The figure; None if the run has not recorded any loss yet.
    """
    run = RunFolder(Path(run_folder))
    train = [row for row in run.rows("train") if {"tokens", "loss"} <= row.keys()]
    valid = [row for row in run.evaluations() if "tokens" in row]
    if not train and not valid:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    axes.set_yscale("log")
    unit, scale = _token_unit(max(row["tokens"] for row in [*train, *valid]))
    _draw_losses(axes, train, valid, scale)
    floor = run.meta().get("floor")
    if floor:
        nats = floor["nats_per_token"]
        axes.axhline(nats, color=GREEN, linestyle="--", linewidth=1.3)
        axes.annotate(
            f"entropy of the validation text: {nats:.3f}", (0.01, nats), color=GREEN, fontsize=8,
            va="top",
            xycoords=("axes fraction", "data"), xytext=(0, -4), textcoords="offset points",
        )  # fmt: skip
    _set_loss_range(axes, train, valid, floor)
    axes.set_xlabel(f"training tokens{unit}")
    axes.set_ylabel("loss (nats per token)")
    _add_bits_axis(axes, valid)
    _add_title(axes, run)
    axes.grid(alpha=0.25, linewidth=0.6, which="both")
    axes.spines[["top"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    return figure


def _add_title(axes: Axes, run: RunFolder) -> None:
    name, status = "/".join(run.path.resolve().parts[-3:]), run.status()
    state = status.get("status", "done")
    suffix = "" if state == "done" else f" ({state} at step {status.get('step', 0):,})"
    # Names of arms may be long; the seed is at the end.
    name = name if len(name) <= 80 else f"...{name[-77:]}"
    axes.set_title(name + suffix, loc="left", fontsize=11)


def _token_unit(max_tokens: int) -> tuple[str, float]:
    for unit, scale in ((" (billions)", 1e9), (" (millions)", 1e6), (" (thousands)", 1e3)):
        if max_tokens >= 2 * scale:
            return unit, scale
    return "", 1.0


def _draw_losses(
    axes: Axes, train: list[dict[str, Any]], valid: list[dict[str, Any]], scale: float
) -> None:
    tokens = [row["tokens"] / scale for row in train]
    losses = [row["loss"] for row in train]
    if len(train) > 60:
        axes.plot(tokens, losses, color=BLUE, alpha=0.25, linewidth=0.8)
        axes.plot(tokens, _smooth(losses), color=BLUE, linewidth=1.5, label="training, smoothed")
    elif train:
        axes.plot(tokens, losses, color=BLUE, linewidth=1.3, label="training")
    if not valid:
        return
    tokens = [row["tokens"] / scale for row in valid]
    losses = [row["loss"] for row in valid]
    axes.plot(tokens, losses, color=ORANGE, marker="o", markersize=4, label="validation")
    if math.isfinite(losses[-1]):
        axes.annotate(
            f"{losses[-1]:.3f}", (tokens[-1], losses[-1]), xytext=(-4, 7), ha="right",
            textcoords="offset points", color=ORANGE, fontsize=10, fontweight="bold",
        )  # fmt: skip


def _smooth(values: list[float], keep: float = 0.9) -> list[float]:
    """Exponential moving average with bias correction; values that are not finite are skipped."""
    smoothed, total, weight = [], 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            total, weight = keep * total + (1 - keep) * value, keep * weight + 1 - keep
        smoothed.append(total / weight if weight else math.nan)
    return smoothed


def _set_loss_range(
    axes: Axes,
    train: list[dict[str, Any]],
    valid: list[dict[str, Any]],
    floor: dict[str, Any] | None,
) -> None:
    """Show the range from below the entropy to the first loss; a diverging curve is cut off."""
    losses = [row["loss"] for row in [*train, *valid] if 0 < row["loss"] < math.inf]
    if not losses:
        return
    first = valid[0]["loss"] if valid else math.nan
    top = first if 0 < first < math.inf else max(losses)
    bottom = min([*losses, *([floor["nats_per_token"]] if floor else [])])
    margin = max(top / bottom, 1.2) ** 0.08
    axes.set_ylim(bottom / margin**1.5, top * margin)
    label_sparsely(axes.yaxis)


def _add_bits_axis(axes: Axes, valid: list[dict[str, Any]]) -> None:
    """Add bits per byte on the right, at the validation text's ratio of tokens to bytes."""
    measured = [
        row for row in valid if row["loss"] and math.isfinite(row.get("bits_per_byte", math.nan))
    ]
    if not measured:
        return
    ratio = measured[-1]["bits_per_byte"] / measured[-1]["loss"]
    right = axes.secondary_yaxis(
        "right", functions=(lambda nats: nats * ratio, lambda bits: bits / ratio)
    )
    right.set_ylabel("bits per byte")
    label_sparsely(right.yaxis)
    right.tick_params(colors=GREY)
