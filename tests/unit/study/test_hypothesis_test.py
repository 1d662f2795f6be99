"""Mean and standard deviation of a sample, and what every estimate tells."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from lmlab.study.hypothesis_test import Result, mean_and_sd
from lmlab.study.item_test import ItemPairs
from lmlab.study.sign_flips import FlippedPairs
from lmlab.study.t_test import Pairs


def test_mean_and_deviation() -> None:
    values = [0.3, -1.25, 4.5, 0.1]
    assert mean_and_sd(values) == pytest.approx(
        (statistics.fmean(values), statistics.stdev(values))
    )


def test_equal_values_have_no_spread_at_all() -> None:
    assert mean_and_sd([0.1] * 3) == (0.1, 0.0), "no rounding error of a sum"
    assert mean_and_sd([0.7]) == (0.7, 0.0)


@pytest.mark.parametrize("sample", [Pairs([0.1, 0.3]), FlippedPairs([0.1, 0.3])])
def test_only_a_sample_of_items_adds_an_error(sample: Pairs | FlippedPairs) -> None:
    found: Result = sample.estimate()
    assert found.items_error == 0.0
    items: Result = ItemPairs(np.array([[0.0, 1.0, 5.0], [0.1, 1.1, 5.2]])).estimate()
    assert items.items_error > 1.0
