"""Answers about ideas: those of the first pair that decides, whatever comes later."""

from __future__ import annotations

import numpy as np
import pytest

from lmlab.study.e_process import one_sided_e
from lmlab.study.idea_rule import CANNOT_TELL, DROP, KEEP, IdeaRule, decide, decide_all

RULE = IdeaRule(margin=0.5, max_pairs=12)


def gains(mean: float, trials: int, pairs: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, (trials, pairs))


def test_no_pairs_decide_nothing() -> None:
    found = decide(np.array([]), 0.01, RULE)
    assert (found.answer, found.pairs, found.keep_evidence) == (None, 0, 1.0)


def test_trials_one_by_one_end_as_many_at_once() -> None:
    x = gains(2.0, 60)
    answers, pairs = decide_all(x, np.full(60, 0.01), RULE)
    assert set(answers) == {KEEP, CANNOT_TELL} or set(answers) == {KEEP, CANNOT_TELL, DROP}
    for row, (answer, last) in enumerate(zip(answers, pairs, strict=True)):
        for number in range(last):  # pair after pair, as in a trial
            assert decide(x[row, :number], 0.01, RULE).answer is None
        for number in range(last, 13):  # pairs beyond the deciding one change nothing
            found = decide(x[row, :number], 0.01, RULE)
            assert (found.answer, found.pairs) == (answer, last)


def test_an_idea_is_kept_by_its_evidence_alone() -> None:
    x = gains(4.0, 200)
    answers, pairs = decide_all(x, np.full(200, 1e-3), RULE)
    for row in range(200):
        evidence = one_sided_e(x[row, : pairs[row]])
        assert (answers[row] == KEEP) == (evidence[-1] >= 1000)
        assert (evidence[:-1] < 1000).all()


def test_a_smaller_level_needs_more_pairs() -> None:
    x = gains(4.0, 200)
    first, second = (decide_all(x, np.full(200, level), RULE)[1].mean() for level in (1e-2, 1e-4))
    assert second > first + 1


@pytest.mark.parametrize("margin", [0.0, 0.5, 2.0])
def test_false_keeps_and_false_drops_stay_within_their_levels(margin: float) -> None:
    trials, level = 4000, 0.05
    rule = IdeaRule(margin, 12, drop_level=0.05)
    null, _ = decide_all(gains(0, trials, seed=1), np.full(trials, level), rule)
    good, _ = decide_all(gains(margin, trials, seed=2), np.full(trials, level), rule)
    bound = level + 3 * np.sqrt(level * (1 - level) / trials)
    assert (null == KEEP).mean() <= bound
    assert (good == DROP).mean() <= bound


def test_a_wide_margin_drops_what_changes_nothing() -> None:
    answers, pairs = decide_all(gains(0, 500), np.full(500, 1e-3), IdeaRule(2.0, 12))
    assert (answers == DROP).mean() > 0.95 and pairs.mean() < 7


def test_hopeless_trials_end_early_and_hopeful_ones_do_not() -> None:
    hopeless, few = decide_all(gains(0.3, 500), np.full(500, 1e-4), RULE)
    assert (hopeless == CANNOT_TELL).mean() > 0.9 and few.mean() < 8
    hopeful, _ = decide_all(gains(4.0, 500), np.full(500, 1e-4), RULE)
    without = one_sided_e(gains(4.0, 500)).max(axis=1) >= 1e4
    assert (hopeful == KEEP).mean() > without.mean() - 0.03


def test_an_idea_that_changes_no_loss_is_dropped() -> None:
    found = decide(np.zeros(12), 0.01, RULE)
    assert found.answer == DROP and found.keep_evidence <= 1


def test_futility_is_told_from_using_up_all_pairs() -> None:
    alternating = np.array([1.0, -1.0] * 6)
    rule = IdeaRule(margin=0.01, max_pairs=12)
    assert decide(alternating, 1e-4, rule).is_futile
    x = gains(2.2, 400)
    ends = [decide(row, 1e-4, RULE) for row in x]
    last = [one for one in ends if one.answer == CANNOT_TELL and one.pairs == 12]
    assert last and not any(one.is_futile for one in last)
