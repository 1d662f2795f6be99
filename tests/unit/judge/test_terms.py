"""Terms: their ranges, and seeds that never serve two purposes."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from lmlab.design.comparison import FIRST_REPLICATE_SEED, FIRST_TUNING_SEED
from lmlab.errors import ConfigError
from lmlab.judge.terms import Terms

TERMS = Terms("a", ("scale=smoke",), 0.02)


def test_terms_survive_their_record() -> None:
    terms = dataclasses.replace(TERMS, allow=("flops",), pins={"files": {}}, moves=False)
    assert Terms.from_dict(terms.as_dict() | {"later": 1}) == terms


@pytest.mark.parametrize(
    "change",
    [
        {"metric": "accuracy"}, {"margin": -1.0}, {"margin": float("nan")}, {"level": 0.0},
        {"level": 1.0}, {"drop_level": 0.0}, {"control": "none"}, {"max_seeds": 3},
        {"max_seeds": 51}, {"lr": "guess"}, {"num_tuning_seeds": 0}, {"seeds": "mine"},
        {"allow": ("everything",)},
    ],
)  # fmt: skip
def test_a_term_out_of_range_is_refused(change: dict[str, Any]) -> None:
    (key,) = change
    with pytest.raises(ConfigError, match=f"{key}=.*expected"):
        dataclasses.replace(TERMS, **change)


@pytest.mark.parametrize("first", [951, 990, 1000, 1999, -1])
def test_seeds_that_tune_never_judge(first: int) -> None:
    with pytest.raises(ConfigError, match="tune the learning rate") as caught:
        dataclasses.replace(TERMS, first_seed=first)
    assert "first_seed" in str(caught.value.help)


@pytest.mark.parametrize("first", [0, 950, 2000, 5000])
def test_blocks_of_seeds_are_apart_from_each_other_and_from_those_that_tune(first: int) -> None:
    terms = dataclasses.replace(TERMS, first_seed=first, max_seeds=50)
    seeds = [seed for block in range(60) for seed in terms.seeds_of_block(block)]
    assert len(set(seeds)) == len(seeds) == 60 * 50
    assert not {*range(FIRST_TUNING_SEED, FIRST_REPLICATE_SEED)} & {*seeds}
    assert min(seeds) == first


def test_the_last_seeds_are_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("no seeds are left")):
        TERMS.seeds_of_block(10**18)
