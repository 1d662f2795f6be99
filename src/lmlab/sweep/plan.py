"""The expected size and power of a study, printed before it starts."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from lmlab.console.formatting import format_count, format_duration, format_list
from lmlab.design.comparison import METRICS, Comparison
from lmlab.design.confirmation import ALWAYS, AUTO, NEVER
from lmlab.run_folder import RunFolder
from lmlab.study.added_arms import describe_added_arms
from lmlab.study.decision_rules import decision_rule
from lmlab.study.power import predicted_power, smallest_detectable
from lmlab.study.wave_forecast import forecast
from lmlab.sweep.time_prediction import makespan

# With the first seed, a search tries about three coarse rates, two more on its way to the optimum,
# and three for the edge; with every other seed, the five rates around the optimum.
SEARCH_RUNS = (8, 5)
_EDGE_RUNS = 3  # of the first seed's
_CONFIRMING_RATES = (3, 4)  # with all tuning seeds; the fourth where one of the outer two is best
_MIN_SEEDS_FOR_SD = 3


@dataclasses.dataclass(frozen=True)
class Plan:
    """The expected size of a study.

    Attributes:
        least_runs: number of runs if no verdict needs extra seeds.
        most_runs: number of runs if every arm needs extra seeds, and runs that confirm its rate.
        seconds: predicted time of ``least_runs`` on all slots; None if unknown.
        reason: what the further runs are for.
    """

    least_runs: int
    most_runs: int
    seconds: float | None
    reason: str = "more seeds"

    def summary(self) -> str:
        """Return the plan in one line."""
        if not self.least_runs:
            return "all runs are already complete"
        runs = f"about {format_count(self.least_runs, 'run')}"
        if self.most_runs > self.least_runs:
            runs += f" ({self.most_runs} if every arm needs {self.reason})"
        if self.seconds is None:
            return runs
        return f"{runs}, predicted {format_duration(self.seconds)} if none of them is complete"


def make_plan(
    design: Comparison | None, arms: int, seconds: Sequence[float] | None, slots: int
) -> Plan:
    """Predict the number of runs and the time.

    Args:
        design: declaration of the study; None for a plain sweep.
        arms: number of arms (of runs, for a plain sweep).
        seconds: predicted time of one run of each; None if unknown.
        slots: number of concurrent jobs.
    """
    if design is None:
        return Plan(arms, arms, None if seconds is None else makespan(seconds, slots))
    tuning, repeating, confirming = _tuning_runs(design)
    at_two_rates = design.at_baseline_lr and design.lr == "search" and design.baseline is not None
    runs_by_arm = [
        tuning + design.first_seeds * (2 if at_two_rates and arm != design.baseline else 1)
        for arm in design.arms
    ]
    further = design.most_seeds - design.first_seeds
    extra = len(design.compared_arms) * further
    extra *= 2 if at_two_rates and not design.is_sequential else 1
    extra += further if design.is_sequential else 0  # of the baseline
    reasons = ["more seeds"] if extra else []
    if repeating:
        reasons.append("all tuning seeds")
        extra += repeating * len(design.arms)
    if confirming:
        reasons.append("runs to confirm its learning rate")
        extra += confirming * len(design.arms)
    reason = format_list(reasons) if reasons else ""
    runs = sum(runs_by_arm)
    if design.replicate is not None:
        runs += design.first_seeds
        runs_by_arm[list(design.arms).index(str(design.baseline))] += design.first_seeds
    if seconds is None:
        return Plan(runs, runs + extra, None, reason)
    total = sum(number * each for number, each in zip(runs_by_arm, seconds, strict=True))
    return Plan(runs, runs + extra, total / slots, reason)


def _tuning_runs(design: Comparison) -> tuple[int, int, int]:
    """Return how many runs find the rate of an arm, and how many more may have to.

    Returns:
        The runs of every search, those with further tuning seeds that may be left out, and those
        that may have to confirm the rate.
    """
    if design.lr == "fixed":
        return 0, 0, 0
    least, most = (number * design.num_tuning_seeds for number in _CONFIRMING_RATES)
    runs, repeating = SEARCH_RUNS[0], SEARCH_RUNS[1] * (design.num_tuning_seeds - 1)
    if design.prune == NEVER:
        runs, repeating = runs + repeating, 0
    runs -= _EDGE_RUNS if design.edge_ratio is None else 0
    if design.confirm_rate == ALWAYS:
        return runs + least, repeating, most - least
    return runs, repeating, most if design.confirm_rate == AUTO else 0


def describe_power(
    design: Comparison,
    baseline_runs: Iterable[RunFolder],
    assumed: tuple[float, str] | None = None,
) -> list[str]:
    """Return sentences about what the study can detect.

    Args:
        design: declaration of the study.
        baseline_runs: earlier runs of the baseline; the finished ones determine its noise.
        assumed: otherwise, the standard deviation over seeds in the unit of the metric, and where
            it comes from; None for ``design.expected_sd``.
    """
    if not design.compared_arms:
        return []
    if design.first_seeds == 1:
        return ["One seed cannot support a verdict; use five or more."]
    sd, source = spread_over_seeds(design, baseline_runs, assumed)
    # The difference of independent runs; pairing by seed can only make it smaller.
    difference_sd = math.sqrt(2) * sd
    rule, family = decision_rule(design), max(design.family, 1)
    smallest = smallest_detectable(difference_sd, rule, family)
    power = predicted_power(smallest, difference_sd, rule, family)
    sentences = [
        f"Final losses vary by {sd:.4f} {METRICS[design.metric]} ({source}); the study detects a "
        f"true difference of {smallest:.4f} with probability {power:.0%}.",
    ]
    if design.most_seeds == 2:
        sentences.append("Two seeds can hardly support a verdict; use five or more.")
    if design.is_sequential:
        sentences += _describe_waves(design, difference_sd, smallest)
    return [*sentences, *_describe_test(design)]


def _describe_waves(design: Comparison, sd: float, smallest: float) -> list[str]:
    """State how many runs a sequential study will probably take, by the true difference.

    Args:
        design: declaration of the study.
        sd: standard deviation of the difference of a pair, in the unit of the metric.
        smallest: difference that the study detects, in the same unit.
    """
    rule, family, arms = decision_rule(design), max(design.family, 1), design.num_tested
    before = _tuning_runs(design)[0] * len(design.arms)
    if design.at_baseline_lr and design.lr == "search":
        before += arms * design.first_seeds
    cases = {
        "no arm differs": 0.0,
        f"every arm differs by the margin of {design.margin:g}": design.margin,
        f"by {smallest:.4f}": smallest,
        f"by {2 * smallest:.4f}": 2 * smallest,
    }
    texts = []
    for name, effect in cases.items():
        if arms and sd > 0:
            found = forecast(effect, sd, rule, family, arms)
            judged = arms * found.seeds + found.baseline_seeds
            texts.append(f"{before + judged:.0f} where {name}".replace("where by", "by"))
    if not texts:
        return []
    but = " (not counting those of the replicate)" if design.replicate is not None else ""
    return [
        f"Arms are tested after each seed, from {design.first_seeds} to {design.most_seeds}. "
        f"Expected runs{but}: {', '.join(texts)}."
    ]


def spread_over_seeds(
    design: Comparison,
    baseline_runs: Iterable[RunFolder],
    assumed: tuple[float, str] | None = None,
) -> tuple[float, str]:
    """Return the standard deviation of the metric over seeds, and where it comes from.

    See :func:`describe_power`.
    """
    done = [run for run in baseline_runs if run.status().get("status") == "done"]
    losses = [run.evaluations(design.metric)[-1][design.metric] for run in done]
    if len(losses) >= _MIN_SEEDS_FOR_SD:
        return statistics.stdev(losses), f"over {format_count(len(losses), 'seed')} of the baseline"
    return assumed or (design.expected_sd, "assumed")


def _describe_test(design: Comparison) -> list[str]:
    """Return sentences about the test, its assumptions, and the looks that it accounts for."""
    needed = design.seeds_for_sign_flips
    if design.test == "sign_flips":
        sentences = [
            "Differences are judged by the sign-flip test, which holds for noise of any "
            "distribution."
        ]
        if design.num_seeds < needed:
            sentences.append(
                f"With fewer than {format_count(needed, 'seed')}, it cannot find a difference."
            )
    else:
        sentences = [
            "Differences are judged by the t test, which assumes normal noise"
            + (
                "."
                if design.is_sequential
                else f"; from design.num_seeds={needed} on, design.test=auto needs no such "
                "assumption."
            )
        ]
    if design.earlier_looks:
        looks = ", ".join(map(str, design.earlier_looks))
        sentences.append(
            f"The study was judged before with fewer seeds ({looks}), which counts as a further "
            "look at the same runs."
        )
    return sentences + describe_added_arms(design)
