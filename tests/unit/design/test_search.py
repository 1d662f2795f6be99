"""The search for a learning rate on curves whose optimum and edge are known."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.design.search import LRSearch, TrialOutcome

Curve = Callable[[float, int], TrialOutcome]


def curve(best: float, edge: float, noise: float = 0.0, curvature: float = 0.1) -> Curve:
    """A parabola in log(rate) that diverges above ``edge``, with noise by rate and seed."""

    def outcome(rate: float, seed: int) -> TrialOutcome:
        if rate > edge:
            return TrialOutcome("diverged", None, 9.0)
        shift = random.Random(f"{rate} {seed}").gauss(0, noise) if noise else 0.0
        return TrialOutcome("done", 2 + curvature * math.log(rate / best) ** 2 + shift, 9.0)

    return outcome


def carry_out(
    search: LRSearch, outcome: Curve, waves: int = 60
) -> dict[tuple[float, int], TrialOutcome]:
    tried: dict[tuple[float, int], TrialOutcome] = {}
    for _ in range(waves):
        fresh = [run for run in search.required_runs(tried) if run not in tried]
        if not fresh:
            return tried
        for run in fresh:
            tried[run] = outcome(*run)
    raise AssertionError("the search does not end")


def a_search(start: float = 3e-3, seeds: int = 2) -> LRSearch:
    return LRSearch(
        start=start, factor=math.sqrt(10), edge_ratio=1.5, seeds=range(1000, 1000 + seeds)
    )


@settings(max_examples=150, deadline=None)
@given(st.floats(-2.4, 2.4), st.floats(0.4, 1.5), st.integers(1, 3))
def test_the_optimum_and_the_edge_are_found(shift: float, room: float, seeds: int) -> None:
    search = a_search(seeds=seeds)
    best = search.start * 10**shift
    edge = best * 10**room
    tried = carry_out(search, curve(best, edge))
    found = search.best_lr(tried)
    assert found is not None
    assert found == pytest.approx(best, rel=0.02)
    sound, broken = search.divergence_edge(tried)
    assert sound is not None
    if broken is None:
        assert edge > search.start * search.factor**6 / 1.01
    else:
        assert sound <= edge < broken
        assert broken / sound <= 1.5
    assert len(tried) <= 6 + 5 * seeds + 10


@pytest.mark.parametrize("edge", [0.04, 0.07])
def test_no_rate_is_tried_twice_in_all_but_its_last_digit(edge: float) -> None:
    # The grid has 0.0533 half a step above 0.03; bisection of its neighbours would have 0.0534.
    tried = carry_out(a_search(), curve(2e-2, edge))
    rates = sorted({rate for rate, _ in tried})
    assert 0.0533 in rates
    assert all(above / below > 1.02 for below, above in itertools.pairwise(rates))


def test_noise_moves_the_answer_little() -> None:
    losses = []
    for number in range(200):
        search = LRSearch(3e-3 * 1.001**number, math.sqrt(10), 1.5, [1000, 1001])
        tried = carry_out(search, curve(1e-2, 0.1, noise=0.01))
        found = search.best_lr(tried)
        assert found is not None
        losses.append(0.1 * math.log(found / 1e-2) ** 2)
    # The mean excess stays well below the noise of a single run.
    assert sum(losses) / len(losses) < 0.003


def test_an_arm_that_never_trains_has_no_best_rate() -> None:
    search = a_search()
    tried = carry_out(search, lambda rate, seed: TrialOutcome("diverged", None, 9.0))
    assert search.best_lr(tried) is None
    assert min(rate for rate, _ in tried) < 3e-3 / 500, "it went down as far as it may"
    assert len(tried) < 12


def test_a_lost_half_counts_as_broken_down() -> None:
    def outcome(rate: float, seed: int) -> TrialOutcome:
        return TrialOutcome("done", 8.0 if rate > 0.02 else 3 + abs(math.log(rate / 1e-2)), 9.0)

    search = a_search()
    sound, broken = search.divergence_edge(carry_out(search, outcome))
    assert sound is not None and broken is not None
    assert sound <= 0.02 < broken


def test_a_small_rate_that_gains_little_still_trains() -> None:
    def outcome(rate: float, seed: int) -> TrialOutcome:
        return TrialOutcome("done", 9 - 7 * math.exp(-0.3 * math.log(rate / 1e-1) ** 2), 9.0)

    search = a_search(start=1e-3)
    tried = carry_out(search, outcome)
    assert search.best_lr(tried) == pytest.approx(0.1, rel=0.05)


def test_it_goes_on_from_what_exists_in_any_order() -> None:
    """Results that come one at a time, in any order, lead to the same rates as whole waves."""
    search, outcome = a_search(), curve(2e-2, 0.2)
    whole = carry_out(search, outcome)
    for shuffle in range(5):
        chance, tried = random.Random(shuffle), {}
        while fresh := [run for run in search.required_runs(tried) if run not in tried]:
            run = chance.choice(fresh)
            tried[run] = outcome(*run)
        assert search.best_lr(tried) == search.best_lr(whole)


def test_nothing_is_said_before_the_end() -> None:
    search, outcome = a_search(), curve(1e-2, 0.1)
    tried: dict[tuple[float, int], TrialOutcome] = {}
    while fresh := [run for run in search.required_runs(tried) if run not in tried]:
        assert search.best_lr(tried) is None
        tried[fresh[0]] = outcome(*fresh[0])
    assert search.best_lr(tried) is not None


def test_a_failed_run_holds_the_search_up() -> None:
    search = a_search()
    tried = {(3e-3, 1000): TrialOutcome("failed")}
    wanted = search.required_runs(tried)
    assert search.best_lr(tried) is None
    assert {seed for _, seed in wanted} == {1000}
