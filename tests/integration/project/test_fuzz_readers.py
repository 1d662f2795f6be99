"""Mutated files of every kind: each reader gives what the file says, or says what is wrong."""

from __future__ import annotations

import pytest
from fuzz_readers import fuzz


@pytest.mark.parametrize(
    ("num_files", "seed"),
    [(300, 1), pytest.param(3000, 2, marks=pytest.mark.long)],
)
def test_no_reader_fails_or_is_silent(num_files: int, seed: int) -> None:
    """See ``tests/support/fuzz_readers.py``, which reads more files and prints a table."""
    counts, failures = fuzz(num_files, seed)
    assert not failures, "\n".join(failures[:20])
    assert sum(counts.values()) == num_files
    kinds = {key.partition(": ")[2] for key in counts}
    assert kinds == {"same", "told", "as the content says"}
