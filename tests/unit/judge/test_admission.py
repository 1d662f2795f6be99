"""What the rows of a ledger allow next."""

from __future__ import annotations

import pytest

from lmlab.errors import ConfigError
from lmlab.judge.admission import check_open, known_overrides
from lmlab.judge.stream import Baseline, Stream, Trial
from lmlab.judge.terms import Terms


def stream(final_text: str | None = "apart.txt", answer: str | None = "keep") -> Stream:
    """A ledger whose baseline has moved to its only idea."""
    trial = Trial(1, "post", ("model.norm=post",), "s", 0, 0.01, [0], answer=answer)
    baselines = [Baseline("baseline", (), "s0"), Baseline("post", ("model.norm=post",), "s")]
    return Stream(Terms("a", (), 0.1, final_text=final_text), baselines, [trial])


def test_overrides_are_given_or_those_of_the_name() -> None:
    assert known_overrides(stream(), "new", ["a=1"]) == ("a=1",)
    assert known_overrides(stream(), "post", []) == ("model.norm=post",)
    with pytest.raises(ConfigError, match="name=new: expected overrides"):
        known_overrides(stream(), "new", [])


def test_a_closed_ledger_takes_no_idea() -> None:
    closed = stream()
    closed.is_closed = True
    with pytest.raises(ConfigError, match="the last word has been spoken"):
        known_overrides(closed, "post", [])
    check_open(closed)  # the last word itself may be continued


def test_the_last_word_needs_a_text_and_answers_and_a_move_and_comes_once() -> None:
    check_open(stream())
    with pytest.raises(ConfigError, match="no held-out text"):
        check_open(stream(final_text=None))
    with pytest.raises(ConfigError, match="post: open"):
        check_open(stream(answer=None))
    still = stream()
    del still.baselines[1:]
    with pytest.raises(ConfigError, match="has not moved"):
        check_open(still)
    done = stream()
    done.final = {"time": "2026-12-01T00:00:00Z"}
    with pytest.raises(ConfigError, match=r"used on 2026-12-01.* to be used once"):
        check_open(done)
