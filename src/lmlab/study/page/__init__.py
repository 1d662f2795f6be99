"""The page of a study: one HTML file that opens offline, with data, style and script inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lmlab.console.formatting import format_count
from lmlab.storage.json_text import dump_json
from lmlab.study.chart_scales import limits, loss_scale, ticks
from lmlab.study.figure_captions import rate_caption
from lmlab.study.figure_style import COLOURS, DARK_COLOURS, DASHES, MARKERS, themed_svg
from lmlab.study.links import LOCAL_FILES, Links
from lmlab.study.markdown import (
    descriptive_note,
    edge_texts,
    seeds_text,
    signed,
    sweep_table,
    verdict_table,
)
from lmlab.study.page.forest import forest_layout
from lmlab.study.probe_figure import draw_probes
from lmlab.study.rate_edges import BEYOND, DIVERGED, FAILED, STABLE
from lmlab.study.rate_figure import split_states
from lmlab.study.reused_runs import SAME_RUNS
from lmlab.study.section_figures import SECTION_FIGURES
from lmlab.study.sweep_figure import draw_sweep, is_numeric
from lmlab.study.task_figure import draw_tasks

_HERE = Path(__file__).parent
_NO_LINKS = Links()
_SCRIPTS = ("chart.js", "curves.js", "rates.js", "page.js")
_DATA = ("curves", "train_curves", "rates", "arms", "samples", "unit", "margin")


def _palette(colours: Sequence[str]) -> str:
    variables = "".join(f"--c{index}:{colour};" for index, colour in enumerate(colours))
    return f":root{{{variables}}}"


# Paper is white in every theme, so only screens get the colours of the dark one.
STYLE = (
    f"{_palette(COLOURS)}\n"
    f"@media screen and (prefers-color-scheme:dark){{{_palette(DARK_COLOURS)}}}\n"
    + (_HERE / "page.css").read_text("utf-8")
)


def render_page(content: dict[str, Any], links: Links = _NO_LINKS) -> str:
    """Render the page as HTML; the same content gives the same text.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`. Its texts are escaped.
        links: what the page links to.
    """
    sweep, probes, tasks = draw_sweep(content), draw_probes(content), draw_tasks(content)
    return render_template(
        "report.html",
        content=content,
        data=_embed({key: content[key] for key in _DATA} | {"rate_chart": rate_chart(content)}),
        styles=_embed(
            {
                "colours": len(COLOURS),
                "dashes": [" ".join(f"{2 * length:g}" for length in dash) for dash in DASHES],
                "markers": MARKERS,
            }
        ),
        script="\n".join((_HERE / name).read_text("utf-8") for name in _SCRIPTS),
        forest=forest_layout(content["verdicts"], content["margin"]),
        metric_tables=[
            verdict_table(one["rows"], one["baseline"], "mean") for one in content["metrics"]
        ],
        section_charts=_section_charts(content),
        curve_rungs=list(dict.fromkeys(curve.get("rung") for curve in content["curves"])),
        sweep_chart=None if sweep is None else themed_svg(sweep),
        probe_chart=None if probes is None else themed_svg(probes),
        task_chart=None if tasks is None else themed_svg(tasks),
        sweep_table=sweep_table(content),
        sweep_numbers=_number_columns(content),
        num_seeds=len({curve["seed"] for curve in content["curves"]}),
        train_values={key for curve in content["train_curves"] for key in curve},
        reference=_reference(content),
        local_files=LOCAL_FILES,
        same_runs=SAME_RUNS,
        rate_caption=rate_caption(content),
        links=links,
        has_settings=any(
            arm["overrides"] or arm["differences"] or arm["settings"] for arm in content["arms"]
        ),
    )


def _section_charts(content: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the figures of further sections by name, each for a wide and for a narrow screen."""
    charts = {}
    for name, draw in SECTION_FIGURES.items():
        wide, narrow = draw(content, narrow=False), draw(content, narrow=True)
        if wide is not None and narrow is not None:
            charts[name] = {"wide": themed_svg(wide), "narrow": themed_svg(narrow)}
    return charts


def _number_columns(content: dict[str, Any]) -> list[int]:
    """Return which columns of the results of a sweep are numbers; the others hold words."""
    keys = range(len(content["sweep"]["keys"]))
    points = content["sweep"]["points"]
    numeric = [key for key in keys if is_numeric([point["values"][key] for point in points])]
    return [*numeric, *range(len(keys), len(keys) + 3)]


def _reference(content: dict[str, Any]) -> str | None:
    """Return the arm from which the page shows differences: the baseline, or the first one."""
    names = [arm["name"] for arm in content["arms"] if arm["is_baseline"]]
    names += [arm["name"] for arm in content["arms"]] if len(content["arms"]) > 1 else []
    return names[0] if names else None


def rate_chart(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return the loss axis of the chart of learning rates, and which rates are stable.

    Returns:
        ``origin``, ``width``, ``low``, ``high`` and ``ticks`` of the axis (see
        :mod:`lmlab.study.chart_scales`), and the rates by arm that are ``stable``, ``unstable``
        (diverged), ``failed`` (to learn) and ``beyond`` one of these; None without a finished run
        of a search.
    """
    searches = {row["arm"] for row in content["rates"] if row["purpose"] == "search"}
    losses = [row["loss"] for row in content["rates"] if row["loss"] is not None]
    if not searches or not losses:
        return None
    scale = loss_scale(losses)
    low, high = limits(scale, losses)
    split = {
        arm["name"]: split_states(arm["rate_states"])
        for arm in content["arms"]
        if arm["name"] in searches
    }
    return {
        "origin": scale.origin, "width": scale.width, "low": low, "high": high,
        "ticks": ticks(scale, low, high), "arms": list(split),
        **{
            key: {arm: states[state] for arm, states in split.items()}
            for key, state in (
                ("stable", STABLE), ("unstable", DIVERGED), ("failed", FAILED), ("beyond", BEYOND)
            )
        },
    }  # fmt: skip


def render_template(name: str, **values: Any) -> str:
    """Render a template of this folder, with the style of all pages as ``style``."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number, "signed": signed, "css_class": _css_class, "seeds_text": seeds_text,
        "descriptive_note": descriptive_note, "edge_texts": edge_texts, "loss": _loss,
        "whole": _whole, "count": format_count,
    }  # fmt: skip
    return environment.get_template(name).render(style=STYLE, **values)


def _embed(value: Any) -> str:
    """Serialize as JSON that cannot end the script element around it."""
    text = dump_json(value, mark_nonfinite=False, separators=(",", ":"), sort_keys=True)
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"}
    for character, escape in escapes.items():
        text = text.replace(character, escape)
    return text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _loss(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _css_class(label: str) -> str:
    return label.replace(" ", "-")
