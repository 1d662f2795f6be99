"""What one part at a time would have said, where parts act on each other."""

from __future__ import annotations

import numpy as np
import pytest

from lmlab.design.two_level import fraction, full_design
from lmlab.study.factorials.one_at_a_time import one_at_a_time
from lmlab.study.sequential_test import Rule

RULE = Rule(seeds=5, margin=0.01)


def cells_of(means: list[float]) -> list[dict[int, float]]:
    chance = np.random.default_rng(0)
    return [{seed: mean + chance.normal(0, 0.002) for seed in range(5)} for mean in means]


def test_a_part_that_helps_only_beside_another_is_dropped() -> None:
    # B does nothing alone, and lowers the loss by 0.3 beside A.
    found = one_at_a_time(full_design("AB"), cells_of([3.0, 2.8, 3.0, 2.5]), RULE)
    assert found is not None
    assert found.kept == (0,)
    assert found.alone[1].verdict == "no difference"
    assert np.mean(found.promised) == pytest.approx(-0.2, abs=0.01)


def test_two_parts_that_do_the_same_promise_too_much() -> None:
    found = one_at_a_time(full_design("AB"), cells_of([3.0, 2.7, 2.7, 2.7]), RULE)
    assert found is not None
    assert found.kept == (0, 1)
    assert np.mean(found.promised) == pytest.approx(-0.6, abs=0.01)
    assert np.mean(found.found) == pytest.approx(-0.3, abs=0.01)


def test_parts_that_help_nothing_leave_the_baseline() -> None:
    found = one_at_a_time(full_design("AB"), cells_of([3.0, 3.0, 3.2, 2.0]), RULE)
    assert found is not None
    assert found.kept == ()
    assert found.promised == found.found == (0.0,) * 5


def test_a_fraction_without_these_cells_says_nothing() -> None:
    design = fraction("ABC", 1)
    assert one_at_a_time(design, cells_of([3.0] * 4), RULE) is None


def test_one_seed_says_nothing() -> None:
    cells = [{0: 3.0}] * 4
    assert one_at_a_time(full_design("AB"), cells, RULE) is None
