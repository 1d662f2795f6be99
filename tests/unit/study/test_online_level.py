"""Levels of a stream: their sum, and the rate of false keeps under dependence."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from simulated_judge import ALPHA, Case, simulate, vertices

from lmlab.design.basin import vertex
from lmlab.study.online_level import FDR, FWER, LEVELS, e_lond_level, spending_level, weight


def test_all_weights_together_are_one() -> None:
    number = 100_000
    head = math.fsum(map(weight, range(1, number)))
    # What follows lies between the integrals of weight from number and from number - 1 on.
    tail = [weight(1) * start**-0.2 / 0.2 for start in (number, number - 1)]
    assert head + tail[0] <= 1 <= head + tail[1]


def test_spending_never_exceeds_the_level_however_many_ideas_are_kept() -> None:
    assert math.fsum(spending_level(0.05, number, number) for number in range(1, 5000)) < 0.05


def test_e_lond_gives_back_what_discoveries_earn() -> None:
    assert e_lond_level(0.05, 7, 0) == spending_level(0.05, 7, 0)
    assert e_lond_level(0.05, 7, 3) == 4 * spending_level(0.05, 7, 3)
    levels = [e_lond_level(0.05, number, 2) for number in range(1, 50)]
    assert all(one > other for one, other in itertools.pairwise(levels))


def test_e_lond_holds_for_the_worst_dependence() -> None:
    """All e-values are one: then a false keep is shared by all, and the level is used up.

    Ville's bound is met with equality by an e-value that is 1 / level with that probability.
    """
    chance, number = np.random.default_rng(0), 40
    shares = []
    for _ in range(20_000):
        uniform, keeps = chance.random(), 0
        for idea in range(1, number + 1):
            level = e_lond_level(0.2, idea, keeps)
            keeps += uniform <= level  # an e-value of 1 / level with probability level
        shares.append(float(keeps > 0))
    assert np.mean(shares) <= 0.2 * weight(1) + 0.01


@pytest.mark.parametrize("control", [FDR, FWER])
def test_streams_keep_real_ideas_and_hardly_any_false_ones(control: str) -> None:
    case = Case(control=control, is_resubmitted=True, num_null=60, num_real=3)
    found = simulate(case, 150, np.random.default_rng(1))
    error = found.judge.false_share if control == FDR else found.judge.any_false
    assert error <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 150)
    assert found.judge.real.mean() >= 0.8 * case.num_real
    assert found.lower[1].false_share > 0.5  # "keep what is lower", on all seeds
    assert set(LEVELS) == {FDR, FWER}


def test_streams_at_the_full_level_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation fails a rule that spends the whole level on each idea."""
    monkeypatch.setitem(LEVELS, FWER, lambda alpha, number, keeps: 0.2)
    case = Case(control=FWER, num_null=60, num_real=0, margin=0.1)
    assert simulate(case, 60, np.random.default_rng(1)).judge.any_false > 0.2


def test_the_simulated_search_finds_the_vertex_that_searches_find() -> None:
    chance = np.random.default_rng(2)
    rates = chance.uniform(-0.3, 0.3, (50, 1)) + 0.5 * np.arange(-2, 3)
    means = 3 * rates**2 + chance.normal(size=rates.shape)
    found = vertices(rates, means)
    for row in range(len(rates)):
        real = {
            float(np.exp(rate)): mean for rate, mean in zip(rates[row], means[row], strict=True)
        }
        best = min(real, key=lambda rate: real[rate])
        assert math.log(vertex(list(real), real, best)) == pytest.approx(found[row], abs=1e-9)
