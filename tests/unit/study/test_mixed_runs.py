from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.design.job import Job
from lmlab.study.limitations import limits
from lmlab.study.mixed_runs import mixed_runs
from lmlab.study.run_records import RunRecord, Study

ONE = {"torch": "2.8", "numpy": "2", "cpu": "AVX2", "variables": {}}
IDENTITY = {"numerics": 4, "code": {"mine.a": "1"}}


def study(*metas: dict[str, Any]) -> Study:
    records = [
        RunRecord(Job("arm", None, seed), ("run",), str(seed), {"status": "done"}, meta, [], [], "")
        for seed, meta in enumerate(metas)
    ]
    return Study("mine", Path("mine"), None, {}, records)


def run(environment: dict[str, Any] = ONE, identity: dict[str, Any] = IDENTITY) -> dict[str, Any]:
    return {"sessions": [{"environment": environment}], "identity": identity}


def test_equal_runs_need_no_words() -> None:
    assert mixed_runs(study(run(), run())) == limits(study(run(), run())) == []


def test_environments_are_told_where_they_differ() -> None:
    other = ONE | {"torch": "2.9", "variables": {"MKL_CBWR": "AVX2"}}
    (line,) = limits(study(run(), run(), run(other)))
    assert "torch 2.8 in 2 runs, 2.9 in 1 run" in line
    assert "variables MKL_CBWR=AVX2 in 1 run, none in 2 runs" in line and "numpy" not in line


def test_a_run_that_resumed_elsewhere_mixes_environments() -> None:
    sessions = [{"environment": ONE}, {"versions": {"torch": "2.9"}}]
    (line,) = mixed_runs(study({"sessions": sessions}))
    assert "torch 2.8 in 1 run, 2.9 in 1 run" in line


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"code": {"mine.a": "2"}}, "mine.a 1 in 1 run, 2 in 1 run"),
        ({"numerics": 5}, "numerics of lmlab 4 in 1 run, 5 in 1 run"),
    ],
)
def test_code_is_told_where_it_differs(changed: dict[str, Any], text: str) -> None:
    assert any(text in line for line in mixed_runs(study(run(), run(identity=IDENTITY | changed))))


def test_a_run_of_other_code_is_told_in_the_study_that_took_it() -> None:
    entry = {"study": "mine", "changes": ["code of mine.a: 1 -> 2"]}
    (line,) = mixed_runs(study(run() | {"reused_across_code": [entry]}))
    assert "Seed 0 of arm" in line and "mine.a: 1 -> 2" in line
    assert mixed_runs(study(run() | {"reused_across_code": [entry | {"study": "other"}]})) == []


@pytest.mark.parametrize("odd", [None, 3, "x", [3], [None], {"a": 1}])
def test_odd_records_are_passed_over(odd: Any) -> None:
    meta = {"sessions": odd, "identity": odd, "reused_across_code": odd}
    assert mixed_runs(study(meta, run())) == []
