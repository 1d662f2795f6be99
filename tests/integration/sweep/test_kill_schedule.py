"""Random kills and stops of runs, stacks and sweeps on two hosts; 200 of them by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from kill_schedule import play
from simulated_hosts import refusal


@pytest.mark.long
@pytest.mark.parametrize("num_events", [5, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_random_events_change_no_result(tmp_path: Path, num_events: int) -> None:
    reason = refusal()
    if reason is not None:
        pytest.skip(reason)
    assert play(num_events, seed=19, root=tmp_path) == []
