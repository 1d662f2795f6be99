"""The rungs and the expected size of a ladder, printed before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lmlab.console.formatting import align_columns
from lmlab.design.fairness import ArmCosts
from lmlab.design.ladder import GAINS, TRANSFER, Ladder, cell_name
from lmlab.design.ladder_runs import describe_rates
from lmlab.design.manifest import Manifest
from lmlab.design.met_budgets import MAX_OFF, budget_of, off_budget
from lmlab.errors import ConfigError
from lmlab.sweep.factorial_plan import make_factorial_plan
from lmlab.sweep.plan import Plan, make_plan

MAX_PASSES = 4  # over the text; repeated tokens teach less from there on (Muennighoff et al. 2023)
_NUM_BRACKETING = 2  # rates beside a transferred one, which the judged runs have too
_COLUMNS = (
    "rung", "width", "layers", "parameters", "in blocks", "tokens", "batch", "steps", "FLOPs",
    "passes", "seeds",
)  # fmt: skip


def describe_rungs(ladder: Ladder, costs: Mapping[str, ArmCosts], train_tokens: int) -> list[str]:
    """Return the table of rungs as lines, with what else to know before the ladder starts.

    Args:
        ladder: with its rungs.
        costs: of each cell.
        train_tokens: tokens of the training text.

    Raises:
        ConfigError: a rung would read the text more than four times.
    """
    rows: list[Sequence[str]] = [_COLUMNS]
    for number, rung in enumerate(ladder.rungs):
        own = costs[cell_name(number, ladder.baseline)]
        rows.append([
            f"r{number + 1}", f"{rung.d_model:,}", str(rung.num_layers), f"{rung.parameters:,}",
            f"{rung.hidden_parameters:,}", f"{rung.tokens:,}", str(own.batch_size),
            f"{own.steps:,}", f"{rung.flops:.2e}", f"{rung.tokens / train_tokens:.2f}",
            str(ladder.seeds(number)),
        ])  # fmt: skip
    return [*align_columns(rows), *_notes(ladder, costs, train_tokens)]


def describe_budgets(ladder: Ladder, costs: Mapping[str, ArmCosts], train_tokens: int) -> list[str]:
    """Return the table of budgets and sizes as lines; see :func:`describe_rungs`.

    Raises:
        ConfigError: a run would read the text more than four times.
    """
    rows: list[Sequence[str]] = [["size", "parameters", *(f"tokens at {rung.flops:.2e} FLOPs" for
                                                        rung in ladder.rungs)]]  # fmt: skip
    for arm in ladder.arms:
        cells = [costs[cell_name(number, arm)] for number in range(len(ladder.rungs))]
        rows.append([arm, f"{cells[0].parameters:,}", *(f"{cell.tokens:,}" for cell in cells)])
    return [*align_columns(rows), *_missed(ladder, costs), *_notes(ladder, costs, train_tokens)]


def _missed(ladder: Ladder, costs: Mapping[str, ArmCosts]) -> list[str]:
    """Warn of sizes that will be left out of a budget, because whole steps miss it."""
    missed = []
    for number, rung in enumerate(ladder.rungs):
        cells = {arm: costs[cell_name(number, arm)] for arm in ladder.arms}
        flops = {arm: 3.0 * cell.flops * cell.tokens for arm, cell in cells.items()}
        missed += [cell_name(number, arm) for arm in off_budget(flops, budget_of(rung, flops))]
    if not missed:
        return []
    return [
        f"warning: left out of the analysis, because whole steps miss the budget by more than "
        f"{MAX_OFF:.0%}: {', '.join(missed)}; raise ladder.flops, lower training.batch_size, or "
        "list smaller sizes in design.arms."
    ]


def _notes(ladder: Ladder, costs: Mapping[str, ArmCosts], train_tokens: int) -> list[str]:
    """Return where the rates come from, warnings about passes over the text, and the seal."""
    notes = [describe_rates(ladder)]
    for number in range(len(ladder.rungs)):
        arm = max(ladder.arms, key=lambda one: costs[cell_name(number, one)].tokens)
        name = f"rung r{number + 1}" if ladder.analysis == GAINS else cell_name(number, arm)
        passes = costs[cell_name(number, arm)].tokens / train_tokens
        if passes > MAX_PASSES:
            raise ConfigError(
                f"ladder: {name} reads the training text {passes:.1f} times; expected at most "
                f"{MAX_PASSES}, because repeated tokens teach less and bend the curve",
                "train on a longer text, or on fewer tokens: lower ladder.span, "
                "ladder.tokens_per_parameter or ladder.flops",
            )
        if passes > 1:
            notes.append(
                f"warning: {name} reads the training text {passes:.2f} times; repeated tokens "
                "teach less."
            )
    if ladder.sealed:
        notes.append(f"Forecasts of r{len(ladder.rungs)} are sealed before any of its runs starts.")
    return notes


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
    if manifest.factorial is not None:
        return make_factorial_plan(manifest.factorial, seconds, slots)
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
