"""The page of a study: one HTML file that opens offline, with data, style and script inside."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lmlab.storage.json_text import dump_json
from lmlab.study.figure_style import COLOURS

_HERE = Path(__file__).parent
STYLE = (_HERE / "page.css").read_text("utf-8")
_SCALE_REACH = 40  # percent of the width from the middle to either end of the scale
_CLIP = 1.15  # multiple of the scale at which bars are cut off and arrows begin


def render_page(content: dict[str, Any]) -> str:
    """Render the page as HTML; the same content gives the same text.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`. Its texts are escaped.
    """
    return render_template(
        "template.html",
        content=content,
        data=_embed({key: content[key] for key in ("curves", "rates", "arms", "samples", "unit")}),
        colours=_embed(COLOURS),
        script=(_HERE / "page.js").read_text("utf-8"),
        forest=forest_layout(content["verdicts"]),
    )


def render_template(name: str, **values: Any) -> str:
    """Render a template of this folder, with the style of all pages as ``style``."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "signed": _signed, "css_class": _css_class}
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


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"


def _css_class(label: str) -> str:
    return label.replace(" ", "-")


def forest_layout(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Lay out differences and their intervals on one scale for all tables of verdicts.

    Returns:
        ``ticks`` as pairs of position and label, and ``rows`` for each table: the positions of both
        ends of the interval and of the difference in percent of the width, and under ``off`` the
        sides on which one of them exceeds the scale.
    """
    known = [row for row in rows if None not in (row["difference"], row["low"], row["high"])]
    # A few outlying arms must not compress all others into one line.
    ends = sorted(abs(row[key]) for row in known for key in ("low", "high"))
    outlying = 3 * ends[int(0.7 * (len(ends) - 1))] if ends else 0.0
    limit = _round_up(max((end for end in ends if end <= outlying), default=1.0))

    def position(value: float) -> float:
        return round(50 + _SCALE_REACH * max(-_CLIP, min(_CLIP, value / limit)), 2)

    def positions(row: dict[str, Any]) -> dict[str, Any]:
        values = [row[key] for key in ("low", "difference", "high")]
        return {
            "low": position(row["low"]),
            "high": position(row["high"]),
            "difference": position(row["difference"]) if abs(row["difference"]) <= limit else None,
            "off": [
                side
                for side, is_off in (("left", min(values) < -limit), ("right", max(values) > limit))
                if is_off
            ],
        }

    return {
        "ticks": [
            (position(sign * limit), f"{sign * limit:+g}" if sign else "0") for sign in (-1, 0, 1)
        ],
        "rows": {
            at: [positions(row) if row in known else None for row in rows if row["at"] == at]
            for at in dict.fromkeys(row["at"] for row in rows)
        },
    }


def _round_up(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= value)
