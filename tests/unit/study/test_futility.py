"""The predicted probability of a verdict, against simulated futures of the same pairs."""

from __future__ import annotations

import numpy as np
import pytest

from lmlab.study.futility import chance_of_verdict
from lmlab.study.t_test import t_bound

LEVELS = (0.01, 0.02)


@pytest.mark.parametrize("mean", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_it_is_the_share_of_futures_with_a_verdict(mean: float, margin: float) -> None:
    """Draw mean and spread from their posterior, and then the mean of the pairs to come."""
    number, last, sd = 4, 9, 0.8
    rng = np.random.default_rng(1)
    spread = sd * np.sqrt((number - 1) / rng.chisquare(number - 1, 400_000))
    truth = mean + spread / np.sqrt(number) * rng.normal(size=400_000)
    more = truth + spread / np.sqrt(last - number) * rng.normal(size=400_000)
    final = (number * mean + (last - number) * more) / last
    least, bound = (t_bound(level, last - 1) * sd / np.sqrt(last) for level in LEVELS)
    share = np.mean((np.abs(final) > least) | (np.abs(final) + bound <= margin))
    found = chance_of_verdict(mean, sd / np.sqrt(number), (number, last), LEVELS, margin)
    assert float(found) == pytest.approx(share, abs=0.004)


def test_at_the_last_pair_nothing_is_uncertain() -> None:
    chances = chance_of_verdict(np.array([0.0, 0.5, 3.0]), 0.3, (8, 8), LEVELS, 0.1)
    np.testing.assert_allclose(chances, [0, 0, 1], atol=1e-12)


def test_sign_and_unit_do_not_matter() -> None:
    means = np.array([0.2, -0.2, 1.1])
    one = chance_of_verdict(means, 0.4, (3, 7), LEVELS, 0.6)
    other = chance_of_verdict(-100 * means, 40.0, (3, 7), LEVELS, 60.0)
    np.testing.assert_allclose(one, other, rtol=1e-12)
    assert one[0] == one[1]


def test_pairs_without_spread_are_certain() -> None:
    chances = chance_of_verdict(np.array([0.3, 0.1]), 0.0, (3, 7), LEVELS, 0.2)
    np.testing.assert_allclose(chances, [1, 1])
