"""The half-normal plot of Daniel (1959): all effects by size, against the sizes of noise."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lmlab.study.factorials.lenth import half_normal_quantiles
from lmlab.study.figure_style import BLUE, GREEN, GREY, ORANGE, add_grid, new_figure, shorten

_SMALL = 8  # font size
_FAR = 5.0  # times the margin of error, from which the axis is compressed
_MAX_NAMES = 6  # effects named where none stands out
_MARKS = {1: (BLUE, "o", "main effect"), 2: (ORANGE, "s", "two-factor interaction"),
          3: (GREEN, "^", "interaction of more factors")}  # fmt: skip


def draw_half_normal(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw the size of each effect against its half-normal quantile, with Lenth's noise.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    factorial = content["factorial"]
    noise = None if factorial is None else factorial["lenth"]
    if factorial is None or noise is None:
        return None
    rows = sorted(factorial["effects"], key=lambda row: abs(row["estimate"]))
    quantiles = half_normal_quantiles(len(rows))
    figure = new_figure(4.4 if narrow else 8, 4.4)
    axes = figure.add_subplot()
    top = quantiles[-1] * 1.08
    axes.plot([0, top], [0, noise["error"] * top], color=GREY, linewidth=1.1, label="noise")
    axes.axhline(noise["simultaneous"], color=GREY, linewidth=1.1, linestyle="--",
                 label="simultaneous margin of error")  # fmt: skip
    named = [row["name"] for row in rows if row["stands_out"]]
    named = named or [row["name"] for row in rows[-_MAX_NAMES:]]
    largest = abs(rows[-1]["estimate"])
    if largest > _FAR * noise["simultaneous"] > 0:  # the others would all lie at the bottom
        axes.set_yscale("symlog", linthresh=noise["simultaneous"])
    shown = set()
    for quantile, row in zip(quantiles, rows, strict=True):
        kind = min(row["order"], 3)
        colour, marker, label = _MARKS[kind]
        axes.plot(quantile, abs(row["estimate"]), marker, color=colour, markersize=6, clip_on=False,
                  label=f"_{label}" if label in shown else label)  # fmt: skip
        shown.add(label)
        if row["name"] in named:
            sign = "\u2212" if row["estimate"] < 0 else "+"
            # Neighbours have their names on different sides; there is no room beyond the largest.
            is_left = (len(named) - named.index(row["name"])) % 2 == 1
            axes.annotate(f"{shorten(row['name'], 30)} ({sign})", (quantile, abs(row["estimate"])),
                          xytext=(-7 if is_left else 7, 0), textcoords="offset points",
                          ha="right" if is_left else "left", va="center",
                          fontsize=_SMALL)  # fmt: skip
    axes.set_xlim(0, top)
    axes.set_ylim(0, max(noise["simultaneous"], largest) * 1.15 or 1.0)
    axes.set_xlabel("half-normal quantile", fontsize=_SMALL + 1 if narrow else None)
    how = "" if axes.get_yscale() == "linear" else ";\nlogarithmic above the margin"
    axes.set_ylabel(f"size of the effect ({content['unit']}{how})")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title(f"{content['title']}: effects against noise", loc="left", fontsize=11)
    add_grid(axes)
    figure.legend(loc="outside lower center", ncols=2 if narrow else 3, fontsize=_SMALL,
                  edgecolor="none")  # fmt: skip
    return figure
