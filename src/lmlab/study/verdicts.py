"""The verdict on each arm of a study, from the outcomes of its runs."""

from __future__ import annotations

import dataclasses
import math
import statistics

from lmlab.design.comparison import Comparison as Design
from lmlab.design.manifest import Job, Manifest, Outcomes
from lmlab.design.search import TrialOutcome
from lmlab.study.statistics import PairedComparison, Rule, compare

OWN_RATE, BASELINE_RATE = "own best lr", "baseline's lr"
_MISSING = TrialOutcome("missing")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a study says of an arm.

    Attributes:
        arm: its name.
        at: ``own best lr`` or ``baseline's lr``.
        lr: peak rate of the arm's runs; None where no search has found one.
        baseline_lr: of the baseline's.
        word: ``better``, ``worse``, ``no difference``, ``too few seeds``, ``diverged`` or
            ``missing``.
        comparison: the statistics; None where there is nothing to compare.
        losses: final losses by seed; None for a run that diverged or is missing.
        is_check: whether the arm is the replicate, whose truth is known.
    """

    arm: str
    at: str
    lr: float | None
    baseline_lr: float | None
    word: str
    comparison: PairedComparison | None
    losses: dict[int, float | None]
    diverged: int = 0
    is_check: bool = False

    @property
    def mean(self) -> float | None:
        """Mean final loss of the arm; None without any."""
        known = [loss for loss in self.losses.values() if loss is not None]
        return statistics.fmean(known) if known else None

    @property
    def detail(self) -> str:
        """What belongs behind the word: how large a difference is ruled out, or what is lacking."""
        found = self.comparison
        if found is not None and self.word == "no difference":
            return f" larger than {max(found.bound, 1e-4):.4f}"  # never 0, by rounding
        if found is not None and self.word == "too few seeds":
            return f", about {found.more_seeds} more"
        return ""

    def told(self, margin: float, unit: str) -> str:
        """The verdict in one sentence; ``unit`` is that of the losses."""
        found = self.comparison
        if self.word == "missing":
            return f"{self.arm}: not enough runs are finished"
        if self.word == "diverged":
            return f"{self.arm}: {self.diverged} of {len(self.losses)} seeds diverged"
        assert found is not None
        difference = f"{found.difference:+.4f} {unit} [{found.low:+.4f}, {found.high:+.4f}]"
        if self.word in ("better", "worse"):
            return f"{self.arm} is {self.word}: {difference}"
        if self.word == "no difference":
            return f"{self.arm}: no difference{self.detail} ({difference})"
        return (
            f"{self.arm}: too few seeds for a verdict ({difference}); "
            f"{found.more_seeds} more would probably do"
        )


def rule_of(design: Design) -> Rule:
    """How the study decides."""
    return Rule(
        seeds=design.num_seeds,
        extra_seeds=design.extra_seeds,
        alpha=design.alpha,
        power=design.power,
        margin=design.margin,
    )


def judge(manifest: Manifest, outcomes: Outcomes, at: str = OWN_RATE) -> list[Verdict]:
    """The verdict on each compared arm, in the study's order.

    Args:
        manifest: of a study with a baseline.
        outcomes: of its runs; what is missing is passed over.
        at: whether each arm is judged at its own best rate or at the baseline's.
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
    rule = rule_of(design)
    tested = [index for index, arm in enumerate(arms) if arm != design.replicate]
    compared = dict(
        zip(tested, compare([pairs[i] for i in tested], rule, len(tested)), strict=True)
    )
    for index, arm in enumerate(arms):
        if arm == design.replicate:  # no hypothesis of the study, so not of its family
            compared[index] = compare([pairs[index]], rule)[0]
    return [
        _verdict(arm, at, lr, baseline_lr, own, compared[index], arm == design.replicate)
        for index, (arm, lr, own) in enumerate(rows)
    ]


def undecided_arms(manifest: Manifest, outcomes: Outcomes) -> frozenset[str]:
    """The arms whose first look leaves the verdict at their own rate open."""
    found = judge(manifest, outcomes)
    return frozenset(verdict.arm for verdict in found if verdict.word == "too few seeds")


def baseline_losses(manifest: Manifest, outcomes: Outcomes) -> list[float]:
    """Final losses of the baseline's replicates, from which the noise floor is measured."""
    design = manifest.comparison
    if design is None:
        return []
    arm = design.baseline or next(iter(design.arms))
    found = _losses(manifest, outcomes, arm, manifest.judged_lr(arm, outcomes))
    return [outcome.loss for outcome in found.values() if outcome.loss is not None]


def _losses(
    manifest: Manifest, outcomes: Outcomes, arm: str, lr: float | None
) -> dict[int, TrialOutcome]:
    """Outcomes of the judging seeds by their position, so that a replicate's pair up too."""
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
    is_check: bool,
) -> Verdict:
    losses = {position: outcome.loss for position, outcome in own.items()}
    diverged = sum(
        outcome.status == "diverged" or (outcome.status == "done" and outcome.loss is None)
        for outcome in own.values()
    )
    word = found.verdict
    if diverged:
        word = "diverged"
    elif found.seeds < min(2, len(own)) or not math.isfinite(found.difference):
        word = "missing"
    return Verdict(arm, at, lr, baseline_lr, word, found, losses, diverged, is_check)
