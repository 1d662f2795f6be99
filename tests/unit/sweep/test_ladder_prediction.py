"""What the plan of a ladder says about the gains that it can tell."""

from __future__ import annotations

import re

import pytest

from lmlab.study.ladders.ladder_facts import ladder_facts
from lmlab.sweep import ladder_prediction
from lmlab.sweep.ladder_prediction import describe_ladder_power
from tests.support.ladders import a_ladder, a_ladder_manifest, finish_ladder


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder_prediction, "_DRAWS", 8)


def widths(lines: list[str]) -> list[float]:
    return [float(text) for text in re.findall(r"r\d (\d\.\d\d)", lines[0])]


def test_less_noise_and_more_seeds_narrow_the_intervals() -> None:
    few, more = (
        describe_ladder_power(ladder_facts(a_ladder_manifest(ladder), {}, {}), 1024)
        for ladder in (a_ladder(num_seeds=2), a_ladder(num_seeds=6, expected_sd=0.005))
    )
    assert few[0].startswith("Assumed: final losses vary by 0.01 nats over seeds and the loss")
    assert all(one > other for one, other in zip(widths(few), widths(more), strict=True))
    assert "With 1 arm, a gain of 1." in more[1]


def test_results_replace_the_assumptions() -> None:
    manifest = a_ladder_manifest()
    lines = describe_ladder_power(ladder_facts(manifest, finish_ladder(manifest), {}), 1024)
    assert lines[0].startswith("By the results so far")
    halfway = ladder_facts(manifest, finish_ladder(manifest, num_open=2), {})
    lines = describe_ladder_power(halfway, 1024)
    assert lines[0].startswith("Assumed: the loss falls from")


def test_an_entropy_above_the_expected_losses_bounds_nothing() -> None:
    manifest = a_ladder_manifest(a_ladder(entropy=6.0))
    lines = describe_ladder_power(ladder_facts(manifest, {}, {}), 1024)
    assert len(widths(lines)) == 4


def test_losses_that_hardly_fall_are_told_as_such() -> None:
    manifest = a_ladder_manifest()
    outcomes = finish_ladder(manifest, lambda rung, arm, rate, seed: 3 - 1e-7 * rung)
    lines = describe_ladder_power(ladder_facts(manifest, outcomes, {}), 1024)
    assert all(len(line) < 300 for line in lines)
