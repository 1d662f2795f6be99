"""What is said about the runs on both sides of an edge of stable training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lmlab.study.rate_edges import (
    at_steps,
    edge_basis,
    edge_name,
    near_edge,
    runs_by_rate,
    stable_edge,
)
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
    rows = runs_by_rate(study, "rms")
    text = edge_basis(rows)
    assert text.startswith(f"{stable:g} trained with {seeds[len(tried[stable]) - 1]} (final loss")
    assert (
        f"{unstable:g} diverged with {len(tried[unstable])} of "
        f"{seeds[len(tried[unstable]) - 1]}, at step 600" in text
    )
    limit = next(row.limit for row in rows if row.rate == unstable)
    assert limit is not None
    assert text.endswith(f"; a run fails to learn above a final loss of {limit:.2f}")
    assert "near" not in text


def test_an_edge_that_depends_on_the_threshold_says_so() -> None:
    """At 0.169, ffn-silu and pos-learned nearly lost half of the gain; ffn-gelu lost far less."""
    records = Path(__file__).parents[3] / "experiments" / "ablations" / "records"
    study = load_study(records)
    texts = {
        arm: edge_basis(runs_by_rate(study, arm)) for arm in ("ffn-silu", "pos-learned", "ffn-gelu")
    }
    assert "0.169 trained with 1 seed (final loss 5.436, near the limit)" in texts["ffn-silu"]
    assert "0.169 trained with 1 seed (final loss 5.514, near the limit)" in texts["pos-learned"]
    assert "0.169 trained with 1 seed (final loss 4.394);" in texts["ffn-gelu"]
    near = {arm: near_edge(runs_by_rate(study, arm)) for arm in (*texts, "baseline")}
    assert near["pos-learned"] == [True, True] and near["ffn-gelu"] == [False, True]
    assert near["baseline"] == [False, False]
    assert texts["ffn-silu"].endswith("; a run fails to learn above a final loss of 5.48")


@pytest.mark.parametrize("purpose", ["judged", "baseline's lr"])
def test_a_rate_at_which_any_run_of_the_arm_failed_is_not_stable(
    finished_study: Path, purpose: str
) -> None:
    study = load_study(finished_study)
    failing = next(r for r in study.records if r.job.arm == "post" and purpose in r.purposes)
    first, *middle, last = failing.validation
    unlearned = [first, *middle, last | {"loss": first["loss"]}]
    records = [
        dataclasses.replace(r, validation=unlearned) if r is failing else r for r in study.records
    ]
    before = stable_edge(runs_by_rate(study, "post"))
    rows = runs_by_rate(dataclasses.replace(study, records=records), "post")
    stable, unstable = stable_edge(rows)
    rate = failing.job.lr
    assert rate is not None and before[0] is not None and rate <= before[0]
    assert unstable == rate and (stable is None or stable < rate)
    number = sum(r.job.arm == "post" and r.job.lr == rate for r in study.records)
    assert f"1 of {number} seeds failed to learn at {rate:g}" in edge_basis(rows)
    assert edge_name(rows) == "edge of stable training", "nothing diverged at this rate"
