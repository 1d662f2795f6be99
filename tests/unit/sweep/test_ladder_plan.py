"""The plan of a ladder: its rungs, passes over the text, runs and time."""

from __future__ import annotations

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.sweep.ladder_plan import describe_rungs, make_ladder_plan
from tests.support.ladders import a_ladder, a_ladder_manifest, finish_ladder, some_rungs

CONFIG = compose(["scale=smoke"])


def test_the_table_names_sizes_and_passes() -> None:
    lines = describe_rungs(a_ladder(num_seeds=[5, 3, 3, 2]), CONFIG, train_tokens=10**7)
    highest = lines[4].split()
    assert highest[0] == "r4" and "5,400,000" in highest and "1.00e+13" in highest
    assert highest[-2:] == ["0.54", "2"]
    assert any("sealed before" in line for line in lines)


def test_passes_over_the_text_are_warned_of_and_limited() -> None:
    lines = describe_rungs(a_ladder(), CONFIG, train_tokens=2 * 10**6)
    assert any("r4 reads the training text 2.70 times" in line for line in lines)
    with pytest.raises(ConfigError, match=r"r4 reads the training text 5.4 times; .* most 4"):
        describe_rungs(a_ladder(), CONFIG, train_tokens=10**6)


def test_the_plan_counts_the_runs_that_a_ladder_without_surprises_needs() -> None:
    for changes in ({"lr": "fixed"}, {"lr": "fixed", "replicate": "again"}):
        ladder = a_ladder(**changes)
        plan = make_ladder_plan(ladder, [1.0] * 8, slots=2)
        jobs = finish_ladder(a_ladder_manifest(ladder))
        assert plan.least_runs == len(jobs)
        assert plan.seconds == pytest.approx(len(jobs) / 2)


def test_searches_count_on_the_rungs_that_search_and_brackets_on_the_highest() -> None:
    ladder = a_ladder(lr="transfer", search_rungs=2, num_tuning_seeds=1)
    seconds = [float(k) for k, _ in enumerate(some_rungs(), 1) for _ in ladder.arms]
    plan = make_ladder_plan(ladder, seconds, slots=1)
    assert plan.least_runs == 2 * (2 * (5 + 3) + 2 * 3 + 2)
    assert plan.seconds == pytest.approx(2 * ((5 + 3) * (1 + 2) + 3 * (3 + 4) + 2 * 4))
    assert make_ladder_plan(ladder, None, slots=1).seconds is None
