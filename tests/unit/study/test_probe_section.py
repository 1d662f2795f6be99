"""The report's table and curves of probes, from the records of runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lmlab.design.job import Job
from lmlab.study.probe_section import build_probes, probe_facts
from lmlab.study.run_records import RunRecord, Study

FACTS = {
    "names": {"num_items": 9, "best": {"accuracy": 1.0, "kl": 0.0}, "chance": 0.25},
    "plots": {"num_items": 8, "best": {"accuracy": 0.7, "kl": 0.0}, "chance": 0.25},
}


def a_run(
    arm: str, seed: int, accuracies: dict[str, list[float]], purpose: str = "run",
    facts: dict[str, Any] | None = None,
) -> RunRecord:  # fmt: skip
    rows = [
        {"kind": "probes", "name": name, "step": 10 * at, "tokens": 640 * at, "accuracy": value,
         "margin": 0.5, "kl": 2 * value}
        for name, values in accuracies.items()
        for at, value in enumerate(values)
    ]  # fmt: skip
    meta = {"probes": FACTS if facts is None else facts}
    return RunRecord(
        Job(arm, None, seed), (purpose,), arm, {"status": "done"}, meta, [], [], "", probes=rows
    )


def a_study(*records: RunRecord) -> Study:
    return Study("s", Path("s"), None, {}, list(records))


def test_the_table_has_the_last_scores_of_each_arm_beside_the_best() -> None:
    found = build_probes(
        a_study(
            a_run("a", 0, {"names": [0.2, 0.9], "plots": [0.3, 0.6]}),
            a_run("a", 1, {"names": [0.2, 0.7], "plots": [0.3, math.nan]}),
            a_run("b", 0, {"names": [0.3, 0.5], "plots": [math.nan]}),
        )
    )
    assert found is not None
    assert found["columns"] == ["arm", "score", "names", "plots"]
    assert found["rows"] == [
        ["", "best possible accuracy", "1.000", "0.700"],
        ["", "accuracy of a guess", "0.250", "0.250"],
        ["a", "accuracy", "0.800", "0.600"],
        ["a", "KL", "1.600", "1.200"],
        ["b", "accuracy", "0.500", ""],
        ["b", "KL", "1.000", ""],
    ]
    assert found["curves"][1] == {
        "arm": "a", "seed": 1, "status": "done",
        "probes": {
            "names": {"tokens": [0, 640], "accuracy": [0.2, 0.7]},
            "plots": {"tokens": [0], "accuracy": [0.3]},
        },
    }  # fmt: skip
    assert len(found["notes"]) == 1


def test_runs_with_other_items_and_runs_of_a_search_are_left_out() -> None:
    other = {"names": FACTS["names"] | {"best": {"accuracy": 0.9}}, "plots": FACTS["plots"]}
    found = build_probes(
        a_study(
            a_run("a", 7, {"names": [0.1]}, purpose="search"),
            a_run("a", 0, {"names": [0.2], "plots": [0.3]}, purpose="judged"),
            a_run("b", 0, {"names": [0.4], "plots": [0.5]}, purpose="judged", facts=other),
        )
    )
    assert found is not None
    assert [(curve["arm"], curve["seed"]) for curve in found["curves"]] == [("a", 0)]
    assert found["notes"][1] == "1 of 2 runs have other items, and are not shown."


def test_without_probes_there_is_no_section() -> None:
    assert build_probes(a_study()) is None
    assert build_probes(a_study(a_run("a", 0, {}))) is None
    assert build_probes(a_study(a_run("a", 0, {"names": [0.3]}, facts={}))) is None


def test_damaged_facts_count_as_missing() -> None:
    damaged = {"a": 3, "b": {"best": 1.0}, "c": {"best": {"accuracy": "high"}, "chance": 0.5}}
    assert probe_facts({"probes": damaged | FACTS}) == {
        "names": {"best": 1.0, "chance": 0.25, "num_items": 9},
        "plots": {"best": 0.7, "chance": 0.25, "num_items": 8},
    }
    assert probe_facts({"probes": None}) == probe_facts({}) == {}
