"""The page of a study: one file that opens offline, with its data, style and drawing inside."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lmlab.study.figure_style import COLOURS

_HERE = Path(__file__).parent
STYLE = (_HERE / "page.css").read_text("utf-8")
_REACH = 40  # per cent from the middle to either end of the verdicts' scale
_EDGE = 1.15  # of that, to where bars are cut off and arrows begin


def render_page(content: dict[str, Any]) -> str:
    """The page as HTML; the same content gives the same text.

    Args:
        content: of :func:`lmlab.study.report_content.build_content`. Text in it may hold anything.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "signed": _signed, "kind": _kind}
    return environment.get_template("template.html").render(
        content=content,
        data=_embed({key: content[key] for key in ("curves", "rates", "arms", "samples")}),
        colours=_embed(COLOURS),
        style=STYLE,
        script=(_HERE / "page.js").read_text("utf-8"),
        forest=_forest(content["verdicts"]),
    )


def _embed(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"}
    for character, escape in escapes.items():
        text = text.replace(character, escape)
    return text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"


def _kind(word: str) -> str:
    return word.replace(" ", "-")


def _forest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Where differences and interval ends lie on one scale for all tables.

    Returns:
        ``ticks`` as pairs of place and label, and for each table its ``rows``: the places of an
        interval's ends and of the difference in per cent, and the sides to which one of them lies
        off the scale.
    """
    known = [row for row in rows if None not in (row["difference"], row["low"], row["high"])]
    # A few arms far off must not press all others into one line.
    ends = sorted(abs(row[key]) for row in known for key in ("low", "high"))
    far = 3 * ends[int(0.7 * (len(ends) - 1))] if ends else 0.0
    most = _round_up(max((end for end in ends if end <= far), default=1.0))

    def place(value: float) -> float:
        return round(50 + _REACH * max(-_EDGE, min(_EDGE, value / most)), 2)

    def places(row: dict[str, Any]) -> dict[str, Any]:
        values = [row[key] for key in ("low", "difference", "high")]
        return {
            "low": place(row["low"]),
            "high": place(row["high"]),
            "difference": place(row["difference"]) if abs(row["difference"]) <= most else None,
            "off": [
                side
                for side, beyond in (("left", min(values) < -most), ("right", max(values) > most))
                if beyond
            ],
        }

    return {
        "ticks": [
            (place(share * most), f"{share * most:+g}" if share else "0") for share in (-1, 0, 1)
        ],
        "rows": {
            at: [places(row) if row in known else None for row in rows if row["at"] == at]
            for at in dict.fromkeys(row["at"] for row in rows)
        },
    }


def _round_up(value: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(lead * power for lead in (1, 2, 5, 10) if lead * power >= value)
