"""The figure of best sizes: parameters and training tokens against compute, with their laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from lmlab.study.figure_style import BLUE, ORANGE, add_grid, label_sparsely, new_figure
from lmlab.study.isoflop_report.isoflop_wording import exponent_text, with_ends
from lmlab.study.ladder_report.loss_figure import name_rungs
from lmlab.study.ladder_report.wording import power_text
from lmlab.study.ladders.isoflop_optimum import AT_LEAST, FLAT

_SMALL = 8  # font size
_MAX_LABELS = 6  # budgets that have a label each
_REACH = 2.0  # factor beyond the values at which intervals are cut off
_ARROW = 1.3  # factor by which the arrow of a bound is long
_QUANTITIES = (("parameters", "best parameters N*", BLUE, "o"), ("tokens", "their tokens D*",
                                                                ORANGE, "s"))  # fmt: skip


def draw_optima(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw N* and D* against compute, with intervals, bounds and laws.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    ladder = content["ladder"]
    isoflop = None if ladder is None else ladder.get("isoflop")
    shown = [] if not isoflop else [row for row in isoflop["optima"] if row["bound"] != FLAT]
    if not isoflop or not shown:
        return None
    figure = new_figure(4.4 if narrow else 8, 6.4 if narrow else 3.9)
    shape = (2, 1) if narrow else (1, 2)
    panels = figure.subplots(*shape, sharex=True, squeeze=False).flat
    laws = {law["quantity"]: law for law in isoflop["laws"]}
    for panel, (quantity, label, colour, marker) in zip(panels, _QUANTITIES, strict=True):
        panel.set_xscale("log")
        panel.set_yscale("log")
        law = laws.get(quantity)
        ends = _range(shown, quantity, law)
        if law is not None:
            panel.fill_between(law["flops"], law["band_low"], law["band_high"], color=colour,
                               alpha=0.16, linewidth=0)  # fmt: skip
            panel.plot(law["flops"], law["line"], color=colour, linewidth=1.3, label="_law")
        for row in shown:
            _draw_optimum(panel, row, quantity, (colour, marker), ends)
        panel.set_ylim(ends[0] / 1.08, ends[1] * 1.08)
        label_sparsely(panel.yaxis)
        panel.yaxis.set_major_formatter(EngFormatter(sep=""))
        name_rungs(panel, [isoflop["budgets"][row["rung"]] | {"flops": row["flops"]}
                           for row in shown])  # fmt: skip
        panel.set_title(f"{label}{_exponent(law)}", loc="left", fontsize=_SMALL + 1, pad=14)
        _label_budgets(panel, [row["flops"] for row in isoflop["optima"]])
        panel.tick_params(labelbottom=True, labelsize=_SMALL)
        add_grid(panel)
        panel.grid(which="minor", axis="x", visible=False)
    meaning = f"{'; line and band: power law' if laws else ''}{_bounds(shown)}"
    gap = "\n" if narrow and meaning else ""
    figure.supxlabel(f"training compute (FLOPs{gap}{meaning})", fontsize=_SMALL + 1)
    return figure


def _label_budgets(axes: Axes, flops: Sequence[float]) -> None:
    """Label the axis of compute at the budgets, where they are few, and at powers of ten else."""
    axes.xaxis.set_minor_formatter(NullFormatter())
    if len(flops) <= _MAX_LABELS:
        axes.set_xticks(flops, [power_text(one) for one in flops])
        axes.set_xticks([], minor=True)


def _exponent(law: Mapping[str, Any] | None) -> str:
    return "" if law is None else f": exponent {with_ends(law['exponent'], exponent_text)}"


def _bounds(shown: Sequence[Mapping[str, Any]]) -> str:
    return "; arrows: bounds" if any(row["bound"] for row in shown) else ""


def _side(row: Mapping[str, Any], quantity: str) -> int:
    """Return 1 for at least, -1 for at most, and 0 for a value."""
    if not row["bound"]:
        return 0
    side = 1 if row["bound"] == AT_LEAST else -1
    return side if quantity == "parameters" else -side


def _range(
    shown: Sequence[Mapping[str, Any]], quantity: str, law: Mapping[str, Any] | None
) -> tuple[float, float]:
    values, ends = [], []
    for row in shown:
        one = row[quantity]
        values += [one["value"], one["value"] * _ARROW ** _side(row, quantity)]
        ends += [end for end in (one["low"], one["high"]) if end is not None]
    if law is not None:
        ends += [*law["band_low"], *law["band_high"]]
    low, high = min(values), max(values)
    return max(min([low, *ends]), low / _REACH), min(max([high, *ends]), high * _REACH)


def _draw_optimum(
    axes: Axes, row: Mapping[str, Any], quantity: str, look: tuple[str, str],
    ends: tuple[float, float],
) -> None:  # fmt: skip
    (colour, marker), one, x = look, row[quantity], row["flops"]
    side = _side(row, quantity)
    if side:
        tip = one["value"] * _ARROW**side
        axes.plot([x], [one["value"]], "_", color=colour, markersize=9, markeredgewidth=2,
                  label="_bound")  # fmt: skip
        axes.plot([x, x], [one["value"], tip], color=colour, linewidth=2, label="_bound")
        axes.plot([x], [tip], "^" if side > 0 else "v", color=colour, markersize=7, label="_bound")
        return
    low = ends[0] if one["low"] is None else max(one["low"], ends[0])
    high = ends[1] if one["high"] is None else min(one["high"], ends[1])
    axes.plot([x, x], [low, high], color=colour, linewidth=1.4, label="_interval")
    for value, end, cut in ((one["low"], low, "v"), (one["high"], high, "^")):
        axes.plot([x], [end], "_" if value == end else cut, color=colour, markersize=5,
                  label="_end")  # fmt: skip
    axes.plot([x], [one["value"]], marker, color=colour, markersize=5.5, label="_optimum")
