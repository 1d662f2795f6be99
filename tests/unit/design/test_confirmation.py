"""The runs that confirm a searched rate, on curves whose minimum is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.design.basin import ASYMMETRIC, ONE_SIDED
from lmlab.design.confirmation import ALWAYS, AUTO, NEVER, POLICIES, ConfirmedSearch
from lmlab.design.search import LRSearch, TrialOutcome

Run = tuple[float, int]
Curve = Callable[[float, int], TrialOutcome]


def curve(best: float, above: float = 1.0, edge: float = 9.0, noise: float = 0.0) -> Curve:
    """0.3 x^2 for x = log(rate / best), ``above`` times as steep above, diverging at ``edge``."""

    def outcome(rate: float, seed: int) -> TrialOutcome:
        away = math.log(rate / best)
        if away > edge:
            return TrialOutcome("diverged", None, 9.0)
        loss = 2 + 0.3 * away**2 * (above if away > 0 else 1)
        shift = random.Random(f"{rate} {seed}").gauss(0, noise) if noise else 0.0
        return TrialOutcome("done", loss + 0.1 * (seed % 3) + shift, 9.0)

    return outcome


def a_search(policy: str, seeds: int = 2, start: float = 3e-3) -> ConfirmedSearch:
    search = LRSearch(start, math.sqrt(10), 1.5, range(1000, 1000 + seeds))
    return ConfirmedSearch(search, policy, expected_sd=0.01, negligible=0.001)


def finish(
    search: ConfirmedSearch, outcome: Curve, trials: dict[Run, TrialOutcome] | None = None
) -> dict[Run, TrialOutcome]:
    trials = dict(trials or {})
    for _ in range(60):
        fresh = [run for run in search.required_runs(trials) if run not in trials]
        if not fresh:
            return trials
        trials |= {run: outcome(*run) for run in fresh}
    raise AssertionError("the search does not terminate")


def doubt(search: ConfirmedSearch, trials: dict[Run, TrialOutcome]) -> str:
    basin = search.basin(trials)
    assert basin is not None
    return basin.doubt(search.negligible)


def excess(rate: float | None, outcome: Curve) -> float:
    assert rate is not None
    return (outcome(rate, 0).loss or math.inf) - 2


SHAPES = st.tuples(
    st.floats(-2.0, 1.5), st.sampled_from([1.0, 5.0, 30.0]), st.sampled_from([0.1, 0.8, 9.0])
)


@settings(max_examples=15, deadline=None)
@given(SHAPES, st.sampled_from(POLICIES), st.integers(1, 3), st.randoms(use_true_random=False))
def test_any_subset_of_finished_runs_leads_to_the_same_rate(
    shape: tuple[float, float, float], policy: str, seeds: int, chance: random.Random
) -> None:
    """Runs of the confirmation may have finished when some of the search are lost again."""
    position, above, edge = shape
    search = a_search(policy, seeds)
    outcome = curve(3e-3 * 10**position, above, edge, noise=0.003)
    reference = finish(search, outcome)
    expected = search.best_lr(reference)
    kept = {run: one for run, one in reference.items() if chance.random() < 0.6}
    if policy != NEVER:
        resumed = finish(search, outcome, kept)
        assert search.best_lr(resumed) == expected
        assert resumed.keys() <= reference.keys(), "no further run is called for"
    one_by_one: dict[Run, TrialOutcome] = {}
    while fresh := [run for run in search.required_runs(one_by_one) if run not in one_by_one]:
        assert search.best_lr(one_by_one) is None
        run = chance.choice(fresh)
        one_by_one[run] = outcome(*run)
    assert search.best_lr(one_by_one) == expected


@settings(max_examples=15, deadline=None)
@given(SHAPES, st.integers(1, 3))
def test_a_confirmed_rate_is_never_much_worse_and_costs_few_runs(
    shape: tuple[float, float, float], seeds: int
) -> None:
    position, above, edge = shape
    outcome = curve(3e-3 * 10**position, above, edge)
    searched, confirmed = (
        (search, finish(search, outcome))
        for search in (a_search(NEVER, seeds), a_search(ALWAYS, seeds))
    )
    before, after = (
        excess(search.best_lr(trials), outcome) for search, trials in (searched, confirmed)
    )
    # The width of a step is a quarter of the grid's: the lower slope costs at most that.
    assert after <= max(before, 0.3 * (math.log(10) / 8) ** 2) + 1e-4
    assert len(confirmed[1]) <= len(searched[1]) + 4 * seeds
    found = confirmed[0].confirmation(confirmed[1])
    assert found is not None
    _, unstable = searched[0].search.divergence_edge(searched[1])
    assert unstable is None or max(found.rates) < unstable, "no run at a rate known to diverge"


def test_an_asymmetric_basin_is_noticed_and_its_rate_confirmed() -> None:
    before, after = [], []
    for number in range(12):
        outcome = curve(3e-3 * 10 ** (number / 24), above=10, noise=0.003)
        plain, search = a_search(NEVER), a_search(AUTO)
        trials = finish(search, outcome)
        before.append(excess(plain.best_lr(finish(plain, outcome)), outcome))
        after.append(excess(search.best_lr(trials), outcome))
    assert sum(before) / 12 > 0.015
    assert sum(after) / 12 < 0.006


def test_a_better_side_is_taken_after_one_more_rate_beyond_it() -> None:
    search = a_search(AUTO)
    trials = finish(search, curve(3e-3, above=10))
    found = search.confirmation(trials)
    assert found is not None
    low, searched, better, beyond = found.rates
    assert searched == found.searched
    assert search.best_lr(trials) == better
    assert found.fitted == (searched, better, beyond) and found.is_enclosed
    assert better / searched == pytest.approx(10**0.125, rel=0.01)
    without = {run: one for run, one in trials.items() if run[0] not in found.rates}
    assert {rate for rate, _ in search.required_runs(without)} >= {low, searched, better}
    assert beyond not in {rate for rate, _ in search.required_runs(without)}


def test_a_symmetric_basin_needs_no_confirmation() -> None:
    search, plain = a_search(AUTO), a_search(NEVER)
    for number in range(12):
        outcome = curve(3e-3 * 10 ** (number / 24), noise=0.003)
        trials = finish(search, outcome)
        assert search.confirmation(trials) is None
        assert trials.keys() == finish(plain, outcome).keys()


def test_without_doubt_only_a_clear_difference_moves_the_rate() -> None:
    search, plain = a_search(ALWAYS), a_search(NEVER)
    kept = 0
    for number in range(20):
        outcome = curve(3e-3 * 10 ** (number / 40), noise=0.01)
        trials = finish(search, outcome)
        kept += search.best_lr(trials) == plain.best_lr(finish(plain, outcome))
    assert kept >= 17


def test_a_rate_beside_the_edge_is_confirmed_below_it() -> None:
    search = a_search(AUTO)
    outcome = curve(7e-3, edge=0.05)
    trials = finish(search, outcome)
    assert doubt(search, trials) == ONE_SIDED
    found = search.confirmation(trials)
    assert found is not None and found.rate is not None and found.is_enclosed
    assert found.rate == search.best_lr(trials)
    assert set(search.fitted_rates(trials)) <= set(found.rates)


def test_runs_that_confirm_may_all_fail() -> None:
    """Search runs train with seed 1000 only up to the vertex; later runs beside it fail."""
    search = a_search(ALWAYS)
    outcome = curve(6e-3, above=10)
    plain = a_search(NEVER)
    searched = finish(plain, outcome)

    def failing(rate: float, seed: int) -> TrialOutcome:
        return (
            outcome(rate, seed) if (rate, seed) in searched else TrialOutcome("diverged", None, 9.0)
        )

    trials = finish(search, failing)
    found = search.confirmation(trials)
    assert found is not None and found.rate == found.searched and not found.is_enclosed
    # The searched rate stays, and rests on what the search found before these runs failed.
    assert len(search.fitted_rates(trials)) == 3
    assert search.fitted_rates(trials) == plain.fitted_rates(searched)
    assert doubt(search, trials) == ASYMMETRIC
