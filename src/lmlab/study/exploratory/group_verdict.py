"""The verdict on two groups of runs: which runs form pairs, and which test compares them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lmlab.design.comparison import Comparison
from lmlab.design.search import FAILED_TO_LEARN, TrialOutcome, collapsed_seeds
from lmlab.study.decision_rules import decision_rule
from lmlab.study.exploratory.run_group import RunGroup
from lmlab.study.matched_runs import (
    Match,
    known_losses,
    lost_by_cause,
    match_by_seed,
    match_independent,
)
from lmlab.study.run_records import RunRecord
from lmlab.study.statistics import INCONCLUSIVE, compare
from lmlab.study.verdicts import OWN_RATE, Verdict, label_of

_MIN_PAIRS = 2


@dataclasses.dataclass(frozen=True)
class GroupVerdict:
    """How B compares with A.

    Attributes:
        verdict: of the arm ``B``, beside the baseline ``A``.
        base: results of A by seed.
        is_paired: whether runs of equal seeds were compared; else all runs, by Welch's test.
        shared: the seeds that both groups have.
    """

    verdict: Verdict
    base: dict[int, TrialOutcome]
    is_paired: bool
    shared: tuple[int, ...]


def shared_seeds(a: RunGroup, b: RunGroup) -> tuple[int, ...]:
    """Return the seeds at which a run of each group has the same initialization and batches."""
    return tuple(seed for seed, seeds in b.seeds.items() if a.seeds.get(seed) == seeds)


def pairs_seeds(a: RunGroup, b: RunGroup) -> bool:
    """Return whether to compare the groups seed by seed.

    They are if they share two seeds or more, and no fewer than half of those of the smaller group;
    the other runs are then left out. This depends on seeds alone, never on losses. Groups with one
    run each form a pair if their seeds are equal.
    """
    number, smaller = len(shared_seeds(a, b)), min(len(a.records), len(b.records))
    return number == smaller == 1 or (number >= _MIN_PAIRS and 2 * number >= smaller)


def judge_groups(a: RunGroup, b: RunGroup, design: Comparison) -> GroupVerdict:
    """Return the verdict on B, compared with A.

    Args:
        a: the reference.
        b: what is compared with it.
        design: margin, level and test, of the arms ``A`` and ``B``; without pairs, the test is
            Welch's (see :class:`lmlab.study.t_test.IndependentRuns`), whatever it says.
    """
    base, own = _outcomes(a.records), _outcomes(b.records)
    shared, is_paired = shared_seeds(a, b), pairs_seeds(a, b)
    if is_paired:
        own_pairs, base_pairs = ({seed: one[seed] for seed in shared} for one in (own, base))
        match = match_by_seed(own_pairs, base_pairs, design.test)
        rule = decision_rule(design)
    else:
        match = match_independent(own, base)
        rule = dataclasses.replace(decision_rule(design), test="t")
    (found,) = compare([match.sample], rule)
    label = label_of(own, match, found)
    is_selection = bool(match.baseline_lost) and label == INCONCLUSIVE
    lost = lost_by_cause(own)
    verdict = Verdict(
        b.name,
        OWN_RATE,
        None,
        None,
        label,
        None if is_selection else found,
        {seed: outcome.loss for seed, outcome in own.items()},
        diverged=sum(map(len, lost.values())),
        collapsed=tuple(lost.get(FAILED_TO_LEARN, ())),
        baseline_lost=match.baseline_lost,
        pairs=match.seeds,
        baseline_seeds=match.baseline_seeds,
        differences=tuple(match.sample.differences),
        unpaired=_left_out(a, b, match) if is_paired else (),
        margin=design.margin,
    )
    return GroupVerdict(verdict, base, is_paired, shared)


def _outcomes(records: Sequence[RunRecord]) -> dict[int, TrialOutcome]:
    """Return the results by seed; runs that collapsed have no loss, as in a study."""
    found = {record.job.seed: record.outcome for record in records}
    collapsed = collapsed_seeds(found)
    return found | {
        seed: dataclasses.replace(found[seed], status=FAILED_TO_LEARN, loss=None)
        for seed in collapsed
    }


def _left_out(a: RunGroup, b: RunGroup, match: Match) -> tuple[int, ...]:
    """Return the seeds with a final loss that are in no pair."""
    known = {*known_losses(_outcomes(a.records)), *known_losses(_outcomes(b.records))}
    return tuple(sorted(known - set(match.seeds)))
