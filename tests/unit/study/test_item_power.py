"""Power with items that are a sample: against simulations of the test itself, and without items."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmlab.study.item_power import power_with_items, seeds_with_items, smallest_with_items
from lmlab.study.item_test import half_width, variance_parts
from lmlab.study.power import (
    MAX_SEEDS,
    predicted_power,
    seeds_to_decide_later,
    smallest_detectable,
)
from lmlab.study.sequential_test import Rule


@pytest.mark.parametrize("margin", [0.0, 1.5])
def test_power_is_that_of_the_test_itself(margin: float) -> None:
    seeds, items, chance = 4, 300, np.random.default_rng(1)
    # Errors of the mean: 0.3 from the seeds (with the rest), 0.2 from the items.
    values = (
        1.8 * (margin == 0)
        + chance.normal(size=(4000, seeds, items))
        + chance.normal(0, math.sqrt(seeds * 0.3**2 - 1 / items), (4000, seeds, 1))
        + chance.normal(0, 0.2 * math.sqrt(items), (4000, 1, items))
    )
    mean, (between, of_items) = values.mean(axis=(1, 2)), variance_parts(values)
    width, narrow = (
        half_width(level, [(between, seeds - 1), (of_items, items - 1)]) for level in (0.01, 0.05)
    )
    is_decided = (mean > width) | ((mean - narrow > -margin) & (mean + narrow < margin))
    predicted = power_with_items(
        1.8 * (margin == 0), 0.3 * math.sqrt(seeds), 0.2, seeds, (0.01, 0.05), margin
    )
    assert 0.2 < predicted < 0.9
    assert is_decided.mean() == pytest.approx(predicted, abs=0.03)


def test_without_items_it_is_that_of_the_t_test() -> None:
    rule = Rule(5, margin=0.0)
    found = power_with_items(0.05, 0.04, 0.0, 5, (0.05 / 3, 0.05))
    assert found == pytest.approx(predicted_power(0.05, 0.04, rule, 3), abs=2e-3)
    assert smallest_with_items(0.04, 0.0, rule, 3) == pytest.approx(
        smallest_detectable(0.04, rule, 3), rel=5e-3
    )
    assert seeds_with_items(0.03, 0.04, 0.0, rule, 5, 3) == pytest.approx(
        seeds_to_decide_later(0.03, 0.04, rule, 5, 3), abs=1
    )


def test_items_bound_what_seeds_can_find() -> None:
    rule = Rule(5, margin=0.0)
    assert smallest_with_items(0.04, 0.03, rule) > 1.5 * smallest_with_items(0.04, 0.0, rule)
    assert seeds_with_items(0.03, 0.04, 0.02, rule, 5) is None
    many = seeds_with_items(0.03, 0.04, 0.008, rule, 5)
    few = seeds_with_items(0.03, 0.04, 0.001, rule, 5)
    assert many is not None and few is not None and 5 < few < many < MAX_SEEDS
    assert seeds_with_items(0.03, 40.0, 0.001, rule, 5) == MAX_SEEDS


def test_rules_that_cannot_find_anything() -> None:
    assert smallest_with_items(0.1, 0.1, Rule(1)) == math.inf
    assert smallest_with_items(0.0, 0.0, Rule(3)) == 0.0
    assert power_with_items(0.0, 0.0, 0.0, 3, (0.05, 0.05)) == 0.0
