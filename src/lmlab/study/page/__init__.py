"""The page of a study: one file that opens offline, with its data, style and drawing inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lmlab.study.figure_style import COLOURS

_HERE = Path(__file__).parent
STYLE = (_HERE / "page.css").read_text("utf-8")


def render_page(content: dict[str, Any]) -> str:
    """The page as HTML; the same content gives the same text.

    Args:
        content: of :func:`lmlab.study.content.build_content`. Text in it may hold anything.
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


def _forest(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, float] | None]]:
    """Places of differences and interval ends in per cent of one scale for each table."""
    found: dict[str, list[dict[str, float] | None]] = {}
    for at in dict.fromkeys(row["at"] for row in rows):
        own = [row for row in rows if row["at"] == at]
        known = [row for row in own if None not in (row["difference"], row["low"], row["high"])]
        # A single arm far off must not press all others into one line.
        ends = sorted(abs(row[key]) for row in known for key in ("low", "high"))
        most = ends[int(0.8 * (len(ends) - 1))] * 1.25 if ends else 1.0

        def place(value: float, most: float = most or 1.0) -> float:
            return round(50 + 50 * max(-1.0, min(1.0, value / most)), 2)

        found[at] = [
            {key: place(row[key]) for key in ("low", "difference", "high")}
            if row in known
            else None
            for row in own
        ]
    return found
