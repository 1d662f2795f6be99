"""Checks that the arms of a study differ in nothing but what the study asks about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lmlab.design.comparison import Comparison
from lmlab.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class ArmCosts:
    """The cost of an arm, and the data that it sees.

    Attributes:
        parameters: number of model parameters.
        flops: FLOPs per token of a forward pass over a full context.
        tokens: total training tokens.
        steps: number of updates.
        batch_size: sequences per update.
        context: tokens per sequence.
        evaluation: tokens that the validation loss averages over.
        evaluations: number of validation passes.
        data: hash of the training and validation texts.
        tokenizer: hash of the tokenizer.
        d_ff: feed-forward width; None if the layer does not report one.
        matching_d_ff: width with as many parameters as the baseline; None if no width matches.
        validation: hash of the validation text; None in costs that older versions stored.
        evaluates_all: whether the loss averages over the full validation text; None likewise.
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
    validation: str | None = None
    evaluates_all: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Difference:
    """A quantity in which an arm differs from the baseline by more than the tolerance.

    Attributes:
        arm: name of the arm.
        quantity: one of :data:`lmlab.design.comparison.QUANTITIES`.
        description: the values of both arms in one line.
        is_allowed: whether ``design.allow`` lists the quantity.
    """

    arm: str
    quantity: str
    description: str
    is_allowed: bool


LABELS = {
    "parameters": "parameters",
    "flops": "FLOPs per token",
    "tokens": "training tokens",
    "evaluation": "evaluation tokens",
    "batches": "batches (steps x sequences)",
    "context": "context",
    "data": "data",
    "tokenizer": "tokenizer",
}
TABLE_COLUMNS = (
    "arm", "parameters", "forward FLOPs/token", "tokens", "steps x batch x context",
    "evaluation tokens", "data", "tokenizer", "d_ff",
)  # fmt: skip


def find_differences(costs: Mapping[str, ArmCosts], design: Comparison) -> list[Difference]:
    """Compare every arm with the baseline, or with the first arm if there is no baseline."""
    reference = design.baseline or next(iter(costs))
    differences = []
    for arm, arm_costs in costs.items():
        for quantity, label in LABELS.items():
            tolerance = design.tolerance.get(quantity, 0.0)
            describe = _describe_evaluation if quantity == "evaluation" else _describe_difference
            values = describe(quantity, arm_costs, costs[reference], tolerance, reference)
            if values:
                description = f"{arm}: {label} {values}"
                if quantity == "parameters" and arm_costs.matching_d_ff is not None:
                    description += f"; model.d_ff={arm_costs.matching_d_ff} would match"
                is_allowed = quantity in design.allow
                differences.append(Difference(arm, quantity, description, is_allowed))
    return differences


def _describe_difference(
    quantity: str, arm: ArmCosts, baseline: ArmCosts, tolerance: float, reference: str
) -> str:
    """Return both values, or an empty string where they are equal within the tolerance."""
    if quantity == "batches":
        ours, theirs = (
            f"{arm.steps:,} x {arm.batch_size}",
            f"{baseline.steps:,} x {baseline.batch_size}",
        )
        return "" if ours == theirs else f"{ours}, but {theirs} in {reference}"
    ours, theirs = getattr(arm, quantity), getattr(baseline, quantity)
    if isinstance(ours, str):
        return "" if ours == theirs else f"{ours[:8]}, but {theirs[:8]} in {reference}"
    relative = abs(ours - theirs) / max(theirs, 1)
    if relative <= tolerance:
        return ""
    return (
        f"{ours:,}, but {theirs:,} in {reference}: {relative:.1%} apart, above the tolerance of "
        f"{tolerance:.1%}"
    )


def _describe_evaluation(
    quantity: str, arm: ArmCosts, baseline: ArmCosts, tolerance: float, reference: str
) -> str:
    """Return how the evaluated texts differ, which equal numbers of tokens do not rule out."""
    is_known = None not in (arm.validation, baseline.validation)
    is_same_tokenizer = arm.tokenizer == baseline.tokenizer
    is_same_text = arm.validation == baseline.validation
    if not is_known or (is_same_tokenizer and is_same_text):
        return _describe_difference(quantity, arm, baseline, tolerance, reference)
    if arm.evaluates_all and baseline.evaluates_all and is_same_text:
        return ""  # one text, in the tokens of each
    numbers = f"{arm.evaluation:,}, and {baseline.evaluation:,} in {reference}, of different text"
    if not is_same_text:
        return numbers
    return f"{numbers}, because the tokenizers differ and validation.max_tokens cuts the text"


def is_incomparable(tokenizer: str, baseline: str, metric: str) -> bool:
    """Return whether losses are averages over tokens of different tokenizers.

    Args:
        tokenizer: hash of an arm's tokenizer.
        baseline: hash of the baseline's.
        metric: the metric that the study compares runs by.
    """
    return metric == "loss" and tokenizer != baseline


def check_fairness(costs: Mapping[str, ArmCosts], design: Comparison) -> list[Difference]:
    """Return the differences that the study allows.

    Raises:
        ConfigError: arms differ in ways that the study does not allow; the message lists them.
    """
    differences = find_differences(costs, design)
    refused = [difference for difference in differences if not difference.is_allowed]
    per_token = design.baseline is not None and [
        arm
        for arm, arm_costs in costs.items()
        if is_incomparable(arm_costs.tokenizer, costs[design.baseline].tokenizer, design.metric)
    ]
    if refused:
        listed = "\n  ".join(difference.description for difference in refused)
        raise ConfigError(
            f"the arms cannot be compared fairly:\n  {listed}",
            _how_to_compare(refused, design, bool(per_token)),
        )
    if per_token:
        arms = ", ".join(per_token)
        raise ConfigError(
            f"design.metric=loss: nats per token of different tokenizers cannot be compared; "
            f"{arms} and {design.baseline} differ in the tokenizer",
            "set design.metric=bits_per_byte; design.margin is then in bits per byte",
        )
    return differences


def _how_to_compare(refused: list[Difference], design: Comparison, is_per_token: bool) -> str:
    """Return the settings under which the arms may be compared."""
    settings = []
    if is_per_token:
        settings.append("design.metric=bits_per_byte (tokens of different tokenizers differ)")
    quantities = list(dict.fromkeys(difference.quantity for difference in refused))
    if any("max_tokens" in difference.description for difference in refused):
        settings.append("validation.max_tokens=null to evaluate all of the same text")
        quantities.remove("evaluation")
    if quantities:
        # An override replaces the list, so the quantities that are allowed already belong to it.
        allow = ", ".join(dict.fromkeys([*design.allow, *quantities]))
        settings.append(
            f"design.allow=[{allow}] to allow the differences and mark them in the report"
        )
    return f"change the arms, or set {', and '.join(settings)}"


def cost_table(costs: Mapping[str, ArmCosts]) -> list[list[str]]:
    """Return one row per arm, with the columns :data:`TABLE_COLUMNS`."""
    return [
        [
            name,
            f"{arm.parameters:,}",
            f"{arm.flops:,}",
            f"{arm.tokens:,}",
            f"{arm.steps:,} x {arm.batch_size} x {arm.context}",
            f"{arm.evaluation:,}",
            arm.data[:8],
            arm.tokenizer[:8],
            f"{arm.d_ff:,}" if arm.d_ff else "-",
        ]
        for name, arm in costs.items()
    ]
