"""Lenth's pseudo standard error: a published example, its level, and the half-normal scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from lmlab.study.factorials.lenth import half_normal_quantiles, is_far, lenth

# A welding experiment of 15 contrasts: Box and Meyer (1986), example I, as given by Lenth (1989).
WELDS = (
    0.13, -0.15, -0.30, -0.15, 0.40, -0.03, 0.38, 0.40, -0.05, 0.42, 0.13, 0.13, -0.38, 2.15, 3.10,
)  # fmt: skip


def test_the_published_example() -> None:
    # Lenth (1989), section 3: s0 = 0.45, PSE = 0.225, ME = 0.58 and SME = 1.18 for 15 contrasts.
    found = lenth(WELDS, 0.05)
    assert found is not None
    assert found.error == pytest.approx(0.225)
    assert found.margin == pytest.approx(2.571 * 0.225, abs=1e-3)
    assert found.simultaneous == pytest.approx(5.219 * 0.225, abs=2e-3)
    assert [one for one in WELDS if is_far(one, found)] == [2.15, 3.10]


def test_a_scale_factor_scales_the_noise() -> None:
    one, other = lenth(WELDS, 0.05), lenth([-3 * each for each in WELDS], 0.05)
    assert one is not None and other is not None
    assert other.simultaneous == pytest.approx(3 * one.simultaneous)


def test_the_largest_of_many_null_effects_rarely_exceeds_the_simultaneous_margin() -> None:
    chance = np.random.default_rng(0)
    false = 0
    for _ in range(2_000):
        effects = chance.normal(size=15)
        found = lenth(list(effects), 0.05)
        assert found is not None
        false += bool(max(map(abs, effects)) > found.simultaneous)
    # Lenth's t with m / 3 degrees of freedom is an approximation on the safe side here.
    assert stats.binomtest(false, 2_000, 0.05, alternative="greater").pvalue > 1e-3


def test_few_effects_have_no_noise_of_their_own() -> None:
    assert lenth([0.1, 0.2, 0.3], 0.05) is None
    assert not is_far(5.0, None)
    assert lenth([0.0] * 7, 0.05) is not None


def test_half_normal_quantiles_are_those_of_absolute_normal_values() -> None:
    found = half_normal_quantiles(15)
    assert found == pytest.approx(list(stats.halfnorm.ppf((np.arange(15) + 0.5) / 15)))
    assert found[0] == pytest.approx(float(special.ndtri(0.5 + 0.5 / 30)))
