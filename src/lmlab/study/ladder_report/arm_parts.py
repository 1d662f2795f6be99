"""The parts of a report that a ladder shares with other studies, from those of its rungs."""

from __future__ import annotations

import dataclasses
from typing import Any

from lmlab.design.ladder import cell_name
from lmlab.study.arm_section import build_arms, build_costs
from lmlab.study.ladder_report.ladder_study import LadderStudy, rung_study
from lmlab.study.ladder_report.wording import rung_name
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.run_section import build_curves, build_runs, build_samples
from lmlab.study.setup_section import build_setup
from lmlab.study.train_curves import build_train_curves

_OF_ONE_SIZE = ("steps x batch", "loss before training", "arm")


def ladder_arms(found: LadderStudy) -> list[dict[str, Any]]:
    """Return the arms of a ladder with their overrides and differences, and commands by rung."""
    ladder = found.ladder
    rungs = [
        {arm["name"]: arm for arm in build_arms(rung_study(found.study, rung))}
        for rung in range(len(ladder.rungs))
    ]
    order = sorted(ladder.judged_arms, key=lambda arm: arm != ladder.baseline)
    return [
        {
            **rungs[0][cell_name(0, arm)],
            "name": arm,
            "overrides": ladder.arms.get(arm, ladder.arms[ladder.baseline]),
            "commands": [
                command
                for rung, arms in enumerate(rungs)
                for command in arms[cell_name(rung, arm)]["commands"]
            ],
            "best_lr": None,
            "edge": None,
            "rate_states": [],
        }
        for arm in order
    ]


def rate_cautions(found: LadderStudy) -> list[str]:
    """Return why the searched rate of a cell may not be its best, by cell."""
    lines = []
    for rung in range(len(found.ladder.rungs)):
        for arm in build_arms(rung_study(found.study, rung)):
            if arm["rate_caution"]:
                lines.append(f"{arm['name']}: {arm['rate_caution']}")
    return lines


def ladder_setup(found: LadderStudy) -> list[list[str]]:
    """Return the setup that all rungs share, and the model of the lowest one."""
    rows = build_setup(rung_study(found.study, 0))
    labels = {"model": f"model on {rung_name(0)}"}
    kept = [[labels.get(key, key), value] for key, value in rows if key not in _OF_ONE_SIZE]
    return [["baseline", found.ladder.baseline], *kept] if kept else []


def ladder_costs(found: LadderStudy) -> dict[str, Any]:
    """Return cost and data of each cell as a table, with notes on what differs within a rung."""
    parts = [build_costs(rung_study(found.study, rung)) for rung in range(len(found.ladder.rungs))]
    all_match = "All arms match the baseline"
    notes: dict[str, None] = {
        note.replace(all_match, "On each rung, all arms match the baseline"): None
        for part in parts
        for note in part["notes"]
    }
    columns: list[str] = next((part["columns"] for part in parts if part["columns"]), [])
    rows = [row for part in parts for row in part["rows"]]
    return {"columns": columns, "rows": rows, "notes": list(notes)}


def ladder_curves(found: LadderStudy) -> dict[str, Any]:
    """Return the learning curves of the judged runs, with their ``rung``, from the lowest."""
    records = [record for runs in found.records.values() for record in runs]
    records.sort(key=lambda record: _place(found, record))
    judged = dataclasses.replace(found.study, records=records)
    curves = build_curves(judged)
    for curve in curves:
        rung, arm = found.ladder.cells[curve["arm"]]
        curve |= {"arm": arm, "rung": rung_name(rung)}
    return {"curves": curves, "train_curves": build_train_curves(judged)}


def ladder_runs(found: LadderStudy) -> list[dict[str, Any]]:
    """Return one row for each run, with its ``rung``, from the lowest."""
    records = sorted(found.study.records, key=lambda record: _place(found, record))
    rows = build_runs(dataclasses.replace(found.study, records=records))
    for row in rows:
        rung, arm = found.ladder.cells[row["arm"]]
        row |= {"arm": arm, "rung": rung_name(rung)}
        row["parameters"] = _cost(found, rung, arm, "parameters")
        row["flops"] = found.facts.flops[arm][rung]
    return rows


def _place(found: LadderStudy, record: RunRecord) -> tuple[int, int]:
    rung, arm = found.ladder.cells[record.job.arm]
    return rung, found.ladder.judged_arms.index(arm)


def _cost(found: LadderStudy, rung: int, arm: str, key: str) -> Any:
    """Return a cost of a cell; the replicate has those of the baseline."""
    source = found.ladder.baseline if arm == found.ladder.replicate else arm
    costs = found.study.arm_costs.get(cell_name(rung, source))
    return found.ladder.rungs[rung].parameters if costs is None else costs[key]


def ladder_samples(found: LadderStudy) -> list[dict[str, Any]]:
    """Return the texts of one run of each arm, of the highest rung that has any."""
    for rung in reversed(range(len(found.ladder.rungs))):
        cells = {cell_name(rung, arm): arm for arm in found.ladder.judged_arms}
        records = [record for cell in cells for record in found.records[cell]]
        study: Study = dataclasses.replace(found.study, records=records)
        samples = build_samples(study)
        if samples:
            return [{**one, "arm": cells[one["arm"]]} for one in samples]
    return []
