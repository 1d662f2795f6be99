"""What a sequential study will probably end with, and how many seeds it will take.

Studies are simulated: normal runs whose spread is the same in all arms, and baseline runs that all
arms share, so that the differences of two arms have a correlation of 1/2. Each arm decides at the
first step of Holm's method, which is the hardest.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from lmlab.study.futility import chance_of_verdict
from lmlab.study.sequential_test import Array, Rule
from lmlab.study.t_test import t_bound

BETTER, WORSE, EQUAL, FUTILE, OPEN = "better", "worse", "no difference", "futility", "open"
_ENDS = (OPEN, WORSE, BETTER, EQUAL, FUTILE)  # by code
_PAIRS = 60_000  # simulated pairs per forecast


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Shares of the arms by how they end, and means of the seeds that they take.

    Attributes:
        found: share of arms whose difference is found, with its sign.
        equal: share of arms with the verdict "no difference".
        futile: share of arms that end because a verdict is improbable.
        seeds: seeds of one arm.
        baseline_seeds: seeds of the baseline: as many as the arm that takes most.
    """

    found: float
    equal: float
    futile: float
    seeds: float
    baseline_seeds: float


def forecast(effect: float, sd: float, rule: Rule, family: int = 1, arms: int = 1) -> Forecast:
    """Simulate sequential studies in which every arm differs by ``effect``.

    Args:
        effect: true difference, in the unit of the metric.
        sd: standard deviation of the difference of a pair, above 0, in the same unit.
        rule: how the study decides.
        family: number of verdicts that share ``alpha``.
        arms: number of arms, which share the runs of the baseline.
    """
    differences = effect + sd * _standard_pairs(arms, rule.seeds)
    codes, seeds = decide_waves(differences, rule, family)
    share = {name: float(np.mean(codes == code)) for code, name in enumerate(_ENDS)}
    is_found = share[WORSE] if effect >= 0 else share[BETTER]
    return Forecast(
        is_found, share[EQUAL], share[FUTILE], float(seeds.mean()),
        float(seeds.max(axis=-1).mean()),
    )  # fmt: skip


def decide_waves(differences: Array, rule: Rule, family: int = 1) -> tuple[Any, Any]:
    """Follow the waves of many arms at once, each at the first step of Holm's method.

    Args:
        differences: arm minus baseline, shape (..., n) with n at least ``rule.seeds``.
        rule: how the study decides; a lower metric is better.
        family: number of verdicts that share ``alpha``.

    Returns:
        How each arm ends, as the number of 0 open, 1 worse, 2 better, 3 no difference, 4 futility,
        and after how many pairs; both of shape (...).
    """
    x = differences[..., : rule.seeds]
    levels = rule.nominal_level(rule.alpha / family), rule.nominal_level(rule.alpha)
    codes = np.zeros(x.shape[:-1], dtype=np.int64)
    seeds = np.full(x.shape[:-1], rule.seeds)
    for number in range(rule.min_seeds, rule.seeds + 1):
        mean = x[..., :number].mean(axis=-1)
        error = x[..., :number].std(axis=-1, ddof=1) / np.sqrt(number)
        least, bound = (t_bound(level, number - 1) for level in levels)
        is_equal = np.abs(mean) + bound * error <= rule.margin
        is_found = np.abs(mean) > least * error
        now = np.where(is_equal, 3, np.where(is_found, np.where(mean > 0, 1, 2), 0))
        if rule.futility > 0 and number < rule.seeds:
            is_open = (codes == 0) & (now == 0)
            numbers = number, rule.seeds
            chance = chance_of_verdict(mean[is_open], error[is_open], numbers, levels, rule.margin)
            now[is_open] = np.where(chance < rule.futility, 4, 0)
        ends = (codes == 0) & (now > 0)
        codes, seeds = np.where(ends, now, codes), np.where(ends, number, seeds)
    return codes, seeds


@functools.lru_cache(maxsize=8)
def _standard_pairs(arms: int, seeds: int) -> Array:
    """Differences of standard deviation 1 of simulated studies, of shape (studies, arms, seeds)."""
    runs = np.random.default_rng(1).normal(size=(_PAIRS // (arms * seeds) + 1, arms + 1, seeds))
    return np.asarray((runs[:, 1:] - runs[:, :1]) / np.sqrt(2))
