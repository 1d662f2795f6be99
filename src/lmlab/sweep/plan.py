"""What a study will cost and can find, told before anything is launched."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from lmlab.design.comparison import METRICS, Comparison
from lmlab.design.fairness import Facts
from lmlab.run_folder import RunFolder
from lmlab.study.statistics import predicted_power, smallest_detectable
from lmlab.study.verdicts import rule_of

# A search tries about three coarse rates, two more on its way to the optimum, and three for the
# edge with the first seed; the five around the optimum with every other seed.
SEARCH_RUNS = (8, 5)
START_SECONDS = 1.5  # of a run that is forked: building, saving, samples


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
        runs = f"about {self.least_runs} runs"
        if self.most_runs > self.least_runs:
            runs += f" ({self.most_runs} if every arm needs more seeds)"
        if self.seconds is None:
            return runs
        return f"{runs}, predicted {duration(self.seconds)} if none of them is done yet"


def make_plan(design: Comparison | None, facts: Sequence[Facts], slots: int, rate: float) -> Plan:
    """Predict runs and time.

    Args:
        design: of the study; None for a plain sweep.
        facts: of each arm (of each run, for a plain sweep).
        slots: jobs at once.
        rate: FLOP/s of one job.
    """
    # A backward pass costs two forward passes; an evaluation has none.
    costs = [
        own.flops * (3 * own.tokens + own.evaluations * own.evaluation) / rate + START_SECONDS
        for own in facts
    ]
    if design is None:
        return Plan(len(facts), len(facts), sum(costs) / slots)
    tuning = SEARCH_RUNS[0] + SEARCH_RUNS[1] * (design.num_tuning_seeds - 1)
    if design.lr == "fixed":
        tuning = 0
    twice = design.at_baseline_lr and design.lr == "search" and design.baseline is not None
    each = [
        tuning + design.num_seeds * (2 if twice and arm != design.baseline else 1)
        for arm in design.arms
    ]
    seconds = sum(number * cost for number, cost in zip(each, costs, strict=True))
    more = sum(design.extra_seeds * (2 if twice else 1) for _ in design.compared)
    runs = sum(each)
    if design.replicate is not None:
        runs += design.num_seeds
        seconds += design.num_seeds * costs[list(design.arms).index(str(design.baseline))]
    return Plan(runs, runs + more, seconds / slots)


def find_power(design: Comparison, earlier: Iterable[RunFolder]) -> list[str]:
    """Sentences on what the design can find: noise, the smallest difference, and the rule."""
    if not design.compared:
        return []
    if design.num_seeds == 1:
        return ["One seed cannot support a verdict; five or more can."]
    rows = [run.rows("validation") for run in earlier]
    losses = [found[-1][design.metric] for found in rows if found]
    measured = len(losses) >= 3
    sd = statistics.stdev(losses) if measured else design.expected_sd
    source = f"over {len(losses)} seeds of the baseline" if measured else "assumed"
    rule, family = rule_of(design), len([a for a in design.compared if a != design.replicate])
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


def measured_rate(runs: Iterable[RunFolder], device: str) -> float | None:
    """FLOP/s of earlier runs on a device of this kind (their median); None where there are none."""
    rates = []
    for run in runs:
        status, meta = run.status(), run.meta()
        flops = meta.get("forward_flops_per_token")
        kind = meta.get("identity", {}).get("device", {}).get("device_type")
        if flops and kind == device and status.get("tokens") and status.get("seconds"):
            rates.append(3 * flops * status["tokens"] / status["seconds"])
    return statistics.median(rates) if rates else None


def probed_rate(device: torch.device, threads: int, size: int = 512) -> float:
    """FLOP/s of training, guessed as a third of a matrix product's on this device."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        left = torch.ones(size, size, device=device)
        (left @ left).sum().item()
        started, rounds = time.perf_counter(), 20
        for _ in range(rounds):
            product = left @ left
        product.sum().item()
        return rounds * 2 * size**3 / (time.perf_counter() - started) / 3
    finally:
        torch.set_num_threads(before)


def duration(seconds: float) -> str:
    """Seconds for a person."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def runs_below(output_root: Path, most: int = 500) -> list[RunFolder]:
    """Some earlier runs, the newest first."""
    found = sorted(
        output_root.glob("*/*/seed*/status.json"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    return [RunFolder(path.parent) for path in found[:most]]
