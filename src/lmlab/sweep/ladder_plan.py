"""The rungs and the expected size of a ladder, printed before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.config.run_config import RunConfig
from lmlab.console.formatting import align_columns
from lmlab.design.ladder import TRANSFER, Ladder
from lmlab.design.ladder_runs import describe_rates
from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError
from lmlab.sweep.plan import Plan, make_plan

MAX_PASSES = 4  # over the text; repeated tokens teach less from there on (Muennighoff et al. 2023)
_NUM_BRACKETING = 2  # rates beside a transferred one, which the judged runs have too
_COLUMNS = (
    "rung", "width", "layers", "parameters", "in blocks", "tokens", "batch", "steps", "FLOPs",
    "passes", "seeds",
)  # fmt: skip


def describe_rungs(ladder: Ladder, config: RunConfig, train_tokens: int) -> list[str]:
    """Return the table of rungs as lines, with what else to know before the ladder starts.

    Args:
        ladder: with its rungs.
        config: configuration of a run, for the context.
        train_tokens: tokens of the training text.

    Raises:
        ConfigError: a rung would read the text more than four times.
    """
    rows: list[Sequence[str]] = [_COLUMNS]
    notes = [describe_rates(ladder)]
    for number, rung in enumerate(ladder.rungs, 1):
        passes = rung.tokens / train_tokens
        settings = dict(text.partition("=")[::2] for text in rung.overrides)
        batch = int(settings.get("training.batch_size", config.training.batch_size))
        steps = rung.tokens // (batch * config.model.context_length)
        rows.append([
            f"r{number}", f"{rung.d_model:,}", str(rung.num_layers), f"{rung.parameters:,}",
            f"{rung.hidden_parameters:,}", f"{rung.tokens:,}", str(batch), f"{steps:,}",
            f"{rung.flops:.2e}", f"{passes:.2f}", str(ladder.seeds(number - 1)),
        ])  # fmt: skip
        if passes > MAX_PASSES:
            raise ConfigError(
                f"ladder: rung r{number} reads the training text {passes:.1f} times; expected at "
                f"most {MAX_PASSES}, because repeated tokens teach less and bend the curve",
                "train on a longer text, or lower ladder.span or ladder.tokens_per_parameter",
            )
        if passes > 1:
            notes.append(
                f"warning: rung r{number} reads the training text {passes:.2f} times; repeated "
                "tokens teach less."
            )
    if ladder.sealed:
        notes.append(f"Forecasts of r{len(ladder.rungs)} are sealed before any of its runs starts.")
    return [*align_columns(rows), *notes]


def plan_study(
    manifest: Manifest, num_configs: int, seconds: Sequence[float] | None, slots: int
) -> Plan:
    """Predict the number of runs and the time of a sweep, study or ladder.

    Args:
        manifest: what was submitted.
        num_configs: number of configurations of a plain sweep that are not finished.
        seconds: predicted time of one run of each configuration; None if unknown.
        slots: number of concurrent jobs.
    """
    if manifest.ladder is not None:
        return make_ladder_plan(manifest.ladder, seconds, slots)
    return make_plan(manifest.comparison, num_configs, seconds, slots)


def make_ladder_plan(ladder: Ladder, seconds: Sequence[float] | None, slots: int) -> Plan:
    """Predict the number of runs and the time of a ladder.

    Args:
        ladder: with its rungs.
        seconds: predicted time of one run of each arm, from the lowest rung; None if unknown.
        slots: number of concurrent jobs.
    """
    number, plans = len(ladder.arms), []
    for rung in range(len(ladder.rungs)):
        own = None if seconds is None else seconds[rung * number : (rung + 1) * number]
        plans.append(make_plan(ladder.on_rung(rung), number, own, slots))
    least = sum(plan.least_runs for plan in plans)
    total = None if seconds is None else sum(plan.seconds or 0.0 for plan in plans)
    highest = ladder.seeds(len(ladder.rungs) - 1)
    bracketed = min(ladder.num_tuning_seeds, highest)
    extra = _NUM_BRACKETING * bracketed if ladder.lr == TRANSFER else 0
    extra += highest if ladder.at_lowest_lr else 0
    if total is not None and seconds is not None:
        total += extra * sum(seconds[-number:]) / slots
    most = sum(plan.most_runs for plan in plans)
    reason = next((plan.reason for plan in plans if plan.reason), "")
    return Plan(least + extra * number, most + extra * number, total, reason)
