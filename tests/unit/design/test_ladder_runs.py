"""The runs of a ladder: those of its rungs, transferred rates, and the sealed rung."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmlab.design.job import Job
from lmlab.design.ladder_runs import (
    bracket_rates,
    is_complete_below,
    judged_rate,
    searched_rates,
    transferred_rate,
)
from tests.support.ladders import a_ladder, a_ladder_manifest, finish_ladder


def test_fixed_rates_need_every_cell_with_its_seeds() -> None:
    manifest = a_ladder_manifest(a_ladder(num_seeds=[4, 3, 3, 2], replicate="again"))
    jobs = manifest.required_jobs({})
    assert len(jobs) == 3 * (4 + 3 + 3 + 2)
    assert {job.seed for job in jobs if job.arm == "r1-again"} == {2000, 2001, 2002, 2003}


def test_the_highest_rung_waits_for_all_below() -> None:
    manifest = a_ladder_manifest()
    below = finish_ladder(manifest, num_open=3)
    assert not any(job.arm.startswith("r4") for job in below)
    assert is_complete_below(manifest, below, 3)
    some_missing = dict(list(below.items())[:-1])
    assert not is_complete_below(manifest, some_missing, 3)
    assert finish_ladder(manifest).keys() - below.keys() == {
        Job(f"r4-{arm}", 0.003, seed) for arm in ("base", "new") for seed in range(3)
    }


def best_at(rung: int, arm: str) -> float:
    """Best rates that follow a power law of the size, which grows threefold per rung."""
    return (4e-3 if arm == "new" else 2e-3) * 3 ** (-0.4 * rung)


def test_rates_are_transferred_by_the_power_law_of_the_searched_rungs() -> None:
    ladder = a_ladder(lr="transfer", search_rungs=3, replicate="again")
    manifest = a_ladder_manifest(ladder)

    def loss(rung: int, arm: str, rate: float, seed: int) -> float:
        return 3 - 0.2 * rung + 0.1 * math.log(rate / best_at(rung, arm)) ** 2

    outcomes = finish_ladder(manifest, loss)
    for arm in ("base", "new"):
        assert searched_rates(manifest, arm, outcomes) == [
            pytest.approx(best_at(rung, arm), rel=0.01) for rung in range(3)
        ]
        rate = judged_rate(manifest, f"r4-{arm}", outcomes)
        assert rate == pytest.approx(best_at(3, arm), rel=0.02)
        jobs = {job: p for job, p in manifest.required_jobs(outcomes).items() if
                job.arm == f"r4-{arm}"}  # fmt: skip
        judged = [job for job, purposes in jobs.items() if "judged" in purposes]
        assert judged == [Job(f"r4-{arm}", rate, seed) for seed in range(3)]
        bracket = {job.lr for job, purposes in jobs.items() if "bracket" in purposes}
        assert bracket == set(bracket_rates(rate, ladder.lr_factor))
    again = judged_rate(manifest, "r4-again", outcomes)
    assert again == judged_rate(manifest, "r4-base", outcomes)
    assert not any(
        "bracket" in purposes
        for job, purposes in manifest.required_jobs(outcomes).items()
        if job.arm == "r4-again"
    )


def test_a_transferred_rate_is_the_line_of_least_squares() -> None:
    sizes, rates = [1e4, 3e4, 1e5, 4e5], [4e-3, 3.5e-3, 1.9e-3, 1.6e-3]
    line = np.polyfit(np.log(sizes), np.log(rates), 1)
    expected = float(np.exp(np.polyval(line, np.log(2e6))))
    assert transferred_rate(sizes, rates, 2e6) == pytest.approx(expected)
    assert transferred_rate([1e4], [2e-3], 1e6) == pytest.approx(2e-3)


def test_nothing_is_transferred_from_unfinished_searches() -> None:
    manifest = a_ladder_manifest(a_ladder(lr="transfer"))
    assert judged_rate(manifest, "r4-new", {}) is None
    assert not any(job.arm.startswith(("r3", "r4")) for job in manifest.required_jobs({}))


def test_the_highest_rung_also_trains_at_the_rate_of_the_lowest() -> None:
    manifest = a_ladder_manifest(a_ladder(lr="search", at_lowest_lr=True))

    def loss(rung: int, arm: str, rate: float, seed: int) -> float:
        return 3 - 0.2 * rung + 0.1 * math.log(rate / best_at(rung, arm)) ** 2

    outcomes = finish_ladder(manifest, loss)
    jobs = [
        job
        for job, purposes in manifest.required_jobs(outcomes).items()
        if "lowest rung's lr" in purposes
    ]
    lowest = {arm: judged_rate(manifest, f"r1-{arm}", outcomes) for arm in ("base", "new")}
    assert jobs == [
        Job(f"r4-{arm}", lowest[arm], seed) for arm in ("base", "new") for seed in range(3)
    ]


def test_each_cell_trains_its_own_configuration() -> None:
    manifest = a_ladder_manifest()
    config = manifest.job_config(Job("r2-new", 0.01, 1))
    assert config["arm"] == "r2-new+lr-0.01" and config["seed"] == 1
    assert manifest.has(Job("r4-new", None, 0)) and not manifest.has(Job("r5-new", None, 0))
