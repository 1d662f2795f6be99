"""The waves of a sequential study: one more seed at a time for the arms that are undecided.

Every arm starts with ``design.min_seeds`` seeds. Once they have ended, the verdicts are taken, and
each arm without one gets one more seed, as the baseline does. This repeats until all arms have
ended. An arm ends with a verdict, where a verdict has become improbable, or where the seeds or the
budget of the study are used up.

Verdicts account for all looks that an arm may take, by p-values that hold whenever it ends
(:mod:`lmlab.study.group_bounds`). Holm's method is valid for any p-values, so it is for these, and
no later wave can undo a rejection: the smallest p-value of an arm never rises.

The waves are a function of the outcomes: a study that is killed and resumed takes the same ones,
and so does its report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from lmlab.design.comparison import Comparison
from lmlab.design.job import Job, Outcomes
from lmlab.design.manifest import Manifest
from lmlab.study.decision_rules import decision_rule
from lmlab.study.futility import chance_of_verdict
from lmlab.study.statistics import INCONCLUSIVE, ArmComparison
from lmlab.study.t_test import t_bound
from lmlab.study.verdicts import Verdict, judge

FUTILITY, USED_UP, UNFINISHED = "futility", "max_seeds", "unfinished"
BASELINE_LOST, MAX_RUNS, MAX_MINUTES = "baseline lost", "max_runs", "max_minutes"


@dataclasses.dataclass(frozen=True)
class Waves:
    """How far the waves of a study have come.

    Attributes:
        seeds: number of seeds that each arm has been granted so far, the baseline included.
        ends: why an arm gets no more seeds, by its name: its verdict (``better``, ``worse``, ``no
            difference``, ``diverged``, ``missing``), ``futility``, ``max_seeds``, ``max_runs``,
            ``max_minutes``, ``baseline lost`` (the baseline diverged or failed to learn), or
            ``unfinished`` where runs have yet to end.
    """

    seeds: dict[str, int]
    ends: dict[str, str]


def follow_waves(
    manifest: Manifest, outcomes: Outcomes, has_time: Callable[[], bool] = lambda: True
) -> Waves:
    """Follow the waves as far as the outcomes go.

    Args:
        manifest: a sequential study of one size.
        outcomes: results of its runs; missing ones have not ended.
        has_time: whether ``design.max_minutes`` allow another wave beyond the runs that are there.

    Returns:
        The seeds of the current wave, whose runs may be missing, and the arms that have ended.
    """
    design = manifest.comparison
    assert design is not None and design.baseline is not None and design.is_sequential
    baseline = design.baseline
    seeds = dict.fromkeys(design.judged_arms, design.first_seeds)
    ends: dict[str, str] = {}
    while True:
        open_arms = [arm for arm in design.compared_arms if arm not in ends]
        is_ready = _has_ended(manifest, outcomes, baseline, seeds[baseline])
        for arm in open_arms:
            if not (is_ready and _has_ended(manifest, outcomes, arm, seeds[arm])):
                ends[arm] = UNFINISHED
        if any(arm not in ends for arm in open_arms):
            known = granted_outcomes(manifest, outcomes, seeds)
            for verdict in judge(manifest, known):
                end = _end(design, verdict)
                if verdict.arm in open_arms and verdict.arm not in ends and end:
                    ends[verdict.arm] = end
        open_arms = [arm for arm in open_arms if arm not in ends]
        if not open_arms:
            return Waves(seeds, ends)
        following = seeds | {arm: seeds[arm] + 1 for arm in (*open_arms, baseline)}
        limit = _limit(manifest, outcomes, following, has_time)
        if limit:
            return Waves(seeds, ends | dict.fromkeys(open_arms, limit))
        seeds = following


def granted_outcomes(manifest: Manifest, outcomes: Outcomes, seeds: Mapping[str, int]) -> Outcomes:
    """Return the outcomes without those of the judged seeds that no arm has been granted yet."""
    beyond = {
        (arm, seed)
        for arm, number in seeds.items()
        for seed in manifest.evaluation_seeds(arm, undecided=[arm])[number:]
    }
    return {job: one for job, one in outcomes.items() if (job.arm, job.seed) not in beyond}


def _has_ended(manifest: Manifest, outcomes: Outcomes, arm: str, number: int) -> bool:
    """Return whether the first ``number`` seeds of an arm have ended, or can never start."""
    if manifest.is_untrainable(arm, outcomes):
        return True
    rate = manifest.judged_lr(arm, outcomes)
    seeds = manifest.evaluation_seeds(arm, undecided=[arm])[:number]
    found = [outcomes.get(Job(arm, rate, seed)) for seed in seeds]
    return all(one is not None and one.is_final for one in found)


def _end(design: Comparison, verdict: Verdict) -> str:
    """Return why an arm ends at this look; empty where it goes on."""
    if verdict.baseline_lost:
        return BASELINE_LOST
    if verdict.label != INCONCLUSIVE:
        return verdict.label
    if verdict.comparison is not None and _is_futile(design, verdict.comparison):
        return FUTILITY
    return ""


def _is_futile(design: Comparison, found: ArmComparison) -> bool:
    rule = decision_rule(design)
    if found.confidence is None or found.seeds >= rule.seeds or rule.futility == 0:
        return False
    levels = rule.nominal_level(1 - found.confidence), rule.nominal_level(rule.alpha)
    error = (found.high - found.low) / 2 / t_bound(levels[0], found.seeds - 1)
    numbers = found.seeds, rule.seeds
    chance = chance_of_verdict(found.difference, error, numbers, levels, rule.margin)
    return float(chance) < rule.futility


def _limit(
    manifest: Manifest,
    outcomes: Outcomes,
    following: Mapping[str, int],
    has_time: Callable[[], bool],
) -> str:
    """Return the setting that forbids another wave; empty where none does."""
    design = manifest.comparison
    assert design is not None
    if max(following.values()) > design.most_seeds:
        return USED_UP
    required = manifest.required_jobs(outcomes, granted=following)
    if design.max_runs is not None and len(required) > design.max_runs:
        return MAX_RUNS
    is_there = all(job in outcomes for job in required)
    return "" if is_there or has_time() else MAX_MINUTES
