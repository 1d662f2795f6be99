"""The style of all figures: readable in print, safe for colour-blind readers, reproducible."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, NullLocator
from numpy.typing import NDArray
from PIL import Image

from lmlab.storage.io import atomic_write_bytes
from lmlab.study.chart_scales import log_ticks

# Okabe and Ito (2008), without the yellow, which is too pale for lines; then five darker ones for
# studies of more than seven arms.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
    "#882255", "#999933", "#332288", "#7A4A1E", "#7F7F7F",
)  # fmt: skip
DARK_COLOURS = (
    "#4C9BF5", "#FF8A4D", "#2EC295", "#E59AC6", "#F2B632", "#9ADAFF", "#FFFFFF",
    "#E0608F", "#C8C860", "#A396F5", "#C99A6B", "#A8A8A8",
)  # fmt: skip
# The lengths of the three cycles have no common factor: no two of 660 lines look the same, and
# neighbours differ in colour, dashes and marker. A cross is left for runs that diverged.
DASHES: tuple[tuple[float, ...], ...] = (
    (), (5, 2), (1.2, 1.4), (7, 2, 1.2, 2), (7, 1.6, 1.2, 1.6, 1.2, 1.6),
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "p", ">", "*", "h")
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
DIVERGED_MARK = "x"
PNG_DPI = 300
FORMATS = ("png", "svg", "pdf")
_MAX_MARKERS = 8  # per line
_PALETTE_STRIDE = 7  # of the pixels whose colours are counted
_EXACT_COLOURS = 24
_MAX_NAME = 50
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
# Type 42 fonts: journals refuse Type 3, matplotlib's default.
_REPRODUCIBLE: Any = {"svg.hashsalt": "lmlab", "svg.fonttype": "none", "pdf.fonttype": 42}


def line_style(index: int) -> dict[str, Any]:
    """Return colour, dashes and marker of line number ``index``; the first 660 are distinct."""
    dash = DASHES[index % len(DASHES)]
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": (0, dash) if dash else "-",
        "marker": MARKERS[index % len(MARKERS)],
    }


def marks_for(num_points: int) -> int:
    """Return ``markevery`` of a line, so that it carries a few markers rather than one a point."""
    return max(1, num_points // _MAX_MARKERS)


def new_figure(width: float = 8, height: float = 4.8) -> Figure:
    """Create an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_grid(axes: Axes) -> None:
    """Draw a light grid and remove the box."""
    axes.grid(alpha=0.25, linewidth=0.6, which="both")
    axes.spines[["top", "right"]].set_visible(False)


def add_legend(axes: Axes, order: Sequence[str], notes: Mapping[str, str] | None = None) -> None:
    """List the labels of ``order`` that were drawn: inside the axes if they are few and short.

    Args:
        axes: axes with labelled lines.
        order: the labels in the order of the legend.
        notes: what to add to some of the labels.
    """
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    shown = [label for label in order if label in by_label]
    names = [shorten(label) + (notes or {}).get(label, "") for label in shown]
    style: dict[str, Any] = {"fontsize": 8, "handlelength": 4, "edgecolor": "none"}
    widest = max((len(name) for name in names), default=0)
    if len(names) <= 4 and widest <= 24:
        style |= {"loc": "best", "framealpha": 0.85}
    elif widest <= 24:
        style |= {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
    else:
        # The layout reserves the space of a legend of the figure, not of one outside the axes.
        columns = 2 if len(names) > 1 else 1
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.legend(
            [by_label[label] for label in shown], names, loc="outside lower center",
            ncols=columns, **style,
        )  # fmt: skip
        return
    axes.legend([by_label[label] for label in shown], names, **style)


def shorten(name: str, length: int = _MAX_NAME) -> str:
    """Return a name as it fits beside an axis; names of arms may be long."""
    return name if len(name) <= length else f"{name[: length - 3]}..."


class _RoundLocator(Locator):
    """Ticks of a logarithmic axis at round numbers, however short the axis is."""

    def __call__(self) -> Sequence[float]:
        assert self.axis is not None
        low, high = sorted(self.axis.get_view_interval())
        return self.tick_values(float(low), float(high))

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        return log_ticks(vmin, vmax) if 0 < vmin < vmax < math.inf else []


def label_sparsely(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, at round values and not too densely."""
    axis.set_major_locator(_RoundLocator())
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def save(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write ``stem.png``, ``stem.svg`` and ``stem.pdf``; the same figure gives the same bytes.

    Args:
        figure: the figure.
        stem: path of the files without a suffix; it may contain dots.
        formats: which files to write.

    Returns:
        Paths of the files, in the order of ``formats``.
    """
    paths = []
    with matplotlib.rc_context(_REPRODUCIBLE):
        # Arrange the figure once for all files, at the resolution at which texts are widest. The
        # first pass measures what the second arranges.
        dpi = figure.dpi
        figure.set_dpi(PNG_DPI)
        for _ in range(2):
            figure.draw_without_rendering()
        engine = figure.get_layout_engine()
        figure.set_layout_engine("none")
        for kind in formats:
            paths.append(stem.with_name(f"{stem.name}.{kind}"))
            atomic_write_bytes(paths[-1], _render(figure, kind))
        figure.set_layout_engine(engine)
        figure.set_dpi(dpi)
    return paths


def _render(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "png":
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        image = _with_palette(np.asarray(canvas.buffer_rgba())[..., :3])
        image.save(buffer, "png", dpi=(PNG_DPI, PNG_DPI))
    else:
        figure.savefig(buffer, format=kind, metadata=_METADATA[kind])
    return buffer.getvalue()


def _with_palette(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return an image with the 256 most frequent colours, a quarter of the size of full colours.

    Pillow's search for the nearest colour is approximate, so that white becomes a light grey. The
    few colours of areas and lines, which make up nearly all of a figure, are therefore set exactly.
    """
    parts = pixels.astype(np.uint32)
    packed = parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2]
    colours, counts = np.unique(packed.ravel()[::_PALETTE_STRIDE], return_counts=True)
    frequent = colours[np.argsort(-counts, kind="stable")][:256]
    palette = Image.new("P", (1, 1))
    rows = np.stack([frequent >> 16, frequent >> 8 & 255, frequent & 255], axis=1)
    palette.putpalette(rows.ravel().tolist())
    image = Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)
    indices = np.array(image)
    for index, colour in enumerate(frequent[:_EXACT_COLOURS]):
        indices[packed == colour] = index
    exact = Image.fromarray(indices, "P")
    exact.putpalette(rows.ravel().tolist())
    return exact


def themed_svg(figure: Figure) -> str:
    """Render a figure as an SVG element whose colours follow the page around it.

    Black, white and the palette become the variables of ``page.css``, which have other values in a
    dark theme.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(_REPRODUCIBLE):
        figure.savefig(buffer, format="svg", metadata=_METADATA["svg"])
    text = re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)", text))  # others would be the same in each figure of a page
    text = re.sub(r' id="([\w-]+)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"\n\s+", "\n", text)
    variables = {colour.lower(): f"var(--c{index})" for index, colour in enumerate(COLOURS)}
    variables |= {"#000000": "var(--ink)", "#ffffff": "var(--paper)"}
    text = re.sub(r'(fill|stroke)="(#[0-9a-f]{6})"', r'style="\1: \2"', text)  # of hatches
    return re.sub(r"(?<=: )#[0-9a-f]{6}\b", lambda found: variables.get(found[0], found[0]), text)
