"""The sections on how a ladder was made: its rungs, and its learning rates with their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_duration
from lmlab.design.ladder_runs import BRACKET
from lmlab.study.ladder_report.sections import Section, section, table
from lmlab.study.ladder_report.wording import factor_text, interval_text, nats_interval, power_text

_PURPOSES = {
    "search": "search for rates",
    BRACKET: "bracketing check",
    "lowest rung's lr": "runs at the lowest rung's rate",
    "judged": "judged runs",
}
_ORIGINS = {"searched": "", "transferred": " (transferred)", "configured": ""}


def rung_section(content: Mapping[str, Any]) -> Section:
    """Return the section of the rungs: shapes, sizes and training compute."""
    columns = [
        "rung", "width", "layers", "parameters", "in blocks", "tokens", "batch", "steps", "FLOPs",
        "passes", "seeds",
    ]  # fmt: skip
    rows = [
        [
            rung["name"],
            f"{rung['d_model']:,}",
            str(rung["num_layers"]),
            f"{rung['parameters']:,}",
            f"{rung['hidden_parameters']:,}",
            f"{rung['tokens']:,}",
            f"{rung['batch']:,}",
            f"{rung['steps']:,}",
            power_text(rung["flops"]),
            "" if rung["passes"] is None else f"{rung['passes']:.2g}",
            str(rung["seeds"]),
        ]
        for rung in content["rungs"]
    ]
    name = content["baseline"]
    notes = [
        f"Sizes are those of {name}; the table of costs has all arms. Parameters in blocks leave "
        "out embeddings, head and norms. Passes are training tokens over tokens of the training "
        "text. Every rung is evaluated on the same held-out tokens."
    ]
    return section("rungs", "Rungs", [table("rungs", columns, rows)], notes)


def rate_section(content: Mapping[str, Any]) -> Section:
    """Return the section of the learning rates; without any, a section with nothing to show."""
    rates = content["rates"]
    if not rates["arms"]:
        return section("rates", "Learning rates", [], [])
    names = [rung["name"] for rung in content["rungs"]]
    tuned = any(row["drift"] is not None for row in rates["arms"])
    columns = ["arm", *names, *(["drift per doubling"] if tuned else [])]
    rows = [
        [
            row["arm"],
            *(_rate_cell(one) for one in row["rungs"]),
            *([_drift(row["drift"])] if tuned else []),
        ]
        for row in rates["arms"]
    ]
    regrets = [
        [
            row["arm"],
            f"{row['rate']:g}",
            "bracketing check" if row["evidence"] == BRACKET else "best rate of r1",
            f"{row['bound']} {row['nats']:.4f} ({nats_interval(row)})".strip(),
            f"{row['best_rate']:.3g}",
        ]
        for row in rates["regrets"]
    ]
    return section(
        "rates",
        "Learning rates",
        [
            table("peak learning rates by rung", columns, rows),
            table(
                f"regret at {names[-1]}",
                ["arm", "rate", "evidence", "regret, nats", "best rate"],
                regrets,
                (0, 2),
            ),
            spent_table(rates["spent"]),
        ],
        rates["notes"],
        [
            *(["rates_by_size"] if tuned else []),
            *(["searches"] if rates["searches"] else []),
        ],
    )


def spent_table(spent: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the table of runs, compute and time by what the runs were for."""
    rows = [
        [
            _PURPOSES.get(row["purpose"], row["purpose"]),
            f"{row['runs']:,}",
            power_text(row["flops"]),
            f"{100 * row['share']:.0f}%",
            format_duration(row["seconds"]),
        ]
        for row in spent
    ]
    return table("what the runs were for", ["runs for", "runs", "FLOPs", "of all", "time"], rows)


def _rate_cell(row: Mapping[str, Any]) -> str:
    if row["rate"] is None:
        return ""
    text = f"{row['rate']:.3g}{_ORIGINS[row['origin']]}"
    if row["low"] is None and row["high"] is None:
        return text
    low = "0" if row["low"] is None else f"{row['low']:.2g}"
    high = "more" if row["high"] is None else f"{row['high']:.2g}"
    return f"{text}; {low} to {high}"


def _drift(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else f"times {factor_text(row['factor'])} ({_ends(row)})"


def _ends(row: Mapping[str, Any]) -> str:
    return interval_text(row["low"] or None, row["high"])
