"""Mutated files of every kind: each reader gives what the file says, or says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from fuzz_folders import FOLDERS
from fuzz_mutations import Mutation
from fuzz_readers import Outcome, fuzz, judge

from lmlab.errors import UserError


@pytest.mark.parametrize(
    ("num_files", "seed"),
    [
        (150, 1),
        pytest.param(300, 2, marks=pytest.mark.long),
        pytest.param(2000, 2, marks=[pytest.mark.long, pytest.mark.exhaustive]),
    ],
)
def test_no_reader_fails_or_is_silent(num_files: int, seed: int) -> None:
    """``tests/support/fuzz_readers.py`` reads more files and prints tables."""
    counts, failures = fuzz(num_files, seed)
    assert not failures, "\n".join(map(str, failures[:20]))
    assert sum(counts.values()) == num_files
    outcomes = {outcome for *_, outcome in counts}
    assert {"same", "told"} <= outcomes <= {"same", "told", "as the content says"}
    assert len({reader for reader, *_ in counts}) == len(FOLDERS)


@pytest.mark.parametrize(
    ("mutation", "result", "told", "problem"),
    [
        (Mutation("null", b"", "seed"), 2, (), "a silent change: 1 -> 2"),
        (Mutation("value", b"", "seed"), 2, (), ""),
        (Mutation("path", b"", "run"), 2, (), "a silent change: 1 -> 2"),
        (Mutation("cut after a row", b""), 2, (), ""),
        (Mutation("null", b"", "seed"), 1, (), ""),
        (Mutation("null", b"", "seed"), 2, ("ledger.jsonl: seed=null",), ""),
        (Mutation("type", b"", "seed"), 2, ("ledger.jsonl: odd",), "does not name the field"),
        (Mutation("null", b"", "seed"), UserError, ("seed=null",), "does not name the file"),
        (Mutation("null", b"", "seed"), 2, ("ledger.jsonl: a\nb",), "more than one line"),
    ],
)
def test_what_a_reader_may_do(
    mutation: Mutation, result: Any, told: tuple[str, ...], problem: str
) -> None:
    before = Outcome(1, (), frozenset(), "")
    found = judge(
        FOLDERS[0], "s/ledger.jsonl", mutation, before, Outcome(result, told, frozenset(), "")
    )
    assert problem in found and bool(problem) == bool(found)
