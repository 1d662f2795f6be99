from __future__ import annotations

import pytest

from lmlab.runs.run_metadata import ranks_of_updates


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        ([(0, 2)], {2}),
        ([(0, 2), (10, 4)], {2, 4}),
        ([(0, 4), (0, 2)], {2}),  # the first session saved nothing
        ([(0, 2), (10, 4), (10, 2)], {2}),  # nor did the second
        ([(0, 1), (10, 2), (20, 4)], {1, 2}),  # nor did the last, which started from step 20
        ([], set()),
    ],
)
def test_only_sessions_whose_updates_were_kept_count(
    sessions: list[tuple[int, int]], expected: set[int]
) -> None:
    entries = [{"from_step": first, "ranks": ranks} for first, ranks in sessions]
    assert ranks_of_updates(entries, 20) == expected


def test_sessions_of_earlier_builds_record_no_first_step() -> None:
    assert ranks_of_updates([{"ranks": 4}, {"ranks": 2}], 20) == {2}
    assert ranks_of_updates([{}], 20) == {1}
