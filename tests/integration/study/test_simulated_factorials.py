"""Simulated factorial studies: false effects within the level, planted ones found as planned."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from simulated_factorials import (
    ALPHA,
    DESIGNS,
    NOISES,
    PLANTED,
    POWER,
    RUN_SD,
    SEEDS,
    decide,
    detectable,
    simulate,
)

from lmlab.study.factorials.effects import estimate_effects, seed_contrasts
from lmlab.study.sequential_test import Rule

_STUDIES = 2_000


def test_studies_judged_at_once_are_judged_as_reports_judge_them() -> None:
    design, chance = DESIGNS["2^3"], np.random.default_rng(0)
    losses = chance.normal(3, RUN_SD, (60, 5, 8))
    losses[:, :, -1] -= 0.06  # A, B and C together
    tested = [design.effects.index(one) for one in design.low_order_effects]
    at_once, _ = decide(seed_contrasts(design, losses)[..., tested])
    for study, expected in zip(losses, at_once, strict=True):
        cells = [dict(enumerate(map(float, cell))) for cell in study.T]
        found = estimate_effects(design, cells, Rule(seeds=5, alpha=ALPHA, margin=0.0))
        verdicts = [one.comparison.verdict for one in found if one.comparison is not None]
        assert [verdict in ("better", "worse") for verdict in verdicts] == list(expected)
    assert 0.1 < at_once.mean() < 0.9


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", ["2^2", "2^4", "2^(5-1)"])
def test_false_effects_are_within_the_level(name: str, noise: str) -> None:
    assert simulate(DESIGNS[name], 5, noise, (), _STUDIES).is_within_level


@pytest.mark.parametrize("name", DESIGNS)
def test_a_planted_interaction_is_found_with_the_stated_power(name: str) -> None:
    found = simulate(DESIGNS[name], 5, "normal", ("AB",), _STUDIES)
    test = stats.binomtest(round(found.power["AB"] * _STUDIES), _STUDIES, POWER)
    assert test.pvalue > 1e-3
    assert found.is_within_level


def test_more_seeds_and_more_cells_detect_smaller_effects() -> None:
    assert detectable(DESIGNS["2^4"], 8) < detectable(DESIGNS["2^4"], 5)
    # Twice the seeds at the same cells; a fraction of five factors has those of four.
    assert detectable(DESIGNS["2^(5-1)"], 5) > detectable(DESIGNS["2^4"], 5)


@pytest.mark.exhaustive
def test_every_case_of_the_table_is_within_the_level() -> None:
    for design in DESIGNS.values():
        for num_seeds in SEEDS:
            for noise in NOISES:
                for planted in PLANTED.values():
                    found = simulate(design, num_seeds, noise, planted)
                    assert found.is_within_level, (design, num_seeds, noise, planted)
