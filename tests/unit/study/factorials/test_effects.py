"""Effects of two-level designs: by hand, by least squares, and their verdicts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from lmlab.design.two_level import fraction, full_design
from lmlab.study.factorials.effects import (
    complete_seeds,
    contrast_sd,
    estimate_effects,
    seed_contrasts,
    simple_effects,
)
from lmlab.study.sequential_test import Rule

RULE = Rule(seeds=5, margin=0.02)


def cells_of(losses: np.ndarray) -> list[dict[int, float]]:
    """Losses by seed of each cell, from an array of shape (seeds, cells)."""
    return [dict(enumerate(map(float, column))) for column in losses.T]


def test_effects_of_two_factors_by_hand() -> None:
    # A lowers the loss by 0.4 alone and by 0.1 with B; B lowers it by 0.3 alone and by 0 with A.
    cells = [{0: 3.0}, {0: 2.6}, {0: 2.7}, {0: 2.6}]
    found = estimate_effects(full_design("AB"), cells, RULE)
    estimates = [one.estimate for one in found]
    assert estimates == pytest.approx([(-0.4 - 0.1) / 2, (-0.3 + 0.0) / 2, (-0.1 + 0.4) / 2])
    assert [one.is_interaction for one in found] == [False, False, True]
    by_level = simple_effects(full_design("AB"), cells, 0, 1)
    assert by_level == (pytest.approx([-0.4]), pytest.approx([-0.1]))


def test_estimates_equal_those_of_least_squares() -> None:
    design = full_design("ABCD")
    losses = np.random.default_rng(0).normal(3, 0.1, (6, 16))
    found = estimate_effects(design, cells_of(losses), RULE)
    columns = [np.ones(16)]
    for size in range(1, 5):
        for chosen in itertools.combinations(range(4), size):
            signs = [[1 if run[factor] else -1 for factor in chosen] for run in design.runs]
            columns.append(np.prod(signs, axis=1))
    fitted, *_ = np.linalg.lstsq(np.array(columns).T, losses.mean(axis=0), rcond=None)
    assert [one.estimate for one in found] == pytest.approx(2 * fitted[1:])


def test_the_p_value_is_that_of_one_sample_of_contrasts() -> None:
    design = full_design("ABC")
    losses = np.random.default_rng(1).normal(3, 0.1, (5, 8))
    found = estimate_effects(design, cells_of(losses), RULE)
    on = np.array([run[2] for run in design.runs])
    per_seed = losses[:, on].mean(axis=1) - losses[:, ~on].mean(axis=1)
    effect = next(one for one in found if one.effect == 0b100)
    assert effect.contrasts == pytest.approx(tuple(per_seed))
    assert effect.comparison is not None
    assert effect.comparison.p == pytest.approx(stats.ttest_1samp(per_seed, 0).pvalue)


def test_what_the_cells_of_a_seed_share_changes_nothing() -> None:
    design, chance = fraction("ABCDE", 1), np.random.default_rng(2)
    losses = chance.normal(3, 0.1, (5, 16))
    before = estimate_effects(design, cells_of(losses), RULE)
    after = estimate_effects(design, cells_of(losses + chance.normal(0, 5, (5, 1))), RULE)
    for one, other in zip(before, after, strict=True):
        assert one.contrasts == pytest.approx(other.contrasts)


def test_effects_of_three_factors_get_no_verdict_and_do_not_count_in_the_family() -> None:
    design = full_design("ABC")
    losses = np.random.default_rng(3).normal(3, 0.1, (5, 8))
    found = estimate_effects(design, cells_of(losses), RULE)
    ps = sorted(one.comparison.p for one in found if one.comparison is not None)
    assert len(found) == 7 and len(ps) == 6
    adjusted = [one.comparison.adjusted_p for one in found if one.comparison is not None]
    assert min(adjusted) == pytest.approx(min(1.0, 6 * ps[0]))


def test_clear_effects_are_found_with_their_signs() -> None:
    design, chance = full_design("AB"), np.random.default_rng(4)
    means = np.array([3.0, 2.5, 2.8, 2.0])  # A, B, and more than their sum together
    losses = means + chance.normal(0, 0.005, (5, 4)) + chance.normal(0, 0.1, (5, 1))
    found = estimate_effects(design, cells_of(losses), RULE)
    assert [one.comparison.verdict for one in found if one.comparison] == ["better"] * 3


def test_seeds_that_lack_a_cell_are_left_out() -> None:
    cells = [{0: 3.0, 1: 3.1, 2: 3.0}, {1: 2.9, 0: 2.8}, {0: 3.0, 1: 3.0}, {1: 2.5, 0: 2.6, 3: 9.0}]
    assert complete_seeds(cells) == [0, 1]
    assert len(estimate_effects(full_design("AB"), cells, RULE)[0].contrasts) == 2
    assert estimate_effects(full_design("AB"), [{}, {}, {}, {}], RULE) == []


def test_one_seed_supports_no_verdict() -> None:
    cells = [{0: 3.0}, {0: 2.6}, {0: 2.7}, {0: 2.6}]
    found = estimate_effects(full_design("AB"), cells, RULE)
    assert {one.comparison.verdict for one in found if one.comparison} == {"inconclusive"}


def test_the_spread_of_a_contrast_follows_from_that_of_runs() -> None:
    design, chance = full_design("ABC"), np.random.default_rng(5)
    contrasts = seed_contrasts(design, chance.normal(0, 0.1, (20_000, 8)))
    assert contrasts.std(axis=0) == pytest.approx([contrast_sd(0.1, 8)] * 7, rel=0.03)
