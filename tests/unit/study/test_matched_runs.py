"""The runs of an arm and of the baseline that are compared, and those that are lost."""

from __future__ import annotations

import pytest

from lmlab.design.search import FAILED_TO_LEARN, TrialOutcome
from lmlab.study.matched_runs import lost_by_cause, match_by_seed, match_replicate
from lmlab.study.sign_flips import FlippedPairs
from lmlab.study.t_test import IndependentRuns, Pairs

LOST, MISSING = TrialOutcome("diverged"), TrialOutcome("missing")
COLLAPSED = TrialOutcome(FAILED_TO_LEARN, None, 7.0)


def done(loss: float) -> TrialOutcome:
    return TrialOutcome("done", loss, 7.0)


@pytest.mark.parametrize(("test", "kind"), [("t", Pairs), ("sign_flips", FlippedPairs)])
def test_pairs_have_a_loss_on_both_sides(test: str, kind: type) -> None:
    own = {0: done(3.5), 1: done(3.25), 2: MISSING, 3: MISSING, 4: done(4.0)}
    base = {0: done(3.0), 1: LOST, 2: done(3.0), 3: MISSING, 4: done(3.0), 5: LOST}
    match = match_by_seed(own, base, test)
    assert match.sample == kind([0.5, 1.0])
    assert match.seeds == match.baseline_seeds == (0, 4)
    assert match.unpaired == (1, 2)
    assert match.baseline_lost == {"diverged": [1]}, "seed 5 is none of the arm"


def test_a_replicate_has_as_many_runs_of_the_baseline() -> None:
    own = {2000: done(3.5), 2001: MISSING, 2002: done(3.25)}
    base = {0: done(3.0), 1: done(3.125), 2: COLLAPSED, 3: LOST, 4: done(9.0)}
    match = match_replicate(own, base)
    assert match.sample == IndependentRuns([3.5, 3.25], [3.0, 3.125])
    assert (match.seeds, match.baseline_seeds) == ((2000, 2002), (0, 1))
    assert match.baseline_lost == {"failed to learn": [2]} and match.unpaired == ()


def test_lost_runs_are_told_by_their_cause() -> None:
    outcomes = {0: COLLAPSED, 1: LOST, 2: done(3.0), 3: TrialOutcome("done", None), 4: MISSING}
    assert lost_by_cause(outcomes) == {"diverged": [1, 3], "failed to learn": [0]}
    assert lost_by_cause({2: done(3.0), 4: MISSING}) == {}
