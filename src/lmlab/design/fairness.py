"""Whether the arms of a study differ in nothing but what the study asks about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lmlab.design.comparison import Comparison
from lmlab.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class ArmCosts:
    """What an arm costs and sees.

    Attributes:
        parameters: of the model.
        flops: of a forward pass over a full context, a token.
        tokens: training tokens in all.
        steps: updates.
        batch_size: sequences an update.
        context: tokens a sequence.
        evaluation: tokens that the validation loss is a mean of.
        evaluations: how often it is measured.
        data: hash of training and validation text.
        tokenizer: hash of the tokenizer.
        d_ff: feed-forward width; None where the layer does not tell it.
        matching_d_ff: width at which the parameters would be the baseline's; None where no width
            is.
    """

    parameters: int
    flops: int
    tokens: int
    steps: int
    batch_size: int
    context: int
    evaluation: int
    evaluations: int
    data: str
    tokenizer: str
    d_ff: int | None
    matching_d_ff: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Difference:
    """A quantity in which an arm differs from the baseline by more than the study tolerates."""

    arm: str
    quantity: str
    told: str
    is_allowed: bool


_TOLD = {
    "parameters": "parameters",
    "flops": "FLOPs a token",
    "tokens": "training tokens",
    "evaluation": "evaluation tokens",
    "batches": "batches (steps x sequences)",
    "context": "context",
    "data": "data",
    "tokenizer": "tokenizer",
}
TABLE_COLUMNS = (
    "arm", "parameters", "FLOPs/token", "tokens", "steps x batch x context", "evaluation tokens",
    "data", "tokenizer", "d_ff",
)  # fmt: skip


def find_differences(facts: Mapping[str, ArmCosts], design: Comparison) -> list[Difference]:
    """Compare every arm with the baseline (with the first arm where there is none)."""
    reference = design.baseline or next(iter(facts))
    found = []
    for arm, own in facts.items():
        for quantity in _TOLD:
            told = _differs(quantity, own, facts[reference], design.tolerance.get(quantity, 0.0))
            if told:
                text = f"{arm}: {_TOLD[quantity]} {told} ({reference})"
                if quantity == "parameters" and own.matching_d_ff is not None:
                    text += f"; model.d_ff={own.matching_d_ff} would match"
                found.append(Difference(arm, quantity, text, quantity in design.allow))
    return found


def _differs(quantity: str, own: ArmCosts, base: ArmCosts, tolerance: float) -> str:
    if quantity == "batches":
        ours, theirs = f"{own.steps} x {own.batch_size}", f"{base.steps} x {base.batch_size}"
        return "" if ours == theirs else f"{ours}, not {theirs}"
    ours, theirs = getattr(own, quantity), getattr(base, quantity)
    if isinstance(ours, str):
        return "" if ours == theirs else f"{ours[:8]}, not {theirs[:8]}"
    off = abs(ours - theirs) / max(theirs, 1)
    if off <= tolerance:
        return ""
    return f"{ours:,}, not {theirs:,}: {off:.1%} apart, where {tolerance:.1%} is tolerated"


def check(facts: Mapping[str, ArmCosts], design: Comparison) -> list[Difference]:
    """Return the differences that the study allows.

    Raises:
        ConfigError: there are others; the message names each with what would mend it.
    """
    differences = find_differences(facts, design)
    refused = [difference for difference in differences if not difference.is_allowed]
    if refused:
        keys = ", ".join(dict.fromkeys(difference.quantity for difference in refused))
        listed = "\n  ".join(difference.told for difference in refused)
        raise ConfigError(
            f"this comparison would not be fair:\n  {listed}\nchange the arms, or say "
            f"design.allow=[{keys}] to have the difference marked in the report"
        )
    return differences


def table(facts: Mapping[str, ArmCosts]) -> list[list[str]]:
    """One row an arm; see :data:`TABLE_COLUMNS`."""
    return [
        [
            arm,
            f"{own.parameters:,}",
            f"{own.flops:,}",
            f"{own.tokens:,}",
            f"{own.steps:,} x {own.batch_size} x {own.context}",
            f"{own.evaluation:,}",
            own.data[:8],
            own.tokenizer[:8],
            f"{own.d_ff:,}" if own.d_ff else "-",
        ]
        for arm, own in facts.items()
    ]
