"""The learning-rate search on curves with a known optimum and divergence edge."""

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


def run_search(
    search: LRSearch, outcome: Curve, waves: int = 60
) -> dict[tuple[float, int], TrialOutcome]:
    trials: dict[tuple[float, int], TrialOutcome] = {}
    for _ in range(waves):
        fresh = [run for run in search.required_runs(trials) if run not in trials]
        if not fresh:
            return trials
        for run in fresh:
            trials[run] = outcome(*run)
    raise AssertionError("the search does not terminate")


def a_search(start: float = 3e-3, seeds: int = 2) -> LRSearch:
    return LRSearch(
        start=start, factor=math.sqrt(10), edge_ratio=1.5, seeds=range(1000, 1000 + seeds)
    )


@settings(max_examples=150, deadline=None)
@given(st.floats(-2.4, 2.4), st.floats(0.4, 1.5), st.integers(1, 3))
def test_the_search_finds_the_optimum_and_the_edge(shift: float, gap: float, seeds: int) -> None:
    search = a_search(seeds=seeds)
    best = search.start * 10**shift
    edge = best * 10**gap
    trials = run_search(search, curve(best, edge))
    found = search.best_lr(trials)
    assert found is not None
    assert found == pytest.approx(best, rel=0.02)
    highest, lowest = search.divergence_edge(trials)
    assert highest is not None
    if lowest is None:
        assert edge > search.start * search.factor**6 / 1.01
    else:
        assert highest <= edge < lowest
        assert lowest / highest <= 1.5
    assert len(trials) <= 6 + 5 * seeds + 10


@pytest.mark.parametrize("edge", [0.04, 0.07])
def test_no_two_rates_differ_only_by_rounding(edge: float) -> None:
    # Half a grid step above 0.03 is 0.0533; bisection of its neighbours would give 0.0534.
    trials = run_search(a_search(), curve(2e-2, edge))
    rates = sorted({rate for rate, _ in trials})
    assert 0.0533 in rates
    assert all(above / below > 1.02 for below, above in itertools.pairwise(rates))


def test_noise_moves_the_result_by_less_than_its_size() -> None:
    losses = []
    for number in range(200):
        search = LRSearch(3e-3 * 1.001**number, math.sqrt(10), 1.5, [1000, 1001])
        trials = run_search(search, curve(1e-2, 0.1, noise=0.01))
        found = search.best_lr(trials)
        assert found is not None
        losses.append(0.1 * math.log(found / 1e-2) ** 2)
    # The mean excess stays well below the noise of a single run.
    assert sum(losses) / len(losses) < 0.003


def test_an_arm_that_never_trains_has_no_best_rate() -> None:
    search = a_search()
    trials = run_search(search, lambda rate, seed: TrialOutcome("diverged", None, 9.0))
    assert search.best_lr(trials) is None
    assert min(rate for rate, _ in trials) < 3e-3 / 500, "it trials the lowest rate of the grid"
    assert len(trials) < 12


def test_losing_half_of_the_gain_counts_as_not_training() -> None:
    def outcome(rate: float, seed: int) -> TrialOutcome:
        return TrialOutcome("done", 8.0 if rate > 0.02 else 3 + abs(math.log(rate / 1e-2)), 9.0)

    search = a_search()
    highest, lowest = search.divergence_edge(run_search(search, outcome))
    assert highest is not None and lowest is not None
    assert highest <= 0.02 < lowest


def test_a_low_rate_that_gains_little_still_trains() -> None:
    def outcome(rate: float, seed: int) -> TrialOutcome:
        return TrialOutcome("done", 9 - 7 * math.exp(-0.3 * math.log(rate / 1e-1) ** 2), 9.0)

    search = a_search(start=1e-3)
    trials = run_search(search, outcome)
    assert search.best_lr(trials) == pytest.approx(0.1, rel=0.05)


def test_the_order_of_the_outcomes_does_not_change_the_result() -> None:
    """Outcomes that arrive one at a time lead to the same rates as complete waves."""
    search, outcome = a_search(), curve(2e-2, 0.2)
    reference = run_search(search, outcome)
    for shuffle in range(5):
        chance, trials = random.Random(shuffle), {}
        while fresh := [run for run in search.required_runs(trials) if run not in trials]:
            run = chance.choice(fresh)
            trials[run] = outcome(*run)
        assert search.best_lr(trials) == search.best_lr(reference)


def test_an_incomplete_search_has_no_best_rate() -> None:
    search, outcome = a_search(), curve(1e-2, 0.1)
    trials: dict[tuple[float, int], TrialOutcome] = {}
    while fresh := [run for run in search.required_runs(trials) if run not in trials]:
        assert search.best_lr(trials) is None
        trials[fresh[0]] = outcome(*fresh[0])
    assert search.best_lr(trials) is not None


def test_a_failed_run_keeps_the_search_incomplete() -> None:
    search = a_search()
    trials = {(3e-3, 1000): TrialOutcome("failed")}
    required = search.required_runs(trials)
    assert search.best_lr(trials) is None
    assert {seed for _, seed in required} == {1000}


def test_a_tuning_run_that_broke_down_moves_no_optimum() -> None:
    search = LRSearch(start=3e-3, factor=math.sqrt(10), edge_ratio=1.5, seeds=[1000, 1001])

    def find(broken: dict[int, float]) -> float:
        """Search with a known optimum of 6e-3; the ``broken`` runs, by number, are that worse."""
        trials: dict[tuple[float, int], TrialOutcome] = {}
        while fresh := [run for run in search.required_runs(trials) if run not in trials]:
            for rate, seed in fresh:
                loss = 3 + 0.05 * math.log(rate / 6e-3) ** 2 + 0.004 * (seed % 2)
                loss += 0.001 * math.sin(1e5 * rate + seed)  # a spread over seeds
                if seed == 1001:
                    loss += broken.get(sum(one == 1001 for _, one in trials), 0.0)
                status = "diverged" if rate > 0.04 else "done"
                value = None if status == "diverged" else loss
                trials[rate, seed] = TrialOutcome(status, value, 7.0)
        found = search.best_lr(trials)
        assert found is not None
        return found

    undisturbed = find({})
    assert undisturbed == pytest.approx(6e-3, rel=0.1)
    for number in range(5):
        assert find({number: 0.5}) == pytest.approx(undisturbed, rel=0.02)
