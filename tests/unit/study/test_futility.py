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
    """Draw mean and spread from their posterior, and then the pairs to come one by one."""
    first = np.array([-1.0, 1.0, -0.4, 0.4]) + mean
    number, last, studies = 4, 9, 40_000
    rng = np.random.default_rng(1)
    sd = first.std(ddof=1)
    spread = sd * np.sqrt((number - 1) / rng.chisquare(number - 1, studies))
    truth = mean + spread / np.sqrt(number) * rng.normal(size=studies)
    more = truth[:, None] + spread[:, None] * rng.normal(size=(studies, last - number))
    pairs = np.concatenate([np.tile(first, (studies, 1)), more], axis=1)
    final = np.abs(pairs.mean(axis=1))
    least, bound = (
        t_bound(level, last - 1) * pairs.std(axis=1, ddof=1) / np.sqrt(last) for level in LEVELS
    )
    share = np.mean((final > least) | (final + bound <= margin))
    found = chance_of_verdict(mean, sd / np.sqrt(number), (number, last), LEVELS, margin)
    assert float(found) == pytest.approx(share, abs=0.012)


def test_at_the_last_pair_nothing_is_uncertain() -> None:
    chances = chance_of_verdict(np.array([0.0, 0.5, 3.0]), 0.3, (8, 8), LEVELS, 0.1)
    np.testing.assert_allclose(chances, [0, 0, 1])


def test_sign_and_unit_do_not_matter() -> None:
    means = np.array([0.2, -0.2, 1.1])
    one = chance_of_verdict(means, 0.4, (3, 7), LEVELS, 0.6)
    other = chance_of_verdict(-100 * means, 40.0, (3, 7), LEVELS, 60.0)
    np.testing.assert_allclose(one, other, rtol=1e-12)
    assert one[0] == one[1]


def test_pairs_without_spread_are_certain() -> None:
    chances = chance_of_verdict(np.array([0.3, 0.1]), 0.0, (3, 7), LEVELS, 0.2)
    np.testing.assert_allclose(chances, [1, 1])
