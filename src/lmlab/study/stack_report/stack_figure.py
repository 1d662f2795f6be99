"""The figure of a stack: what each change is worth, their sum, and the whole."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from lmlab.study.chart_scales import effect_scale, limits, set_scale
from lmlab.study.figure_style import BLUE, GREY, ORANGE, add_grid, new_figure, shorten

_SMALL = 9  # font size


def draw_stack(content: dict[str, Any], narrow: bool = False) -> Figure | None:
    """Draw one row per change with its interval, then the sum of all and the whole stack.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        narrow: whether the figure is for a phone.
    """
    stack = content["stack"]
    rows = [] if stack is None else _rows(stack)
    if not rows:
        return None
    figure = new_figure(4.4 if narrow else 8, 1.4 + 0.42 * len(rows))
    axes = figure.add_subplot()
    axes.axvline(0, color=GREY, linewidth=1)
    margin = stack["margin"]
    if margin:
        axes.axvspan(-margin, margin, color=GREY, alpha=0.12, linewidth=0)
    for y, row in enumerate(rows):
        colour, marker = (ORANGE, "s") if row["is_sum"] else (BLUE, "o")
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2)
        axes.plot(row["seeds"], [y + 0.22] * len(row["seeds"]), ".", color=colour, alpha=0.6,
                  markersize=5)  # fmt: skip
        axes.plot(row["worth"], y, marker, color=colour, markersize=7)
        if not narrow:
            axes.annotate(f"{row['worth']:+.3g}  {row['label']}", (1.01, y), va="center",
                          xycoords=("axes fraction", "data"), fontsize=_SMALL)  # fmt: skip
    values = [[row["worth"], row["low"], row["high"], *row["seeds"]] for row in rows]
    scale = effect_scale(values, margin)
    shown = [-margin, 0.0, margin, *(one for row in values for one in row)]
    set_scale(axes, "x", scale, *limits(scale, shown), marked=(-margin, margin) if margin else ())
    axes.set_yticks(range(len(rows)), [shorten(row["name"], 20 if narrow else 36) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    label = f"what its removal adds to the loss\n({content['unit']}; right: the change helps"
    label += f";\ngrey: the margin, \u00b1{margin:g}" if margin else ""
    label += ";\nlinear near zero, logarithmic beyond" if scale.width is not None else ""
    axes.set_xlabel(f"{label})", fontsize=_SMALL if narrow else None)
    axes.set_title(f"{content['title']}: worth of each change", loc="left", fontsize=11)
    add_grid(axes)
    return figure


def _rows(stack: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [
        {"name": row["change"], "worth": row["worth"], "low": row["low"], "high": row["high"],
         "seeds": row["seeds"], "label": row["label"], "is_sum": False}
        for row in stack["rows"]
        if row["worth"] is not None and row["low"] is not None and row["high"] is not None
    ]  # fmt: skip
    if rows and stack["sums"] is not None:
        for key, name in (("parts", "sum of the changes"), ("whole", "all changes together")):
            worth, low, high = stack["sums"][key]
            rows.append({"name": name, "worth": worth, "low": low, "high": high, "seeds": [],
                         "label": "", "is_sum": True})  # fmt: skip
    return rows
