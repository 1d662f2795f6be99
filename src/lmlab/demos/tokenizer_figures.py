"""The figures of the tokenizer study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lmlab.demos import tokenizer_measures as measures
from lmlab.demos.tokenizer_job import TokenizerResult
from lmlab.demos.tokenizer_measures import Estimate
from lmlab.study.figure_style import COLOURS, add_grid, line_style, new_figure
from lmlab.tokenizer import Tokenizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_SHOWN = 16


def compression(compression: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Plot bytes per token with intervals, one colour per encoded text."""
    figure = new_figure(7.5, 0.9 + 0.55 * len(compression))
    axes = figure.add_subplot()
    labels = list(compression)
    texts = list(compression[labels[0]])
    for index, text in enumerate(texts):
        estimates = [compression[label][text] for label in labels]
        values = [estimate.value for estimate in estimates]
        positions = np.arange(len(labels)) + 0.12 * (2 * index - len(texts) + 1)
        errors = [[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]]
        axes.errorbar(values, positions, xerr=errors, fmt="o", capsize=3,
                      color=COLOURS[index % len(COLOURS)], label=f"on {text}")  # fmt: skip
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("bytes per token (95% interval over documents)")
    axes.legend(frameon=False)
    add_grid(axes)
    return figure


def phases(outcomes: Mapping[str, TokenizerResult]) -> Figure:
    """Plot the seconds of each phase, one bar per tokenizer."""
    figure = new_figure(7.5, 0.9 + 0.5 * len(outcomes))
    axes = figure.add_subplot()
    labels = list(outcomes)
    left = np.zeros(len(labels))
    for index, phase in enumerate(outcomes[labels[0]].phases):
        seconds = np.array([outcomes[label].phases[index].seconds for label in labels])
        axes.barh(labels, seconds, left=left, color=COLOURS[index % len(COLOURS)],
                  label=phase.name)  # fmt: skip
        left += seconds
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.legend(frameon=False)
    add_grid(axes)
    return figure


def lengths(found: Mapping[str, Tokenizer]) -> Figure:
    """Plot the distribution of learned entries over their length in bytes."""
    figure = new_figure(7.5, 4)
    axes = figure.add_subplot()
    positions = np.arange(2, _LONGEST_SHOWN + 1)
    for index, (label, tokenizer) in enumerate(found.items()):
        counts = measures.length_histogram(tokenizer, _LONGEST_SHOWN)
        axes.plot(positions, counts / max(1, counts.sum()), markersize=4, label=label,
                  **line_style(index))  # fmt: skip
    ticks = [str(position) for position in positions]
    axes.set_xticks(positions, [*ticks[:-1], f"{ticks[-1]}+"])
    axes.set_xlabel("bytes per entry")
    axes.set_ylabel("share of learned entries")
    axes.legend(frameon=False)
    add_grid(axes)
    return figure
