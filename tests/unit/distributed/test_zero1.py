from __future__ import annotations

from lmlab.distributed.zero1 import assign_owners


def test_parameters_are_assigned_to_the_rank_with_the_least() -> None:
    assert assign_owners([5, 9, 1, 4, 5], 2) == [1, 0, 1, 0, 1], "9 + 4 and 5 + 5 + 1"
    assert assign_owners([3, 3], 4) == [0, 1]
    assert assign_owners([3, 3], 1) == [0, 0]
