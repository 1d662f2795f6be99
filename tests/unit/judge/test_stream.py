"""The state of a stream, as its rows decide it."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.errors import DataError
from lmlab.judge.ledger import FORMAT_VERSION
from lmlab.judge.stream import Pair, Stream, Trial, read_stream
from lmlab.judge.terms import Terms
from lmlab.study.online_level import e_lond_level

Rows = list[dict[str, Any]]


def rows(**terms: Any) -> Rows:
    content = Terms("a", ("scale=smoke",), 0.02, **terms).as_dict()
    start = {"kind": "start", "format_version": FORMAT_VERSION, "terms": content, "settings": "s0"}
    return [start]


def idea(number: int, baseline: int = 0, settings: str = "") -> dict[str, Any]:
    return {
        "kind": "idea", "number": number, "name": f"i{number}", "overrides": [f"a={number}"],
        "settings": settings or f"s{number}", "baseline": baseline, "level": 0.01, "seeds": [0, 1],
    }  # fmt: skip


def pairs(number: int, *values: tuple[float, float | None]) -> dict[str, Any]:
    found = [{"seed": k, "baseline": b, "idea": i} for k, (b, i) in enumerate(values)]
    return {
        "kind": "pairs", "number": number, "pairs": found, "rates": [None, 0.1], "new_runs": 2,
        "runs": [f"r{number}", "r0"], "is_untrainable": False,
    }  # fmt: skip


def answer(number: int, word: str, moves: bool = False) -> dict[str, Any]:
    return {"kind": "answer", "number": number, "answer": word, "reason": "r",
            "becomes_baseline": moves}  # fmt: skip


def test_rows_of_another_version_are_refused() -> None:
    other = rows()
    other[0]["format_version"] = 99
    with pytest.raises(DataError, match="format_version=99: expected 1"):
        read_stream(other)


def test_a_trial_collects_its_pairs() -> None:
    stream = read_stream([*rows(), idea(1), pairs(1, (2.0, 1.5)), pairs(1, (2.0, 1.5), (2.0, 2.5))])
    (trial,) = stream.trials
    assert trial.pairs == [Pair(0, 2.0, 1.5), Pair(1, 2.0, 2.5)]
    assert trial.improvements == [0.5, -0.5] and trial.is_open
    assert (trial.runs, trial.rates, stream.runs) == (4, (None, 0.1), {"r0", "r1"})


def test_improvements_end_where_the_idea_diverged() -> None:
    stream = read_stream([*rows(), idea(1), pairs(1, (2.0, 1.5), (2.0, None), (2.0, 1.0))])
    assert stream.trials[0].improvements == [0.5]


def test_a_kept_idea_becomes_the_baseline_and_open_ones_are_withdrawn() -> None:
    stream = read_stream(
        [*rows(), idea(1), idea(2), answer(2, "keep", moves=True), idea(3, baseline=1)]
    )
    assert stream.standing.name == "i2" and stream.standing.overrides == ("scale=smoke", "a=2")
    assert [trial.withdrawn for trial in stream.trials] == [True, False, False]
    assert [trial.is_open for trial in stream.trials] == [False, False, True]
    assert stream.keeps == 1 and stream.next_level() == e_lond_level(0.05, 4, 1)


def test_settings_are_found_against_the_standing_baseline_only() -> None:
    begun = [*rows(), idea(1, settings="x"), answer(1, "drop"), idea(2)]
    found = read_stream(begun).find("x")
    assert found is not None and found.answer == "drop"
    moved = read_stream([*begun, answer(2, "keep", moves=True)])
    assert moved.find("x") is None and [one.name for one in moved.named("i1")] == ["i1"]


@pytest.mark.parametrize("seeds", ["shared", "fresh"])
def test_no_two_uses_share_a_seed_but_ideas_against_one_baseline(seeds: str) -> None:
    def of(*further: dict[str, Any]) -> Stream:
        return read_stream([*rows(seeds=seeds), *further])

    first, second = of(), of(idea(1), answer(1, "drop"))
    assert (first.next_seeds() == second.next_seeds()) == (seeds == "shared")
    moved = of(idea(1), answer(1, "keep", moves=True))
    assert not {*moved.next_seeds()} & {*first.next_seeds()}
    for stream in (first, second, moved):
        used = {*stream.next_seeds()} if seeds == "shared" else {*first.next_seeds()}
        if stream.trials or seeds == "shared":
            assert not used & {*stream.final_seeds()}


def test_the_last_word_closes_the_stream() -> None:
    stream = read_stream([*rows(), {"kind": "closed"}])
    assert stream.is_closed and stream.final is None
    final = {"kind": "final", "answer": "holds"}
    assert read_stream([*rows(), {"kind": "closed"}, final]).final == final


def test_a_trial_without_pairs_has_no_decision() -> None:
    trial = Trial(1, "a", (), "s", 0, 0.01, [0])
    assert trial.decision(Terms("a", (), 0.1)).answer is None
