"""Sections and tables of a factorial study's report as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.study.ladder_report.sections import Section, section, table

_MOST_SINGLE_CONTRASTS = 12


def factorial_sections(content: Mapping[str, Any]) -> list[Section]:
    """Return the sections of a report that have anything to show.

    Args:
        content: the parts of :func:`lmlab.study.factorial_report.factorial_content.build_factorial`
            that are rows, and its ``notes``.
    """
    notes = content["notes"]
    sections = [
        section(
            "effects", "Effects of the factors",
            [_effect_table("main effects", content, 1),
             _effect_table("two-factor interactions", content, 2)],
            notes["effects"], ["effects"],
        ),
        section(
            "interactions", "How factors act on each other", [_simple_table(content)],
            notes["interactions"], ["interactions"],
        ),
        section(
            "one-at-a-time", "What one part at a time would have said", [_single_table(content)],
            notes["singles"],
        ),
        section("cells", "Cells", [_cell_table(content)], notes["cells"]),
        section(
            "half-normal", "All effects against noise", [_higher_table(content)],
            notes["half_normal"], ["half_normal"],
        ),
        section(
            "rates-of-cells", "Learning rates of the cells",
            [_rate_table(content), _check_table(content)], notes["rates"],
        ),
    ]  # fmt: skip
    return [one for one in sections if one["tables"] or one["notes"]]


def _effect_table(label: str, content: Mapping[str, Any], order: int) -> dict[str, Any]:
    rows = [row for row in content["effects"] if row["order"] == order]
    has_aliases = any(row["aliases"] for row in rows)
    columns = ["effect", "verdict", "estimate", "interval", "adjusted p", "contrast of each seed"]
    columns += ["aliases"] if has_aliases else []
    return table(
        label, columns,
        [
            [
                row["name"],
                row["shown"] + (f": {row['detail']}" if row["detail"] else ""),
                f"{row['estimate']:+.4f}",
                _interval(row),
                "" if row["adjusted_p"] is None else f"{row['adjusted_p']:.2g}",
                _contrasts(row["contrasts"]),
                *([row["aliases"]] if has_aliases else []),
            ]
            for row in rows
        ],
        words=(0, 1, 6),
    )  # fmt: skip


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return ""
    return f"{row['low']:+.4f} to {row['high']:+.4f} ({row['confidence']})"


def _contrasts(values: Sequence[float]) -> str:
    if len(values) > _MOST_SINGLE_CONTRASTS:
        return f"{min(values):+.4f} to {max(values):+.4f}"
    return ", ".join(f"{value:+.4f}" for value in values)


def _simple_table(content: Mapping[str, Any]) -> dict[str, Any]:
    rows = [one for row in content["effects"] for one in row["simple"]]
    return table(
        "effect of a factor without and with another one",
        ["effect of", "beside", "without it", "with it", "change"],
        [
            [
                one["factor"], one["other"], _with_error(one["off"], one["off_error"]),
                _with_error(one["on"], one["on_error"]), f"{one['on'] - one['off']:+.4f}",
            ]
            for one in rows
        ],
        words=(0, 1),
    )  # fmt: skip


def _with_error(value: float, error: float | None) -> str:
    return f"{value:+.4f}" if error is None else f"{value:+.4f} ± {error:.4f}"


def _single_table(content: Mapping[str, Any]) -> dict[str, Any]:
    return table(
        "each factor alone, on average, and beside all others",
        ["factor", "verdict alone", "alone", "interval alone", "on average", "beside all others"],
        [
            [
                row["factor"], row["verdict"], f"{row['alone']:+.4f}", _interval(row),
                f"{row['average']:+.4f}",
                "" if row["beside_all"] is None else f"{row['beside_all']:+.4f}",
            ]
            for row in content["singles"]
        ],
        words=(0, 1),
    )  # fmt: skip


def _cell_table(content: Mapping[str, Any]) -> dict[str, Any]:
    names = content["factors"]
    return table(
        "cells, the lowest loss first",
        ["cell", *names, "mean loss", "sd", "from the baseline", "peak lr", "its origin", "seeds"],
        [
            [
                row["cell"], *("on" if on else "off" for on in row["on"]),
                _number(row["mean"], ".4f") or _lost(row), _number(row["sd"], ".4f"),
                "" if row["is_baseline"] else _number(row["difference"], "+.4f"),
                _number(row["rate"], "g"), row["origin"], str(row["seeds"]),
            ]
            for row in content["cells"]
        ],
        words=(0, *range(1, len(names) + 1), len(names) + 5),
    )  # fmt: skip


def _lost(row: Mapping[str, Any]) -> str:
    if row["is_untrainable"]:
        return "diverged at every rate"
    return ", ".join(row["lost"])


def _higher_table(content: Mapping[str, Any]) -> dict[str, Any]:
    return table(
        "interactions of more factors", ["effect", "estimate", "against noise"],
        [
            [row["name"], f"{row['estimate']:+.4f}", "stands out" if row["stands_out"] else ""]
            for row in content["effects"]
            if row["order"] > 2
        ],
        words=(0, 2),
    )  # fmt: skip


def _rate_table(content: Mapping[str, Any]) -> dict[str, Any]:
    model = content["rate_model"]
    rows = [] if model is None else model["factors"]
    return table(
        "what each factor does to the best learning rate", ["factor", "multiplies the rate by"],
        [[row["factor"], f"{row['ratio']:.3g}"] for row in rows],
    )  # fmt: skip


def _check_table(content: Mapping[str, Any]) -> dict[str, Any]:
    check = content["rate_check"]
    rows = [] if check is None else check["rows"]
    return table(
        "check of the predicted rate at the best cell", ["peak lr", "mean loss", ""],
        [
            [f"{row['rate']:g}", f"{row['mean']:.4f}", "predicted" if row["is_predicted"] else ""]
            for row in rows
        ],
        words=(2,),
    )  # fmt: skip


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
