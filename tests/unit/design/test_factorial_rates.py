"""Learning rates of cells: fitted to the searched ones, predicted, and checked at the best cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from factorial_studies import START, a_factorial, a_loss, a_manifest, best_rate, simulate

from lmlab.design.factorial_rates import (
    best_cell,
    checking_jobs,
    fit_rates,
    has_no_model,
    predicted_rate,
    rate_model,
)
from lmlab.design.job import Job
from lmlab.design.search import TrialOutcome

FACTORIAL = a_factorial()
MANIFEST = a_manifest(FACTORIAL)


def searched(rates: dict[str, float]) -> dict[str, float]:
    return {cell: rates[cell] for cell in FACTORIAL.searched_cells}


def test_additive_rates_are_recovered_exactly() -> None:
    ratios = {"a": 0.5, "b": 1.0, "c": 1.3, "d": 4.0}
    rates = {
        cell: 3e-3 * math.prod(ratios[name] for name, on in zip("abcd", run, strict=True) if on)
        for cell, run in FACTORIAL.cells.items()
    }
    model = fit_rates(searched(rates), FACTORIAL.cells)
    assert model is not None
    assert model.factors == pytest.approx(tuple(ratios.values()))
    assert model.scatter == pytest.approx(0, abs=1e-12)
    for cell, run in FACTORIAL.cells.items():
        assert model.rate(run) == pytest.approx(rates[cell], rel=0.006)  # three digits


def test_an_interaction_shows_as_scatter() -> None:
    # A resolution IV half confounds a x b with c x d, so the scatter sees it, and no main effect.
    rates = {
        cell: 3e-3 * (4.0 if run[0] and run[1] else 1.0) for cell, run in FACTORIAL.cells.items()
    }
    model = fit_rates(searched(rates), FACTORIAL.cells)
    assert model is not None and model.scatter is not None
    expected = math.log(4) / 4 * math.sqrt(8 / 3)  # of 8 cells, with three degrees of freedom
    assert model.scatter == pytest.approx(expected)
    assert model.factors == pytest.approx((2.0, 2.0, 1.0, 1.0))


def test_rates_that_do_not_determine_the_model_give_none() -> None:
    assert fit_rates({}, FACTORIAL.cells) is None
    assert fit_rates({"baseline": 1e-3, "a-b": 2e-3}, FACTORIAL.cells) is None
    three = a_factorial(factors={"x": ["x=1"], "y": ["y=1"], "z": ["z=1"]})
    cells = three.searched_cells
    model = fit_rates(dict.fromkeys(cells, 1e-3), three.cells)
    assert len(cells) == 4 and model is not None and model.scatter is None


def test_cells_wait_for_all_searches_and_then_get_their_rates() -> None:
    first = MANIFEST.required_jobs({})
    assert {job.arm for job in first} == set(FACTORIAL.searched_cells)
    outcomes = simulate(FACTORIAL)
    tuned = {job: one for job, one in outcomes.items() if job.seed >= 1000}
    for cell, run in FACTORIAL.cells.items():
        on = [name for name, is_on in zip("abcd", run, strict=True) if is_on]
        found = MANIFEST.judged_lr(cell, tuned)
        assert found == pytest.approx(best_rate(on), rel=0.15)
    partial = dict(list(tuned.items())[: len(tuned) // 2])
    assert rate_model(MANIFEST, partial) is None
    assert predicted_rate(MANIFEST, "a", partial) is None
    assert not MANIFEST.is_untrainable("a", partial)


def test_every_cell_is_judged_on_the_same_seeds_and_the_best_one_is_checked() -> None:
    def mean(on: Sequence[str]) -> float:
        return 3.0 - 0.2 * (list(on) == ["a"])  # a cell whose rate is predicted

    outcomes = simulate(FACTORIAL, a_loss(mean))
    required = MANIFEST.required_jobs(outcomes)
    judged = {cell: sorted(job.seed for job, purposes in required.items()
                           if job.arm == cell and "judged" in purposes)
              for cell in FACTORIAL.cells}  # fmt: skip
    assert all(seeds == [0, 1, 2, 3] for seeds in judged.values())
    assert best_cell(MANIFEST, outcomes) == "a" and FACTORIAL.predicts("a")
    rate = MANIFEST.judged_lr("a", outcomes)
    assert rate is not None
    step = math.sqrt(FACTORIAL.lr_factor)
    found = sorted({job.lr for job in checking_jobs(MANIFEST, outcomes) if job.lr is not None})
    assert found == pytest.approx([rate / step, rate, rate * step], rel=0.01)
    bracket = [job for job, purposes in required.items() if "bracket" in purposes]
    assert sorted({job.seed for job in bracket}) == [0, 1]
    assert {job.arm for job in bracket} == {"a"}


def test_a_best_cell_that_was_searched_needs_no_check() -> None:
    outcomes = simulate(FACTORIAL, a_loss(lambda on: 3.0 - 0.3 * (sorted(on) == ["a", "b"])))
    assert best_cell(MANIFEST, outcomes) == "a-b"
    assert checking_jobs(MANIFEST, outcomes) == []


def test_the_best_cell_waits_for_all_judged_runs_and_leaves_out_diverged_cells() -> None:
    outcomes = simulate(FACTORIAL, a_loss(lambda on: 3 - 0.9 * (list(on) == ["c"])))
    best = best_cell(MANIFEST, outcomes)
    assert best == "c"
    rate = MANIFEST.judged_lr(best, outcomes)
    missing = {job: one for job, one in outcomes.items() if job != Job(best, rate, 3)}
    assert best_cell(MANIFEST, missing) is None
    diverged = outcomes | {Job(best, rate, 3): TrialOutcome("diverged", None, 6.0)}
    assert best_cell(MANIFEST, diverged) not in (None, best)


def test_cells_without_a_model_are_untrainable() -> None:
    outcomes = simulate(FACTORIAL, status=lambda job: "diverged")
    assert has_no_model(MANIFEST, outcomes)
    assert all(MANIFEST.is_untrainable(cell, outcomes) for cell in FACTORIAL.cells)
    assert best_cell(MANIFEST, outcomes) is None


def test_one_searched_cell_that_cannot_train_leaves_the_model_of_the_others() -> None:
    cell = FACTORIAL.searched_cells[-1]
    outcomes = simulate(FACTORIAL, status=lambda job: "diverged" if job.arm == cell else "done")
    assert MANIFEST.is_untrainable(cell, outcomes)
    assert not MANIFEST.is_untrainable("a", outcomes)
    assert MANIFEST.judged_lr("a", outcomes) == pytest.approx(START / 2, rel=0.2)


def test_fixed_rates_are_those_of_the_configuration() -> None:
    fixed = a_factorial(lr="fixed")
    manifest, outcomes = a_manifest(fixed), simulate(fixed)
    assert {job.lr for job in outcomes} == {START}
    assert best_cell(manifest, outcomes) is not None
    assert checking_jobs(manifest, outcomes) == []
