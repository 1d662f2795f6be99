"""The declaration of a ladder, and its cells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmlab.design.ladder import Ladder
from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError
from tests.support.ladders import a_ladder, a_ladder_manifest, some_rungs


def test_a_rung_is_a_comparison_of_its_cells() -> None:
    ladder = a_ladder(replicate="again", num_seeds=[5, 4, 3, 2], lr="transfer")
    lowest, highest = ladder.on_rung(0), ladder.on_rung(3)
    assert list(lowest.arms) == ["r1-base", "r1-new"]
    assert lowest.baseline == "r1-base" and lowest.replicate == "r1-again"
    assert (lowest.num_seeds, highest.num_seeds) == (5, 2)
    assert (lowest.lr, highest.lr) == ("search", "fixed")
    assert ladder.cells["r4-again"] == (3, "again")
    assert ladder.family == 1, "the replicate is no hypothesis"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": "guess"}, "design.lr=guess: expected search, transfer or fixed"),
        ({"num_seeds": [3, 3]}, "expected 4 numbers, one for each rung"),
        ({"num_seeds": 1}, "design.num_seeds=1: expected 2 or more"),
        ({"lr": "transfer", "search_rungs": 4}, "design.search_rungs=4: expected 2 to 3"),
        ({"search_rungs": 1}, "design.search_rungs=1: expected 2 or more"),
        ({"baseline": "bse"}, "design.baseline=bse: expected one of base, new"),
        ({"analysis": "size"}, "design.analysis=size: expected gains or isoflop"),
        ({"analysis": "isoflop"}, "3 sizes or more with design=isoflop"),
        ({"margin": 0.0}, "design.margin=0.0: expected a finite number above 0"),
        ({"rungs": some_rungs(3)}, "ladder.sealed=true: expected 4 rungs or more, found 3"),
        (
            {"analysis": "isoflop", "arms": {"base": [], "new": [], "other": []}},
            "ladder.sealed=true: expected false with design=isoflop",
        ),
        ({"rungs": some_rungs()[::-1]}, "ladder.rungs: expected growing training compute"),
    ],
)
def test_what_makes_no_ladder_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        a_ladder(**changes)


def test_a_ladder_survives_a_file() -> None:
    manifest = a_ladder_manifest(a_ladder(replicate="again", num_seeds=[3, 3, 3, 2]))
    read = Manifest.from_dict(json.loads(json.dumps(manifest.as_dict())))
    assert read == manifest and read.id == manifest.id
    assert isinstance(read.ladder, Ladder)


def test_a_further_rung_makes_another_ladder_of_the_same_cells() -> None:
    four, five = a_ladder_manifest(a_ladder(4)), a_ladder_manifest(a_ladder(5))
    assert four.id != five.id
    assert set(four.names) < set(five.names)
    assert five.names[: len(four.names)] == four.names
