"""Runs that no study declares: each counts once, and no arm mixes configurations."""

from __future__ import annotations

from typing import Any

from lmlab.design.job import Job
from lmlab.study.plain_runs import distinct, separate_arms, settings_of_run
from lmlab.study.run_records import RunRecord


def a_record(arm: str, seed: int, folder: str, lr: float = 0.1, state: str = "done") -> RunRecord:
    config = {"optim": {"lr": lr}, "seeds": {"init": seed, "data": seed}}
    meta: dict[str, Any] = {"identity": {"config": config, "tokenizer": "t"}}
    rows = [{"step": 1, "loss": 2.0}] if state == "done" else []
    return RunRecord(
        Job(arm, None, seed), ("run",), folder, {"status": state}, meta, rows, [], "",
        settings=settings_of_run(meta),
    )  # fmt: skip


def test_a_run_counts_once_by_folder_and_by_identity() -> None:
    unfinished = a_record("a", 0, "s/a/seed0", state="running")
    copy = a_record("a", 0, "s/a/seed7")
    other = a_record("a", 1, "s/a/seed1")
    found = distinct([unfinished, copy, other, other])
    assert [(record.job.seed, record.state) for record in found] == [(0, "done"), (1, "done")]


def test_an_arm_with_two_configurations_becomes_two() -> None:
    records = [a_record("a", 0, "1"), a_record("a", 1, "2", lr=0.2), a_record("a", 2, "3")]
    arms = [record.job.arm for record in separate_arms(records)]
    assert arms == ["a", "a (optim.lr=0.2)", "a"]


def test_seeds_are_no_settings() -> None:
    assert settings_of_run(a_record("a", 3, "1").meta) == {
        "optim.lr": 0.1, "identity.tokenizer": "t"
    }  # fmt: skip
    assert settings_of_run({}) == {}
