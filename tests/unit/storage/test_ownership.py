from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lmlab.storage.lock import Lock
from lmlab.storage.ownership import writing


def can_be_taken(folder: Path) -> bool:
    """Whether a process elsewhere could take a lock in ``folder`` now."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_all_locks_that_protect_a_path_are_held_and_no_others(tmp_path: Path) -> None:
    outer, inner = tmp_path / "a", tmp_path / "a" / "b"

    def takeable_during_a_write(path: Path) -> list[bool]:
        with writing(path):
            return [can_be_taken(outer), can_be_taken(inner)]

    with (
        Lock(outer / "run.lock", protects=outer),
        Lock(inner / "run.lock", protects=inner / "own"),
    ):
        assert takeable_during_a_write(inner / "own" / "file") == [False, False]
        assert takeable_during_a_write(inner / "own") == [False, False]
        assert takeable_during_a_write(inner / "own-not") == [False, True]
        assert takeable_during_a_write(tmp_path / "file") == [True, True]
        assert [can_be_taken(outer), can_be_taken(inner)] == [True, True]
    assert takeable_during_a_write(inner / "own" / "file") == [True, True]
