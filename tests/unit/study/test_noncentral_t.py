"""The tail of the noncentral t distribution against SciPy, where SciPy has an answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from lmlab.study.noncentral_t import upper_tail


def test_it_agrees_with_scipy_and_is_never_nan() -> None:
    rng = np.random.default_rng(0)
    for _ in range(3000):
        freedom = int(rng.choice([1, 2, 3, 4, 7, 19, 129, 500, 999]))
        bound = float(rng.choice([0.1, 1.96, 2.8, 12.7, 600.0]))
        noncentrality = float(rng.choice([rng.uniform(-4, 4), rng.uniform(0, 60)]))
        found = upper_tail(bound, freedom, noncentrality)
        reference = 1 - special.nctdtr(freedom, noncentrality, bound)
        assert 0 <= found <= 1
        if math.isfinite(reference):
            assert found == pytest.approx(reference, abs=1e-10)


def test_it_is_the_central_t_without_noncentrality() -> None:
    for freedom in (1, 4, 30, 998):
        for bound in (0.5, 2.0, 40.0):
            expected = float(stats.t.sf(bound, freedom))
            assert upper_tail(bound, freedom, 0.0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("bound", "noncentrality", "expected"),
    [(math.inf, 3.0, 0.0), (2.0, math.inf, 1.0), (2.0, 1e300, 1.0), (2.0, -1e300, 0.0)],
)
def test_its_limits_are_exact(bound: float, noncentrality: float, expected: float) -> None:
    assert upper_tail(bound, 4, noncentrality) == expected
