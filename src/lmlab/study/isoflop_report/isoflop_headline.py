"""The headline of an isoFLOP study: the best size of each budget, and how it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.design.ladder_runs import describe_rates
from lmlab.study.isoflop_report.isoflop_study import IsoflopStudy
from lmlab.study.isoflop_report.isoflop_wording import (
    ends_text,
    exponent_text,
    loss_text,
    quantity_text,
    with_ends,
)
from lmlab.study.ladder_report.rung_rows import progress_line
from lmlab.study.ladder_report.wording import factor_text, power_text, rung_name
from lmlab.study.ladders.isoflop_optimum import AT_LEAST, FLAT


def isoflop_headline(found: IsoflopStudy, content: Mapping[str, Any]) -> list[str]:
    """Return the sentences of the headline.

    Args:
        found: the study.
        content: its rows; see
            :func:`lmlab.study.isoflop_report.isoflop_content.build_isoflop`.
    """
    progress = progress_line(found.ladder_study)
    lines = [progress] if progress else []
    level = content["confidence"]
    first = next((row["rung"] for row in content["optima"] if not row["bound"]), None)
    for row in content["optima"]:
        lines.append(_best(row, f"{level} interval " if row["rung"] == first else ""))
    lines += [
        f"{rung_name(rung)} has no best size: {reason}."
        for rung, reason in found.budgets.without_curve.items()
    ]
    if found.budgets.budgets and found.result is None:
        lines.append("Best sizes are not known: one seed of three sizes does not show the noise.")
    lines += _laws(content["optima"], content["laws"])
    lines += _loss_law(content["loss_law"])
    return [*lines, describe_rates(found.ladder_study.ladder)]


def _best(row: Mapping[str, Any], label: str) -> str:
    start = f"Best size at {power_text(row['flops'])} FLOPs ({rung_name(row['rung'])})"
    if row["bound"] == FLAT:
        return f"{start}: not located, because the losses show no minimum beyond noise."
    if row["bound"]:
        end = "largest" if row["bound"] == AT_LEAST else "smallest"
        return (
            f"{start}: {quantity_text(row, 'parameters', ' parameters')}, the {end} size, on "
            f"{quantity_text(row, 'tokens', ' tokens')}."
        )
    per = " tokens per parameter"
    return (
        f"{start}: {quantity_text(row, 'parameters', ' parameters', label)} on "
        f"{quantity_text(row, 'tokens', ' tokens')}, "
        f"{quantity_text(row, 'tokens_per_parameter', per)}; loss "
        f"{with_ends(row['loss'], loss_text)}."
    )


def _laws(optima: Sequence[Mapping[str, Any]], laws: Sequence[Mapping[str, Any]]) -> list[str]:
    if not optima:
        return []
    located = [row for row in optima if not row["bound"]]
    if not laws:
        return [
            f"No power law: it takes two budgets whose best size is between the sizes, and there "
            f"{'is' if len(located) == 1 else 'are'} {len(located) or 'none'}."
        ]
    of_size, of_tokens = laws
    low, high = located[0], located[-1]
    exponents = [with_ends(law["exponent"], exponent_text) for law in laws]
    times = [factor_text(law["factor"]["value"]) for law in laws]
    text = (
        f"From {power_text(low['flops'])} to {power_text(high['flops'])} FLOPs, the best number of "
        f"parameters N* grows with the compute C as C^a, a = {exponents[0]}, and its tokens D* as "
        f"C^b, b = {exponents[1]}: per tenfold compute, {times[0]} times the parameters and "
        f"{times[1]} times the tokens"
    )
    ratios = [factor_text(of_tokens["line"][at] / of_size["line"][at]) for at in (0, -1)]
    return [f"{text}. By these laws, tokens per parameter go from {ratios[0]} to {ratios[1]}."]


def _loss_law(law: Mapping[str, float] | None) -> list[str]:
    if law is None:
        return []
    return [
        f"The loss at the best size is E + A (C / {power_text(law['flops'])})^-c with E = "
        f"{law['asymptote']:.3f} ({ends_text(law, lambda one: f'{one:.3f}')}), A = "
        f"{law['amplitude']:.3f} and c = {law['exponent']:.3f}, in nats per token."
    ]
