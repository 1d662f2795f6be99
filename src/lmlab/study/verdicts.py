"""The verdict on each arm of a study, from the results of its runs."""

from __future__ import annotations

import dataclasses
import math
import statistics

from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Job, Manifest, Outcomes
from lmlab.design.search import TrialOutcome
from lmlab.study.power import MAX_SEEDS
from lmlab.study.sequential_test import Rule
from lmlab.study.statistics import INCONCLUSIVE, PairedComparison, compare

INCOMPARABLE = "not comparable"
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
        label: ``better``, ``worse``, ``no difference``, ``inconclusive``, ``diverged``,
            ``missing`` or ``not comparable``.
        comparison: the statistics; None where there are none.
        losses: final loss by seed; None for a run that diverged or is missing.
        diverged: number of seeds that diverged.
        is_replicate: whether the arm is the baseline's replicate, whose true difference is zero.
        pairs: the seeds of the arm whose runs are paired with one of the baseline.
        differences: the paired differences, in the order of ``pairs``.
        unpaired: seeds at which only the arm or only the baseline has a final loss.
        margin: largest difference that counts as no difference.
        trains: False if the arm diverged at every learning rate of its search.
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
    pairs: tuple[int, ...] = ()
    differences: tuple[float, ...] = ()
    unpaired: tuple[int, ...] = ()
    margin: float = 0.0
    trains: bool = True

    @property
    def mean(self) -> float | None:
        """Mean final loss of the arm; None if no run has one."""
        known = [loss for loss in self.losses.values() if loss is not None]
        return statistics.fmean(known) if known else None

    @property
    def detail(self) -> str:
        """The rest of the verdict: the largest possible difference, or the seeds needed."""
        found = self.comparison
        if self.label == INCOMPARABLE:
            return ": losses per token of different tokenizers"
        if not self.trains:
            return " at every learning rate tried"
        if found is None:
            return ""
        if self.label == "no difference":
            return f" larger than {max(found.bound, 1e-4):.4f}"  # rounding must not give 0
        if self.label in ("better", "worse"):
            nearest = min(abs(found.low), abs(found.high))
            return f", by {nearest:.4f} or more" if nearest < self.margin else ""
        if self.label != INCONCLUSIVE:
            return ""
        if found.agreeing is not None:
            return f": {self.agreement}"
        if found.more_seeds is None:
            return ""
        if found.seeds + found.more_seeds >= MAX_SEEDS:
            return f": more than {MAX_SEEDS:,} seeds needed"
        seeds = "seed" if found.more_seeds == 1 else "seeds"
        about = "about" if found.seeds > 1 else "at least"  # one pair has no spread to predict from
        return f": {about} {found.more_seeds} more {seeds} needed"

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
        own = _losses(manifest, outcomes, arm, lr)
        rows.append((arm, lr, own, _pair(own, base, by_seed=arm != design.replicate)))
    differences = [[pair.difference for pair in pairs] for _, _, _, pairs in rows]
    rule = decision_rule(design)
    tested = [index for index, arm in enumerate(arms) if arm != design.replicate]
    compared = dict(
        zip(tested, compare([differences[i] for i in tested], rule, len(tested)), strict=True)
    )
    for index, arm in enumerate(arms):
        if arm == design.replicate:  # not a hypothesis of the study, so not in its family
            compared[index] = compare([differences[index]], rule)[0]
    verdicts = []
    for index, (arm, lr, own, pairs) in enumerate(rows):
        label, diverged = _label(own, compared[index])
        trains = at != OWN_RATE or not manifest.is_untrainable(arm, outcomes)
        verdicts.append(
            Verdict(
                arm,
                at,
                lr,
                baseline_lr,
                label if trains else "diverged",
                compared[index],
                {seed: outcome.loss for seed, outcome in own.items()},
                diverged,
                is_replicate=arm == design.replicate,
                pairs=tuple(pair.seed for pair in pairs),
                differences=tuple(pair.difference for pair in pairs),
                unpaired=_unpaired(own, base, pairs),
                margin=design.margin,
                trains=trains,
            )
        )
    return verdicts


def undecided_arms(manifest: Manifest, outcomes: Outcomes) -> frozenset[str]:
    """Return the arms that are inconclusive at their own rate after the first look."""
    found = judge(manifest, outcomes)
    return frozenset(verdict.arm for verdict in found if verdict.label == INCONCLUSIVE)


def baseline_outcomes(manifest: Manifest, outcomes: Outcomes) -> dict[int, TrialOutcome]:
    """Return the results of the baseline's judging runs by seed."""
    design = manifest.comparison
    if design is None:
        return {}
    arm = design.baseline or next(iter(design.arms))
    return _losses(manifest, outcomes, arm, manifest.judged_lr(arm, outcomes))


def baseline_losses(manifest: Manifest, outcomes: Outcomes) -> list[float]:
    """Return the baseline's final losses over seeds; their spread is the noise floor."""
    found = baseline_outcomes(manifest, outcomes)
    return [outcome.loss for outcome in found.values() if outcome.loss is not None]


def final_losses(manifest: Manifest, outcomes: Outcomes, arm: str) -> list[float]:
    """Return the final losses of an arm's judging runs."""
    found = _losses(manifest, outcomes, arm, manifest.judged_lr(arm, outcomes))
    return [outcome.loss for outcome in found.values() if outcome.loss is not None]


def _losses(
    manifest: Manifest, outcomes: Outcomes, arm: str, lr: float | None
) -> dict[int, TrialOutcome]:
    """Results of an arm's judging runs by seed, in the order of the seeds."""
    assert manifest.comparison is not None
    seeds = manifest.evaluation_seeds(arm, undecided=[arm])
    planned = manifest.comparison.num_seeds
    found = {}
    for position, seed in enumerate(seeds):
        outcome = outcomes.get(Job(arm, lr, seed), _MISSING)
        if position < planned or outcome.is_final:
            found[seed] = outcome
    return found


@dataclasses.dataclass(frozen=True)
class _Pair:
    """A run of an arm and one of the baseline; ``seed`` and ``partner`` are their seeds."""

    seed: int
    partner: int
    difference: float


def _pair(
    own: dict[int, TrialOutcome], base: dict[int, TrialOutcome], by_seed: bool
) -> list[_Pair]:
    """Pair runs by seed; those of a replicate, which has other seeds, in order."""
    partners = zip(own, own if by_seed else base, strict=False)
    pairs = []
    for seed, partner in partners:
        loss, reference = own[seed].loss, base.get(partner, _MISSING).loss
        if loss is not None and reference is not None:
            pairs.append(_Pair(seed, partner, loss - reference))
    return pairs


def _unpaired(
    own: dict[int, TrialOutcome], base: dict[int, TrialOutcome], pairs: list[_Pair]
) -> tuple[int, ...]:
    """Seeds of the arm at which only one side has a final loss; the baseline may have more."""
    used = {pair.seed for pair in pairs}
    return tuple(
        seed
        for seed, outcome in own.items()
        if seed not in used
        and (outcome.loss is not None or base.get(seed, _MISSING).loss is not None)
    )


def _label(own: dict[int, TrialOutcome], found: PairedComparison) -> tuple[str, int]:
    """Return the label of an arm, and the number of its seeds that diverged."""
    diverged = sum(outcome.has_diverged for outcome in own.values())
    if diverged:
        return "diverged", diverged
    if found.seeds < min(2, len(own)) or not math.isfinite(found.difference):
        return "missing", 0
    return found.verdict, 0
