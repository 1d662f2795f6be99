"""Pruned searches: which runs they leave out, and that they find the rates of unpruned ones."""

from __future__ import annotations

import math
import random

import pytest
from designs import a_design
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.design.confirmation import AUTO, ConfirmedSearch
from lmlab.design.pruning import ALWAYS, NEVER, Pruning, means_over_seeds
from lmlab.design.search import LRSearch, TrialOutcome
from lmlab.errors import ConfigError

Run = tuple[float, int]
STEP = math.sqrt(10)
SEEDS = (1000, 1001)
RATES = [3e-3 * STEP ** (half / 2) for half in range(5)]
PRUNING = Pruning(noise=0.01, negligible=0.0005)


def a_search(pruning: Pruning | None, seeds: int = 2, policy: str = AUTO) -> ConfirmedSearch:
    search = LRSearch(3e-3, STEP, 1.5, range(1000, 1000 + seeds), pruning)
    return ConfirmedSearch(search, policy, expected_sd=0.01, negligible=0.0005)


class Runs:
    """Runs on a parabola with the edge of divergence; a seed shifts the losses at all rates."""

    def __init__(self, best: float, curvature: float = 0.1, noise: float = 0.0) -> None:
        self.best, self.curvature, self.noise = best, curvature, noise
        self.broken: dict[Run, float] = {}

    def __call__(self, rate: float, seed: int) -> TrialOutcome:
        away = math.log(rate / self.best)
        if away > 2.5:
            return TrialOutcome("diverged", None, 9.0)
        noise = random.Random(f"{rate} {seed}").gauss(0, self.noise) if self.noise else 0.0
        loss = 3 + self.curvature * away**2 + 0.03 * (seed % 3) + noise
        return TrialOutcome("done", loss + self.broken.get((rate, seed), 0.0), 9.0)


def finish(search: ConfirmedSearch, runs: Runs) -> dict[Run, TrialOutcome]:
    trials: dict[Run, TrialOutcome] = {}
    while fresh := [run for run in search.required_runs(trials) if run not in trials]:
        trials |= {run: runs(*run) for run in fresh}
    return trials


def losses_of(
    *first: float, second: dict[int, float] | None = None
) -> dict[float, dict[int, float]]:
    losses = {rate: {SEEDS[0]: loss} for rate, loss in zip(RATES, first, strict=True)}
    for index, loss in (second or {}).items():
        losses[RATES[index]][SEEDS[1]] = loss
    return losses


def repeated(losses: dict[float, dict[int, float]], noise: float = 0.01) -> list[int]:
    """Return the places of the rates that all seeds try, where one seed never suffices."""
    return [RATES.index(rate) for rate in Pruning(noise).repeated_rates(losses, set(), SEEDS)]


def test_all_seeds_try_the_best_rate_its_neighbours_and_those_within_noise() -> None:
    assert repeated(losses_of(3.4, 3.1, 3.0, 3.1, 3.4)) == [1, 2, 3]
    assert repeated(losses_of(3.4, 3.1, 3.0, 3.02, 3.025)) == [1, 2, 3, 4]
    assert repeated(losses_of(3.4, 3.1, 3.0, 3.02, 3.035)) == [1, 2, 3]


def test_a_best_rate_that_moves_gets_its_own_neighbours() -> None:
    first = (3.4, 3.1, 3.0, 3.01, 3.2)
    assert repeated(losses_of(*first, second={1: 3.1, 2: 3.0, 3: 3.0})) == [1, 2, 3]
    assert repeated(losses_of(*first, second={1: 3.1, 2: 3.02, 3: 2.97})) == [1, 2, 3, 4]


def test_all_seeds_try_all_rates_where_a_run_broke_down() -> None:
    second = {1: 3.1, 2: 3.5, 3: 3.1}
    assert repeated(losses_of(3.4, 3.1, 3.0, 3.1, 3.4, second=second)) == [0, 1, 2, 3, 4]


def test_one_seed_suffices_where_noise_hardly_moves_the_vertex() -> None:
    """The vertex moves by sqrt(2) noise / (4 c) steps: 1e-4 / (8 c) nats for a noise of 0.01."""

    def parabola(bend: float) -> dict[float, dict[int, float]]:
        return losses_of(*(3 + bend * place**2 for place in range(-2, 3)))

    assert PRUNING.repeated_rates(parabola(0.026), set(), SEEDS) == []
    assert len(PRUNING.repeated_rates(parabola(0.024), set(), SEEDS)) == 3


@pytest.mark.parametrize(
    "first",
    [
        (3.4, 3.1, 3.0, 3.3, 3.1),  # falls again beyond the best rate
        (3.1, 3.02, 3.0, 3.4, 5.0),  # skewed
        (3.0, 3.1, 3.4, 3.6, 3.8),  # best at the end
    ],
)
def test_one_seed_does_not_suffice_for_an_odd_basin(first: tuple[float, ...]) -> None:
    assert PRUNING.repeated_rates(losses_of(*first), set(), SEEDS)


def test_the_mean_of_a_pruned_rate_has_the_shifts_of_the_others() -> None:
    means = means_over_seeds(losses_of(3.4, 3.1, 3.0, 3.1, 3.4, second={1: 3.2, 2: 3.1}), SEEDS)
    assert list(means.values()) == pytest.approx([3.45, 3.15, 3.05, 3.15, 3.45])


@settings(max_examples=15, deadline=None)
@given(st.floats(-1.8, 1.8), st.sampled_from([0.02, 0.1, 0.5]), st.integers(1, 3))
def test_without_noise_a_pruned_search_finds_the_same_with_fewer_runs(
    position: float, curvature: float, seeds: int
) -> None:
    runs = Runs(3e-3 * 10**position, curvature)
    whole, pruned = a_search(None, seeds), a_search(PRUNING, seeds)
    reference, found = finish(whole, runs), finish(pruned, runs)
    assert pruned.best_lr(found) == whole.best_lr(reference)
    assert pruned.fitted_rates(found) == whole.fitted_rates(reference)
    assert pruned.search.divergence_edge(found) == whole.search.divergence_edge(reference)
    assert found.keys() <= reference.keys()
    if curvature >= 0.1:
        assert len(reference) - len(found) >= 2 * (seeds - 1)
    assert set(pruned.pruned_runs(found)) == reference.keys() - found.keys()
    assert whole.pruned_runs(reference) == []


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_broke_down_moves_no_pruned_search(place: int, seed: int) -> None:
    runs = Runs(3e-3 * STEP**1.1, noise=0.004)
    runs.broken = {(float(f"{RATES[place]:.3g}"), seed): 0.8}
    pruned = a_search(PRUNING)
    found = pruned.best_lr(finish(pruned, runs))
    assert found == pytest.approx(runs.best, rel=0.15)


@settings(max_examples=20, deadline=None)
@given(
    st.floats(-1.5, 1.5), st.sampled_from([0.02, 0.1]), st.integers(1, 3),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_the_order_in_which_runs_finish_changes_nothing(
    position: float, curvature: float, seeds: int, chance: random.Random
) -> None:
    """Nor does losing some of them, as where a study is killed and resumed."""
    runs, search = Runs(3e-3 * 10**position, curvature, noise=0.01), a_search(PRUNING, seeds)
    reference = finish(search, runs)
    assert search.best_lr(reference) is not None
    one_by_one: dict[Run, TrialOutcome] = {}
    while fresh := [run for run in search.required_runs(one_by_one) if run not in one_by_one]:
        assert search.best_lr(one_by_one) is None
        run = chance.choice(fresh)
        one_by_one[run] = runs(*run)
    assert one_by_one == reference
    kept = {run: one for run, one in reference.items() if chance.random() < 0.6}
    while fresh := [run for run in search.required_runs(kept) if run not in kept]:
        kept |= {run: runs(*run) for run in fresh}
    assert kept == reference


def test_runs_that_an_unpruned_search_has_left_change_nothing() -> None:
    runs = Runs(8e-3, noise=0.01)
    everything = finish(a_search(None), runs)
    pruned = a_search(PRUNING)
    assert pruned.best_lr(everything) == pruned.best_lr(finish(pruned, runs))


@pytest.mark.parametrize(
    ("changes", "effective"),
    [
        ({}, NEVER),
        ({"prune": "auto"}, NEVER),
        ({"prune": "auto", "look": "sequential"}, ALWAYS),
        ({"prune": "never", "look": "sequential"}, NEVER),
        ({"prune": "always"}, ALWAYS),
        ({"prune": "always", "lr": "fixed"}, NEVER),
    ],
)
def test_auto_prunes_sequential_studies(changes: dict[str, str], effective: str) -> None:
    design = a_design(**changes)
    assert design.prune == effective
    assert ("prune" in design.as_dict()) == (effective == ALWAYS)
    assert type(design)(**design.as_dict()) == design


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"design\.prune=some: expected one of auto, always"):
        a_design(prune="some")
