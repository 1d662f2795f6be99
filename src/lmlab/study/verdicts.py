"""The verdict on each arm of a study, from the results of its runs."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from lmlab.design.comparison import Comparison
from lmlab.design.job import Job, Outcomes
from lmlab.design.manifest import Manifest
from lmlab.design.metrics import Metric, further_metrics, main_metric
from lmlab.design.search import FAILED_TO_LEARN, TrialOutcome, collapsed_seeds
from lmlab.study.decision_rules import metric_rule
from lmlab.study.matched_runs import (
    BySeed,
    Match,
    known_losses,
    lost_by_cause,
    match_by_seed,
    match_replicate,
)
from lmlab.study.metric_matches import MetricRuns, match_by_metric
from lmlab.study.power import MAX_SEEDS
from lmlab.study.run_scores import RunScores, Scores
from lmlab.study.statistics import INCONCLUSIVE, ArmComparison, compare, compare_by

INCOMPARABLE = "not comparable"
DESCRIPTIVE = "descriptive"
OWN_RATE, BASELINE_RATE = "own best lr", "baseline's lr"
_RATE_NAMES = {
    OWN_RATE: "its own best learning rate", BASELINE_RATE: "the baseline's learning rate",
}  # fmt: skip
_MISSING = TrialOutcome("missing")
_LOSS = Metric("loss", "loss")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The verdict on one arm by one metric; "losses" are scores where it is not the loss.

    Attributes:
        arm: name of the arm.
        at: ``own best lr`` or ``baseline's lr``.
        lr: peak learning rate of the arm's runs; None until the search has found one.
        baseline_lr: peak learning rate of the baseline's runs; None until it is found.
        label: ``better``, ``worse``, ``no difference``, ``inconclusive``, ``diverged``,
            ``missing`` or ``not comparable``. At the baseline's rate, ``descriptive`` stands for
            the first four: a study has one family of verdicts, those at the own best rates, for
            which alone ``alpha`` holds. See also :attr:`shown_label`.
        comparison: the statistics; None where there are none.
        losses: final loss by seed; None for a run that diverged or is missing.
        diverged: number of seeds that diverged or collapsed.
        collapsed: seeds whose runs finished, but reduced the loss by less than half as much as the
            best run of the arm. They count as diverged.
        baseline_lost: seeds of the arm at which the baseline has no loss, by
            :func:`lost_by_cause`; there is no verdict then, because the pairs that remain are a
            selection.
        is_replicate: whether the arm is the baseline's replicate, whose true difference is zero.
        pairs: the seeds of the arm whose runs are compared with those of the baseline.
        baseline_seeds: the seeds of these runs of the baseline: those of ``pairs``, except for the
            replicate, which shares no seeds with the baseline.
        differences: the differences in the order of ``pairs``: from the run of the baseline with
            the same seed; for the replicate, from the mean loss of the baseline.
        unpaired: seeds at which only the arm or only the baseline has a final loss.
        margin: largest difference that counts as no difference.
        trains: False if the arm diverged at every learning rate of its search.
        metric: what the arm is judged by.
    """

    arm: str
    at: str
    lr: float | None
    baseline_lr: float | None
    label: str
    comparison: ArmComparison | None
    losses: dict[int, float | None]
    diverged: int = 0
    collapsed: tuple[int, ...] = ()
    baseline_lost: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    is_replicate: bool = False
    pairs: tuple[int, ...] = ()
    baseline_seeds: tuple[int, ...] = ()
    differences: tuple[float, ...] = ()
    unpaired: tuple[int, ...] = ()
    margin: float = 0.0
    trains: bool = True
    metric: Metric = _LOSS

    @property
    def mean(self) -> float | None:
        """Mean final loss of the arm; None if no run has one."""
        known = [loss for loss in self.losses.values() if loss is not None]
        return statistics.fmean(known) if known else None

    @property
    def shown_label(self) -> str:
        """The label, or ``failed to learn`` for ``diverged`` where no run of the arm diverged."""
        has_collapsed_only = self.collapsed and self.diverged == len(self.collapsed)
        return FAILED_TO_LEARN if has_collapsed_only else self.label

    @property
    def detail(self) -> str:
        """The rest of the verdict: the largest possible difference, or the seeds needed."""
        found = self.comparison
        if self.label == INCOMPARABLE:
            if self.metric.is_probe:
                return ": the tokenizer decides which answers a probe compares"
            return ": losses per token of different tokenizers"
        if not self.trains:
            return " at every learning rate tried"
        if self.baseline_lost and self.label in (INCONCLUSIVE, DESCRIPTIVE):
            return f": the baseline {lost_phrase(self.baseline_lost)}"
        if found is None:
            return ""
        if self.label == "no difference":
            return f" larger than {max(found.bound, 1e-4):.4f}"  # rounding must not give 0
        if self.label in ("better", "worse"):
            return f", by {_rounded(self.least_difference)} or more"
        if self.label != INCONCLUSIVE:
            return ""
        if found.agreeing is not None:
            return f": {self.agreement}"
        if found.needs_items:
            return ": more items needed, since more seeds alone would not decide"
        if found.more_seeds is None:
            return ""
        if found.seeds + found.more_seeds >= MAX_SEEDS:
            return f": more than {MAX_SEEDS:,} seeds needed"
        seeds = "seed" if found.more_seeds == 1 else "seeds"
        about = "about" if found.seeds > 1 else "at least"  # one pair has no spread to predict from
        return f": {about} {found.more_seeds} more {seeds} needed"

    @property
    def least_difference(self) -> float:
        """The smallest absolute difference within the interval of a better or worse arm."""
        assert self.comparison is not None
        return min(abs(self.comparison.low), abs(self.comparison.high))

    @property
    def agreement(self) -> str:
        """State which differences agree and which are far off; empty where none is."""
        found = self.comparison
        if found is None or found.agreeing is None:
            return ""
        agree = [self.differences[index] for index in found.agreeing]
        others = [index for index in range(len(self.differences)) if index not in found.agreeing]
        far = ", ".join(
            f"{self.differences[index]:+.3f} with seed {self.pairs[index]}" for index in others
        )
        return (
            f"{len(agree)} of {len(self.differences)} differences agree ({min(agree):+.4f} to "
            f"{max(agree):+.4f}), the others are far off ({far}); look at these runs, since more "
            "seeds alone may not decide"
        )


def _rounded(value: float) -> str:
    """Return a bound as the tables show intervals; with its leading digits where that is zero."""
    rounded = f"{value:.4f}"
    return rounded if float(rounded) else f"{value:.1e}"


def rate_names(design: Comparison | None) -> dict[str, str]:
    """Return what to call the rates at which arms are judged, for "each arm at ..."."""
    if design is not None and design.lr == "fixed":
        return _RATE_NAMES | {OWN_RATE: "its configured learning rate"}
    return dict(_RATE_NAMES)


def arm_phrase(arm: str) -> str:
    """Return the name of an arm as it reads in a sentence."""
    return "the baseline" if arm == "baseline" else arm


def seeds_phrase(seeds: Sequence[int]) -> str:
    """Return ``seed 3`` or ``seeds 3, 7``."""
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def lost_phrase(lost: Mapping[str, Sequence[int]]) -> str:
    """Return ``diverged with seed 3 and failed to learn with seeds 5, 7``."""
    return " and ".join(f"{cause} with {seeds_phrase(seeds)}" for cause, seeds in lost.items())


def judge(
    manifest: Manifest, outcomes: Outcomes, at: str = OWN_RATE, scores: Scores | None = None
) -> list[Verdict]:
    """Return the verdict on each compared arm, in the order of the study.

    Args:
        manifest: manifest of the study; without a baseline there are no verdicts.
        outcomes: results of its runs; missing ones are ignored.
        at: ``OWN_RATE`` to judge each arm at its own best rate, or ``BASELINE_RATE``.
        scores: of the runs, for the verdicts by further metrics at ``OWN_RATE``, which follow those
            by the main one. Without them, the p-values by the main one still count the others.
    """
    design = manifest.comparison
    if design is None or design.baseline is None:
        return []
    baseline_lr = manifest.judged_lr(design.baseline, outcomes)
    base = _judging_outcomes(manifest, outcomes, design.baseline, baseline_lr)
    arms = [arm for arm in design.compared_arms if at == OWN_RATE or arm != design.replicate]
    rates = {
        arm: manifest.judged_lr(arm, outcomes) if at == OWN_RATE else baseline_lr for arm in arms
    }
    results = {arm: _judging_outcomes(manifest, outcomes, arm, rate) for arm, rate in rates.items()}
    judged = [
        _Judged(main_metric(design), arm, own, _match(design, arm, own, base))
        for arm, own in results.items()
    ]
    if scores and at == OWN_RATE:
        judged += _by_further_metrics(manifest, scores, results, base, rates, baseline_lr)
    compared = _compare_all(design, judged, together=at == OWN_RATE)
    verdicts = []
    for case, comparison in zip(judged, compared, strict=True):
        trains = at != OWN_RATE or not manifest.is_untrainable(case.arm, outcomes)
        both = rates[case.arm], baseline_lr
        verdicts.append(_verdict(design, case, comparison, at, both, trains))
    return verdicts


@dataclasses.dataclass(frozen=True)
class _Judged:
    """What the verdict on an arm by a metric rests on: its results by seed, and their match."""

    metric: Metric
    arm: str
    own: BySeed
    match: Match


def _by_further_metrics(
    manifest: Manifest,
    scores: Scores,
    results: Mapping[str, BySeed],
    base: BySeed,
    rates: Mapping[str, float | None],
    baseline_lr: float | None,
) -> list[_Judged]:
    """Return what verdicts by further metrics rest on, for each metric in the order of the arms."""
    design = manifest.comparison
    assert design is not None and design.baseline is not None

    def of_runs(
        metric: Metric, arm: str, rate: float | None, seeds: Iterable[int]
    ) -> dict[int, RunScores]:
        found = {seed: scores.get(Job(arm, rate, seed), {}) for seed in seeds}
        return {seed: one[metric.name] for seed, one in found.items() if metric.name in one}

    judged = []
    for metric in further_metrics(design, manifest.arms[0]):
        known = of_runs(metric, design.baseline, baseline_lr, base)
        items = next((one.items for one in known.values()), "")
        reference = MetricRuns.of(base, known, items)
        for arm, own in results.items():
            runs = MetricRuns.of(own, of_runs(metric, arm, rates[arm], own), items)
            is_replicate = arm == design.replicate
            match = match_by_metric(runs, reference, metric, design, is_replicate=is_replicate)
            judged.append(_Judged(metric, arm, runs.outcomes, match))
    return judged


def _match(design: Comparison, arm: str, own: BySeed, base: BySeed) -> Match:
    if arm == design.replicate:
        return match_replicate(own, base)
    return match_by_seed(own, base, design.test)


def _verdict(
    design: Comparison,
    judged: _Judged,
    comparison: ArmComparison,
    at: str,
    rates: tuple[float | None, float | None],
    trains: bool,
) -> Verdict:
    match, lost = judged.match, lost_by_cause(judged.own)
    label = label_of(judged.own, match, comparison, at) if trains else "diverged"
    is_selection = bool(match.baseline_lost) and label in (INCONCLUSIVE, DESCRIPTIVE)
    return Verdict(
        judged.arm,
        at,
        rates[0],
        rates[1],
        label,
        None if is_selection else comparison,
        {seed: outcome.loss for seed, outcome in judged.own.items()},
        diverged=sum(map(len, lost.values())),
        collapsed=tuple(lost.get(FAILED_TO_LEARN, ())),
        baseline_lost=match.baseline_lost,
        is_replicate=judged.arm == design.replicate,
        pairs=match.seeds,
        baseline_seeds=match.baseline_seeds,
        differences=tuple(match.sample.differences),
        unpaired=match.unpaired,
        margin=metric_rule(design, judged.metric).margin,
        trains=trains,
        metric=judged.metric,
    )


def _compare_all(
    design: Comparison, judged: Sequence[_Judged], together: bool
) -> list[ArmComparison]:
    """Compare the arms, the replicate by itself because it is no hypothesis of the study.

    Args:
        design: declaration of the study.
        judged: the losses or scores of each arm beside those of the baseline, by metric.
        together: whether to correct for comparing several arms by several metrics.
    """
    rules = [metric_rule(design, one.metric) for one in judged]
    found: dict[int, ArmComparison] = {}
    tested = [index for index, one in enumerate(judged) if one.arm != design.replicate]
    for family in [tested] if together else [[index] for index in tested]:
        samples = [(judged[index].match.sample, rules[index]) for index in family]
        announced = design.family if together else None
        found |= dict(zip(family, compare_by(samples, announced), strict=True))
    for index, one in enumerate(judged):
        if one.arm == design.replicate:
            welch = dataclasses.replace(rules[index], test="t")
            found[index] = compare([one.match.sample], welch)[0]
    return [found[index] for index in range(len(judged))]


def undecided_arms(manifest: Manifest, outcomes: Outcomes) -> frozenset[str]:
    """Return the arms that are inconclusive at their own rate after the first look.

    Results of extra seeds do not count, so that a study which was interrupted at its second look
    goes on with the same arms.
    """
    design = manifest.comparison
    if design is None or design.baseline is None:
        return frozenset()
    extra = {
        (arm, seed)
        for arm in design.judged_arms
        for seed in manifest.evaluation_seeds(arm, undecided=[arm])[design.first_seeds :]
    }
    first = {job: one for job, one in outcomes.items() if (job.arm, job.seed) not in extra}
    found = judge(manifest, first)
    return frozenset(
        verdict.arm
        for verdict in found
        if verdict.label == INCONCLUSIVE and not verdict.baseline_lost
    )


def baseline_outcomes(manifest: Manifest, outcomes: Outcomes) -> dict[int, TrialOutcome]:
    """Return the results of the baseline's judging runs by seed."""
    design = manifest.comparison
    if design is None:
        return {}
    return final_outcomes(manifest, outcomes, design.baseline or next(iter(design.arms)))


def baseline_losses(manifest: Manifest, outcomes: Outcomes) -> list[float]:
    """Return the baseline's final losses over seeds; their spread is the noise floor."""
    return list(known_losses(baseline_outcomes(manifest, outcomes)).values())


def final_losses(manifest: Manifest, outcomes: Outcomes, arm: str) -> list[float]:
    """Return the final losses of an arm's judging runs."""
    return list(known_losses(final_outcomes(manifest, outcomes, arm)).values())


def final_outcomes(manifest: Manifest, outcomes: Outcomes, arm: str) -> dict[int, TrialOutcome]:
    """Return the results of an arm's judging runs by seed."""
    return _judging_outcomes(manifest, outcomes, arm, manifest.judged_lr(arm, outcomes))


def _judging_outcomes(
    manifest: Manifest, outcomes: Outcomes, arm: str, lr: float | None
) -> dict[int, TrialOutcome]:
    """Return the results of an arm's judging runs by seed, in the order of the seeds.

    Runs that collapsed have no loss, as if they had diverged.
    """
    assert manifest.comparison is not None
    seeds = manifest.evaluation_seeds(arm, undecided=[arm])
    every = {seed: outcomes.get(Job(arm, lr, seed), _MISSING) for seed in seeds}
    planned = seeds[: manifest.comparison.first_seeds]
    found = {seed: one for seed, one in every.items() if seed in planned or one.is_final}
    return found | {
        seed: dataclasses.replace(found[seed], status=FAILED_TO_LEARN, loss=None)
        for seed in collapsed_seeds(found)
    }


def label_of(own: BySeed, match: Match, found: ArmComparison, at: str = OWN_RATE) -> str:
    """Return the label of an arm that trains, from its results and their match, at one rate."""
    if any(outcome.has_diverged for outcome in own.values()):
        return "diverged"
    if found.seeds < min(2, len(own)) or not math.isfinite(found.difference):
        return "missing"
    if at == BASELINE_RATE:
        return DESCRIPTIVE
    return INCONCLUSIVE if match.baseline_lost else found.verdict
