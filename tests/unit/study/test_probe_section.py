"""The report's table and curves of probes, from the records of runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lmlab.design.job import Job
from lmlab.run_folder import RunFolder
from lmlab.study.markdown import render_markdown
from lmlab.study.page import render_page
from lmlab.study.probe_figure import draw_probes
from lmlab.study.probe_section import build_probes, probe_facts
from lmlab.study.report_content import build_content
from lmlab.study.run_records import RunRecord, Study, load_study
from lmlab.study.write_records import write_compact

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


def test_page_markdown_and_records_show_the_probes(finished: Path, tmp_path: Path) -> None:
    for config in finished.glob("*/seed*/status.json"):
        run = RunFolder(config.parent)
        run.write_meta(run.meta() | {"probes": FACTS})
        for row in a_run("a", 0, {"names": [0.2, 0.9], "plots": [0.3, 0.123456789]}).probes:
            run.append_row(row | {"seconds": row["step"]})
    study = load_study(finished)
    content = build_content(study)
    rows = content["probes"]["rows"]
    judged = {row["arm"] for row in content["runs"] if row["purpose"] == "judged"}
    assert {row[0] for row in rows[2:]} <= judged and len(rows) > 2
    page, text = render_page(content), render_markdown(content, [])
    assert 'id="probes"' in page and "accuracy on probes" in page
    assert "## Probes" in text and "best possible accuracy" in text
    write_compact(study, tmp_path / "records")
    read = build_content(load_study(tmp_path / "records"))
    assert read["probes"]["rows"] == rows
    (curve, *_) = read["probes"]["curves"]
    assert curve["probes"]["plots"]["accuracy"] == [0.3, 0.12346]
    assert draw_probes(read) is not None
