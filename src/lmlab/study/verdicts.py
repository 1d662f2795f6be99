"""The verdict on each arm of a study, from the results of its runs."""

from __future__ import annotations

import dataclasses
import math
import statistics

from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Job, Manifest, Outcomes
from lmlab.design.search import TrialOutcome
from lmlab.study.sequential_test import Rule
from lmlab.study.statistics import INCONCLUSIVE, PairedComparison, compare

OWN_RATE, BASELINE_RATE = "own best lr", "baseline's lr"
_RATE_NAMES = {
    OWN_RATE: "its own best learning rate",
    BASELINE_RATE: "the baseline's learning rate",
}
_MISSING = TrialOutcome("missing")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The verdict on one arm.

    Attributes:
        arm: name of the arm.
        at: ``own best lr`` or ``baseline's lr``.
        lr: peak learning rate of the arm's runs; None until the search has found one.
        baseline_lr: peak learning rate of the baseline's runs; None until it is found.
        label: ``better``, ``worse``, ``no difference``, ``inconclusive``, ``diverged`` or
            ``missing``.
        comparison: the statistics; None where there are none.
        losses: final loss by position of the seed; None for a run that diverged or is missing.
        diverged: number of seeds that diverged.
        is_replicate: whether the arm is the baseline's replicate, whose true difference is zero.
        differences: differences of the pairs.
    """

    arm: str
    at: str
    lr: float | None
    baseline_lr: float | None
    label: str
    comparison: PairedComparison | None
    losses: dict[int, float | None]
    diverged: int = 0
    is_replicate: bool = False
    differences: tuple[float, ...] = ()

    @property
    def mean(self) -> float | None:
        """Mean final loss of the arm; None if no run has one."""
        known = [loss for loss in self.losses.values() if loss is not None]
        return statistics.fmean(known) if known else None

    @property
    def detail(self) -> str:
        """The rest of the verdict: the largest possible difference, or the seeds needed."""
        found = self.comparison
        if found is not None and self.label == "no difference":
            return f" larger than {max(found.bound, 1e-4):.4f}"  # rounding must not give 0
        if found is not None and self.label == INCONCLUSIVE:
            seeds = "seed" if found.more_seeds == 1 else "seeds"
            return f": about {found.more_seeds} more {seeds} needed"
        return ""


def rate_names(design: Comparison | None) -> dict[str, str]:
    """Return what to call the rates at which arms are judged, for "each arm at ..."."""
    if design is not None and design.lr == "fixed":
        return _RATE_NAMES | {OWN_RATE: "its configured learning rate"}
    return dict(_RATE_NAMES)


def arm_phrase(arm: str) -> str:
    """Return the name of an arm as it reads in a sentence."""
    return "the baseline" if arm == "baseline" else arm


def decision_rule(design: Comparison) -> Rule:
    """Return how the study decides."""
    return Rule(
        seeds=design.num_seeds,
        extra_seeds=design.extra_seeds,
        alpha=design.alpha,
        power=design.power,
        margin=design.margin,
    )


def judge(manifest: Manifest, outcomes: Outcomes, at: str = OWN_RATE) -> list[Verdict]:
    """Return the verdict on each compared arm, in the order of the study.

    Args:
        manifest: manifest of the study; without a baseline there are no verdicts.
        outcomes: results of its runs; missing ones are ignored.
        at: ``OWN_RATE`` to judge each arm at its own best rate, or ``BASELINE_RATE``.
    """
    design = manifest.comparison
    if design is None or design.baseline is None:
        return []
    baseline_lr = manifest.judged_lr(design.baseline, outcomes)
    base = _losses(manifest, outcomes, design.baseline, baseline_lr)
    arms = [arm for arm in design.compared_arms if at == OWN_RATE or arm != design.replicate]
    rows = []
    for arm in arms:
        lr = manifest.judged_lr(arm, outcomes) if at == OWN_RATE else baseline_lr
        rows.append((arm, lr, _losses(manifest, outcomes, arm, lr)))
    pairs = [_differences(own, base) for _, _, own in rows]
    rule = decision_rule(design)
    tested = [index for index, arm in enumerate(arms) if arm != design.replicate]
    compared = dict(
        zip(tested, compare([pairs[i] for i in tested], rule, len(tested)), strict=True)
    )
    for index, arm in enumerate(arms):
        if arm == design.replicate:  # not a hypothesis of the study, so not in its family
            compared[index] = compare([pairs[index]], rule)[0]
    return [
        dataclasses.replace(
            _verdict(arm, at, lr, baseline_lr, own, compared[index], arm == design.replicate),
            differences=tuple(pairs[index]),
        )
        for index, (arm, lr, own) in enumerate(rows)
    ]


def undecided_arms(manifest: Manifest, outcomes: Outcomes) -> frozenset[str]:
    """Return the arms that are inconclusive at their own rate after the first look."""
    found = judge(manifest, outcomes)
    return frozenset(verdict.arm for verdict in found if verdict.label == INCONCLUSIVE)


def baseline_losses(manifest: Manifest, outcomes: Outcomes) -> list[float]:
    """Return the baseline's final losses over seeds; their spread is the noise floor."""
    design = manifest.comparison
    if design is None:
        return []
    arm = design.baseline or next(iter(design.arms))
    found = _losses(manifest, outcomes, arm, manifest.judged_lr(arm, outcomes))
    return [outcome.loss for outcome in found.values() if outcome.loss is not None]


def _losses(
    manifest: Manifest, outcomes: Outcomes, arm: str, lr: float | None
) -> dict[int, TrialOutcome]:
    """Results of the judging seeds by position: a replicate pairs up despite its other seeds."""
    assert manifest.comparison is not None
    seeds = manifest.evaluation_seeds(arm, undecided=[arm])
    planned = manifest.comparison.num_seeds
    found = {}
    for position, seed in enumerate(seeds):
        outcome = outcomes.get(Job(arm, lr, seed), _MISSING)
        if position < planned or outcome.is_final:
            found[position] = outcome
    return found


def _differences(own: dict[int, TrialOutcome], base: dict[int, TrialOutcome]) -> list[float]:
    theirs = {position: outcome.loss for position, outcome in base.items()}
    return [
        outcome.loss - loss
        for position, outcome in own.items()
        if outcome.loss is not None and (loss := theirs.get(position)) is not None
    ]


def _verdict(
    arm: str,
    at: str,
    lr: float | None,
    baseline_lr: float | None,
    own: dict[int, TrialOutcome],
    found: PairedComparison,
    is_replicate: bool,
) -> Verdict:
    losses = {position: outcome.loss for position, outcome in own.items()}
    diverged = sum(
        outcome.status == "diverged" or (outcome.status == "done" and outcome.loss is None)
        for outcome in own.values()
    )
    label = found.verdict
    if diverged:
        label = "diverged"
    elif found.seeds < min(2, len(own)) or not math.isfinite(found.difference):
        label = "missing"
    return Verdict(arm, at, lr, baseline_lr, label, found, losses, diverged, is_replicate)
