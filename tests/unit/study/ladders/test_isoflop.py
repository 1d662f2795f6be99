"""isoFLOP studies: exact exponents, bounds left out, coverage of all intervals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from simulated_isoflop import EXPONENT, LOWEST, Study

from lmlab.study.ladders.isoflop import analyse_isoflop
from lmlab.study.ladders.isoflop_curves import Budget


def test_exact_studies_have_their_exponents_and_recommendations() -> None:
    study = Study(sd=1e-6, factor=1.3)
    found = analyse_isoflop(study.draw(np.random.default_rng(1))[::-1])
    assert [one.flops for one in found.optima] == study.flops
    assert found.parameters is not None and found.tokens is not None
    assert found.parameters.exponent().value == pytest.approx(EXPONENT, abs=2e-4)
    assert found.tokens.exponent().value == pytest.approx(1 - EXPONENT, abs=2e-4)
    flops = 5 * study.flops[-1]
    best = study.best_size(flops)
    advice = found.recommend(flops)
    assert advice.parameters.value == pytest.approx(best, rel=2e-3)
    assert advice.tokens.value == pytest.approx(flops / 6 / best, rel=2e-3)
    assert advice.loss is not None
    assert advice.loss.value == pytest.approx(study.loss(best, flops), abs=2e-3)
    with pytest.raises(ValueError, match="at most 10 times beyond the budgets"):
        found.recommend(11 * study.flops[-1])
    with pytest.raises(ValueError, match="at most 3 times beyond"):
        found.recommend(flops, max_factor=3)


def test_the_laws_of_size_and_tokens_add_up_to_the_compute() -> None:
    found = analyse_isoflop(Study().draw(np.random.default_rng(2)))
    assert found.parameters is not None and found.tokens is not None
    size, tokens = found.parameters.exponent(), found.tokens.exponent()
    assert size.value + tokens.value == pytest.approx(1)
    assert size.high - size.low == pytest.approx(tokens.high - tokens.low)
    at = found.recommend(9e12)
    assert at.parameters.value * at.tokens.value == pytest.approx(9e12 / 6)


def test_minima_at_the_edge_are_left_out() -> None:
    study = Study(sd=0.002)
    budgets = study.draw(np.random.default_rng(1))
    far = Study(sd=0.002, off_centre=4).draw(np.random.default_rng(1))
    found = analyse_isoflop([far[0], *budgets[1:]])
    assert found.optima[0].bound == "at most"
    assert found.parameters is not None
    assert len(found.parameters.law.log_x) == 3
    assert found.parameters.exponent().value == pytest.approx(EXPONENT, abs=0.05)
    assert found.loss_law is not None
    only = analyse_isoflop([far[0], budgets[1]])
    assert only.parameters is None
    assert only.losses is None
    with pytest.raises(ValueError, match="two budgets whose minimum is between the sizes"):
        only.recommend(LOWEST)


def test_one_seed_has_laws_but_no_law_of_the_loss() -> None:
    found = analyse_isoflop(Study(seeds=1).draw(np.random.default_rng(1)))
    assert found.parameters is not None
    assert found.loss_law is None
    assert found.recommend(LOWEST).loss is None


def test_minima_off_the_law_widen_its_intervals() -> None:
    budgets = Study(sd=0.003).draw(np.random.default_rng(1))
    moved = [
        Budget(
            one.flops,
            [size * 1.5 ** (-1) ** (number // 2) for size in one.parameters],
            [tokens / 1.5 ** (-1) ** (number // 2) for tokens in one.tokens],
            one.losses,
        )
        for number, one in enumerate(budgets)
    ]
    usual, off = analyse_isoflop(budgets).parameters, analyse_isoflop(moved).parameters
    assert usual is not None and off is not None
    assert off.is_off
    one, other = usual.exponent(), off.exponent()
    assert other.high - other.low > 5 * (one.high - one.low)


def test_equal_budgets_are_refused() -> None:
    budget = Study().draw(np.random.default_rng(1))[0]
    with pytest.raises(ValueError, match="each with a compute of its own"):
        analyse_isoflop([budget, budget])


@pytest.mark.long
@pytest.mark.parametrize(
    "study",
    [
        Study(parabolas=True),
        Study(parabolas=True, budgets=3, sizes=7, seeds=2, factor=1.6),
        Study(),
        Study(seeds=1, sizes=6),
    ],
    ids=str,
)
def test_intervals_cover_as_stated(study: Study) -> None:
    """Within three standard errors of 90 %; a sum of powers is misfit, which may make them wide."""
    chance, draws, hits = np.random.default_rng(21), 150, []
    for _ in range(draws):
        found = analyse_isoflop(study.draw(chance))
        assert found.parameters is not None and found.tokens is not None
        best = [study.best_size(one.flops) for one in found.optima]
        flops = 4 * study.flops[-1]
        hits.append(
            [
                found.parameters.exponent().contains(EXPONENT),
                found.tokens.exponent().contains(1 - EXPONENT),
                found.recommend(flops).parameters.contains(study.best_size(flops)),
                np.mean([one.parameters.contains(size)
                         for one, size in zip(found.optima, best, strict=True)]),
            ]
        )  # fmt: skip
    shares, allowed = np.mean(hits, axis=0), 3 * math.sqrt(0.09 / draws)
    assert shares.min() > 0.9 - allowed
    assert shares.max() < (0.9 + allowed if study.parabolas else 0.99)


def test_a_study_is_a_pure_function_of_its_losses() -> None:
    budgets = Study().draw(np.random.default_rng(4))
    one, other = (
        analyse_isoflop(budgets),
        analyse_isoflop([dataclasses.replace(b) for b in budgets]),
    )
    assert [o.parameters for o in one.optima] == [o.parameters for o in other.optima]
