"""The sections of the report of an isoFLOP study; see :mod:`lmlab.study.ladder_report.sections`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_rounded
from lmlab.study.isoflop_report.isoflop_wording import (
    exponent_text,
    loss_text,
    quantity_text,
    with_ends,
)
from lmlab.study.ladder_report.rate_tables import spent_table
from lmlab.study.ladder_report.sections import Section, section, table
from lmlab.study.ladder_report.tables import loss_cell
from lmlab.study.ladder_report.wording import factor_text, power_text, rung_name


def isoflop_sections(content: Mapping[str, Any]) -> list[Section]:
    """Return the sections of the report, without those that have nothing to show.

    Args:
        content: rows; see :func:`lmlab.study.isoflop_report.isoflop_content.build_isoflop`.
    """
    sections = [_losses(content), _optima(content), _rates(content)]
    return [one for one in sections if one["tables"] or one["notes"] or one["figures"]]


def budget_names(content: Mapping[str, Any]) -> list[str]:
    """Return the budgets as heads of columns: ``r1: 4.0e11 FLOPs``."""
    return [f"{one['name']}: {power_text(one['flops'])} FLOPs" for one in content["budgets"]]


def _parameters(row: Mapping[str, Any]) -> str:
    return "" if row["parameters"] is None else f"{row['parameters']:,}"


def _losses(content: Mapping[str, Any]) -> Section:
    names = budget_names(content)
    losses = [
        [row["arm"], _parameters(row), *(_loss(one) for one in row["rungs"])]
        for row in content["sizes"]
    ]
    tokens = [
        [
            row["arm"],
            _parameters(row),
            *("" if one["tokens"] is None else f"{one['tokens']:,}" for one in row["rungs"]),
        ]
        for row in content["sizes"]
    ]
    notes = []
    if any(one["mean"] for row in content["sizes"] for one in row["rungs"]):
        notes.append(
            "Losses are in nats per token. Parameters are all of the model, embeddings included; "
            "tied ones count once. The curve of a budget is a parabola in the logarithm of the "
            "parameters, with a skew that all budgets share."
        )
    if content["left_out"]:
        listed = "; ".join(f"{cell}: {reason}" for cell, reason in content["left_out"].items())
        notes.append(f"In parentheses, and not part of a curve: {listed}.")
    return section(
        "losses",
        "Loss against size",
        [
            table("final losses: mean, standard deviation, seeds", ["size", "parameters", *names],
                  losses),
            table("training tokens", ["size", "parameters", *names], tokens),
        ],
        [*notes, *content["pass_notes"]],
        ["loss_by_size"] if content["curves"] else [],
    )  # fmt: skip


def _loss(row: Mapping[str, Any]) -> str:
    text = loss_cell(row)
    return f"({text})" if text and row["left_out"] else text


def _optima(content: Mapping[str, Any]) -> Section:
    optima = [
        [
            rung_name(row["rung"]),
            power_text(row["flops"]),
            *(quantity_text(row, key) for key in ("parameters", "tokens", "tokens_per_parameter")),
            with_ends(row["loss"], loss_text),
        ]
        for row in content["optima"]
    ]
    laws = [
        [
            {"parameters": "parameters N*", "tokens": "tokens D*"}[row["quantity"]],
            with_ends(row["exponent"], exponent_text),
            f"times {with_ends(row['factor'], factor_text)}",
            format_rounded(row["line"][0]),
            format_rounded(row["line"][-1]),
        ]
        for row in content["laws"]
    ]
    located = [row for row in content["optima"] if not row["bound"]]
    ends = [f"at {rung_name(row['rung'])}" for row in (located[0], located[-1])] if laws else []
    notes = []
    if optima:
        notes.append(
            f"In parentheses: {content['confidence']} intervals. At least and at most are bounds, "
            "where the lowest loss is at the largest or the smallest size; they are no part of "
            "the power laws. Add larger or smaller sizes there."
        )
    off = [row["quantity"] for row in content["laws"] if row["off"]]
    if off:
        notes.append(
            "The best sizes are farther off a power law than their errors explain; the intervals "
            "of the laws carry that scatter."
        )
    columns = ["budget", "FLOPs", "parameters N*", "tokens D*", "tokens per parameter", "loss"]
    return section(
        "optima",
        "Best sizes",
        [
            table("best size of each budget", columns, optima),
            table("power laws in the compute",
                  ["quantity", "exponent", "change per tenfold compute", *ends], laws),
            table("power law of the loss there", ["quantity", "E", "A", "C1", "exponent"],
                  _loss_law(content["loss_law"])),
        ],
        notes,
        ["optima_by_compute"] if optima else [],
    )  # fmt: skip


def _loss_law(law: Mapping[str, float] | None) -> list[list[str]]:
    if law is None:
        return []
    ends = f"{law['low']:.3f} to {law['high']:.3f}"
    return [
        [
            "loss",
            f"{law['asymptote']:.3f} ({ends})",
            f"{law['amplitude']:.3f}",
            f"{power_text(law['flops'])} FLOPs",
            f"{law['exponent']:.3f}",
        ]
    ]


def _rates(content: Mapping[str, Any]) -> Section:
    """Return the section of searched rates; without a search, nothing."""
    if not content["spent"]:
        return section("rates", "Learning rates", [], [])
    rows: Sequence[Sequence[str]] = [
        [row["arm"], *("" if one["rate"] is None else f"{one['rate']:.3g}" for one in row["rungs"])]
        for row in content["sizes"]
    ]
    return section(
        "rates",
        "Learning rates",
        [
            table("peak learning rates by budget", ["size", *budget_names(content)], rows),
            spent_table(content["spent"]),
        ],
        content["rate_notes"],
        ["searches"] if content["searches"] else [],
    )
