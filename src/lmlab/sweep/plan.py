"""What a study will cost and can find, told before anything is launched."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from lmlab.console.formatting import format_duration
from lmlab.design.comparison import METRICS, Comparison
from lmlab.run_folder import RunFolder
from lmlab.study.power import predicted_power, smallest_detectable
from lmlab.study.verdicts import decision_rule
from lmlab.sweep.sweep_preflight import makespan

# A search tries about three coarse rates, two more on its way to the optimum, and three for the
# edge with the first seed; the five around the optimum with every other seed.
SEARCH_RUNS = (8, 5)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The expected size of a study.

    Attributes:
        least_runs: without any choice left open.
        most_runs: with every second look taken.
        seconds: predicted, for ``least_runs`` on all slots together; None where nothing is known.
    """

    least_runs: int
    most_runs: int
    seconds: float | None

    def told(self) -> str:
        """The plan in one line."""
        if not self.least_runs:
            return "every run is done already"
        runs = f"about {self.least_runs} runs"
        if self.most_runs > self.least_runs:
            runs += f" ({self.most_runs} if every arm needs more seeds)"
        if self.seconds is None:
            return runs
        return f"{runs}, predicted {format_duration(self.seconds)} if none of them is done yet"


def make_plan(
    design: Comparison | None, arms: int, seconds: Sequence[float] | None, slots: int
) -> Plan:
    """Predict runs and time.

    Args:
        design: of the study; None for a plain sweep.
        arms: number of them (of runs, for a plain sweep).
        seconds: of one run of each; None where nothing is known.
        slots: jobs at once.
    """
    if design is None:
        return Plan(arms, arms, None if seconds is None else makespan(seconds, slots))
    tuning = SEARCH_RUNS[0] + SEARCH_RUNS[1] * (design.num_tuning_seeds - 1)
    if design.lr == "fixed":
        tuning = 0
    twice = design.at_baseline_lr and design.lr == "search" and design.baseline is not None
    each = [
        tuning + design.num_seeds * (2 if twice and arm != design.baseline else 1)
        for arm in design.arms
    ]
    more = sum(design.extra_seeds * (2 if twice else 1) for _ in design.compared_arms)
    runs = sum(each)
    if design.replicate is not None:
        runs += design.num_seeds
        each[list(design.arms).index(str(design.baseline))] += design.num_seeds
    if seconds is None:
        return Plan(runs, runs + more, None)
    whole = sum(number * own for number, own in zip(each, seconds, strict=True))
    return Plan(runs, runs + more, whole / slots)


def find_power(design: Comparison, earlier: Iterable[RunFolder]) -> list[str]:
    """Sentences on what the design can find: noise, the smallest difference, and the rule.

    Args:
        design: of the study.
        earlier: runs of the baseline; those that are done tell its noise.
    """
    if not design.compared_arms:
        return []
    if design.num_seeds == 1:
        return ["One seed cannot support a verdict; five or more can."]
    done = [run for run in earlier if run.status().get("status") == "done"]
    losses = [run.rows("validation")[-1][design.metric] for run in done]
    measured = len(losses) >= 3
    sd = statistics.stdev(losses) if measured else design.expected_sd
    source = f"over {len(losses)} seeds of the baseline" if measured else "assumed"
    rule, family = (
        decision_rule(design),
        len([a for a in design.compared_arms if a != design.replicate]),
    )
    # Differences of independent runs; what a pair has in common can only make them smaller.
    smallest = smallest_detectable(math.sqrt(2) * sd, rule, max(family, 1))
    power = predicted_power(smallest, math.sqrt(2) * sd, rule, max(family, 1))
    told = [
        f"Final losses vary by {sd:.4f} {METRICS[design.metric]} ({source}); a true difference of "
        f"{smallest:.4f} is found with a chance of {power:.0%}.",
    ]
    if design.num_seeds == 2:
        told.append("Two seeds can hardly support a verdict; five or more can.")
    return told
