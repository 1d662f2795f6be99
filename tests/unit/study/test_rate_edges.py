"""What is said about the runs on both sides of an edge of divergence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lmlab.study.rate_edges import at_steps, edge_basis
from lmlab.study.run_records import load_study


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([5], ", at step 5"),
        ([1200, 1200], ", at step 1,200"),
        ([9, 5, 7], ", at steps 5, 7 and 9"),
        ([5, None], ""),
        ([], ""),
    ],
)
def test_steps_are_told_once_each(steps: Sequence[float | None], text: str) -> None:
    assert at_steps(steps) == text


def test_an_edge_tells_the_seeds_and_the_step_it_rests_on(finished_study: Path) -> None:
    study = load_study(finished_study)
    tried: dict[float, list[tuple[str, int]]] = {}
    for record in study.records:
        if record.job.arm == "rms" and record.purposes == ("search",):
            path = finished_study.parent / record.folder / "status.json"
            run = json.loads(path.read_text("utf-8"))
            tried.setdefault(record.job.lr or 0, []).append((run["status"], run["step"]))
    unstable = min(rate for rate, runs in tried.items() if ("diverged", 600) in runs)
    stable = max(rate for rate in tried if rate < unstable)
    seeds = ["1 seed", "2 seeds"]
    assert edge_basis(study, "rms") == (
        f"{stable:g} trained with {seeds[len(tried[stable]) - 1]}; {unstable:g} diverged with "
        f"{len(tried[unstable])} of {seeds[len(tried[unstable]) - 1]}, at step 600"
    )
