"""The cells, the size and the power of a factorial study, printed before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.console.formatting import format_count
from lmlab.design.comparison import METRICS
from lmlab.design.factorial import Factorial
from lmlab.design.ladder import FIXED, SEARCH
from lmlab.design.two_level import order
from lmlab.study.decision_rules import decision_rule
from lmlab.study.factorials.effects import contrast_sd
from lmlab.study.factorials.lenth import MIN_EFFECTS
from lmlab.study.power import predicted_power, smallest_detectable
from lmlab.sweep.plan import Plan, make_plan

_NUM_CHECKING = 2  # rates beside that of the best cell, which the judged runs have too


def describe_factorial(factorial: Factorial, run_sd: float, source: str) -> list[str]:
    """Return sentences about cells, aliases, learning rates, and what the study can detect.

    Args:
        factorial: the declaration.
        run_sd: standard deviation of the metric over seeds.
        source: where it comes from.
    """
    design = factorial.design
    lines = [
        f"Factorial design: {factorial.shown_design}: {format_count(design.num_runs, 'cell')}, "
        f"{format_count(factorial.num_seeds, 'seed')} each.",
        *describe_aliases(factorial),
        describe_factorial_rates(factorial),
    ]
    if factorial.num_seeds == 1:
        lines.append(
            "One seed supports no verdicts; effects are compared with the noise of all effects "
            "(Lenth 1989)."
            if design.num_runs > MIN_EFFECTS
            else "One seed supports no verdict; use five or more."
        )
        return lines
    rule, sd = decision_rule(factorial.comparison), contrast_sd(run_sd, design.num_runs)
    smallest = smallest_detectable(sd, rule, factorial.family)
    power = predicted_power(smallest, sd, rule, factorial.family)
    lines.append(
        f"Final losses vary by {run_sd:.4f} {METRICS[factorial.metric]} ({source}); the study "
        f"detects a true main effect or interaction of {smallest:.4f} with probability "
        f"{power:.0%}, at the first step of Holm's method over {factorial.family} effects."
    )
    return lines


def describe_aliases(factorial: Factorial) -> list[str]:
    """State which effects the design cannot tell apart; interactions of three factors and more
    are named where they hide a main effect.
    """
    design = factorial.design
    if not design.words:
        return ["All effects are estimated apart from each other."]
    lines = [f"Defining relation: {design.defining_relation()}."]
    confounded = []
    for effect in design.low_order_effects:
        aliases = [
            f"{'-' if sign < 0 else ''}{design.label(alias)}"
            for alias, sign in design.aliases(effect).items()
            if order(alias) <= 2
        ]
        if aliases:
            confounded.append(f"{design.label(effect)} with {', '.join(aliases)}")
    if confounded:
        lines.append(f"Effects that cannot be told apart: {'; '.join(confounded)}.")
    else:
        lines.append(
            "Main effects and two-factor interactions are estimated apart from each other, if "
            "there are no interactions of more factors."
        )
    return lines


def describe_factorial_rates(factorial: Factorial) -> str:
    """State where the learning rates of the cells come from."""
    if factorial.lr == FIXED:
        return "Every run is trained at its configured learning rate."
    searched = factorial.searched_cells
    if factorial.lr == SEARCH or len(searched) == len(factorial.cells):
        return "The learning rate of each cell is searched."
    return (
        f"Learning rates are searched in {len(searched)} of {len(factorial.cells)} cells "
        f"({', '.join(searched)}), predicted in the others by main effects of the factors, and "
        "checked at the best cell."
    )


def make_factorial_plan(factorial: Factorial, seconds: Sequence[float] | None, slots: int) -> Plan:
    """Predict the number of runs and the time of a factorial study.

    Args:
        factorial: the declaration.
        seconds: predicted time of one run of each cell; None if unknown.
        slots: number of concurrent jobs.
    """
    comparison = factorial.comparison
    every = make_plan(comparison, len(factorial.cells), seconds, slots)
    predicted = [cell for cell in factorial.cells if factorial.predicts(cell)]
    if not predicted:
        return every
    number = len(factorial.cells)
    judged = number * factorial.num_seeds
    share = 1 - len(predicted) / number
    extra = _NUM_CHECKING * min(factorial.num_tuning_seeds, factorial.num_seeds)
    least = judged + round((every.least_runs - judged) * share) + extra
    most = least + round((every.most_runs - every.least_runs) * share)
    total = None
    if seconds is not None:
        times = dict(zip(factorial.cells, seconds, strict=True))
        tuning = (every.least_runs - judged) / number
        total = factorial.num_seeds * sum(seconds) + extra * max(seconds)
        total += tuning * sum(times[cell] for cell in factorial.searched_cells)
        total /= slots
    return Plan(least, most, total, every.reason.replace("arm", "searched cell"))
