"""Which values count as far off, and how seldom those of a normal distribution do."""

from __future__ import annotations

import numpy as np
import pytest

from lmlab.study.outlying_seeds import find_agreeing


@pytest.mark.parametrize(
    ("values", "agreeing"),
    [
        ([0.01, 0.012, 3.1, 0.011, 0.013, 3.9, 0.012, 0.01], (0, 1, 3, 4, 6, 7)),  # blown up
        (
            [0.01, 0.02, 0.3, 0.015, 0.012, 0.01, 0.014, 2.0],
            (0, 1, 3, 4, 5, 6),
        ),  # by far and farther
        ([-5.0, 0.01, 0.012, 0.011, 4.0], (1, 2, 3)),  # on both sides
        ([0.0, 0.001, 0.002, 1.0, 1.001, 1.002], (0, 1, 2)),  # two groups of one size
        ([0.5, 0.5, 0.5, 0.5, 2.0], (0, 1, 2, 3)),
        ([0.01, 0.02, 0.03, 0.04], None),
        ([0.5, 0.5, 0.5, 0.5], None),
        ([0.0, 0.0, 0.0, 0.015], None),  # within the margin nobody asks
        ([0.0, 0.0, 9.0], None),  # two that agree are no group
        ([], None),
    ],
)
def test_examples(values: list[float], agreeing: tuple[int, ...] | None) -> None:
    assert find_agreeing(values, margin=0.02) == agreeing


@pytest.mark.parametrize("number", [4, 5, 6, 8, 12])
def test_a_normal_sample_rarely_has_one(number: int) -> None:
    samples = np.random.default_rng(number).normal(size=(1500, number))
    found = [find_agreeing(list(sample), margin=0.0) is not None for sample in samples]
    assert np.mean(found) < 0.02
