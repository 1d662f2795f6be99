"""The style of all figures: readable in print, safe for colour-blind readers, reproducible."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from lmlab.storage.io import atomic_write_bytes

# Okabe and Ito (2008), without the yellow, which is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"


def line_style(index: int) -> dict[str, Any]:
    """Return colour and dashes of line number ``index``; the first 28 are distinct."""
    dash = DASHES[(index // len(COLOURS)) % len(DASHES)]
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": dash}


def new_figure(width: float = 8, height: float = 4.8) -> Figure:
    """Create an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_grid(axes: Axes) -> None:
    """Draw a light grid and remove the box."""
    axes.grid(alpha=0.25, linewidth=0.6, which="both")
    axes.spines[["top", "right"]].set_visible(False)


def label_sparsely(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 1.5, 2, 3, 5 and 7 of each decade."""
    axis.set_major_locator(LogLocator(base=10, subs=(1, 1.5, 2, 3, 5, 7)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FormatStrFormatter("%g"))


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.svg``; the same figure gives the same bytes."""
    paths = []
    with matplotlib.rc_context({"svg.hashsalt": "lmlab", "svg.fonttype": "none"}):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            paths.append(stem.with_name(f"{stem.name}.{kind}"))
            atomic_write_bytes(paths[-1], buffer.getvalue())
    return paths
