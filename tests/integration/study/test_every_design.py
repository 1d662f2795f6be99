"""What a report states holds for every design: the sentences follow from the facts."""

from __future__ import annotations

import csv
import io
import itertools
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from designs import a_design

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome
from lmlab.study.csv_tables import render_csv
from lmlab.study.markdown import render_markdown
from lmlab.study.page import render_page
from lmlab.study.report_content import build_content
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.waves import follow_waves

BEST = 0.003
STEPS = (0, 20, 40)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return compose(["study=s", "logger=none", "arm=x"]).as_dict() | {"design": None}


def outcome_of(arm: str, index: int, job: Job, case: str, rng: random.Random) -> TrialOutcome:
    """A simulated result: arms are worse by 0.02 each, rates above 0.03 diverge."""
    if case == "missing" and index == 1 and job.seed == 1:
        return TrialOutcome("missing")
    if case == "no baseline runs" and index == 0 and job.seed < 1000:
        return TrialOutcome("failed")
    everywhere = (case == "all diverge") or (case == "arm diverges" and index == 1)
    blows_up = case == "baseline diverges" and index == 0 and job.seed == 1
    if everywhere or blows_up or (job.lr or 0) > 0.03:
        return TrialOutcome("diverged", None, 6.0)
    loss = 3.0 + 0.02 * index + 5 * abs((job.lr or BEST) - BEST) + rng.gauss(0, 0.01)
    if case == "outliers" and index == 1 and job.seed in (1, 3):
        loss += 3.0 + rng.random()
    return TrialOutcome("done", loss, 6.0)


def make_study(config: dict[str, Any], arms: int, case: str, **changes: Any) -> Study:
    names = [f"arm{number}" for number in range(arms)]
    design = a_design(**({"arms": {n: [] for n in names}, "baseline": "arm0"} | changes))
    content = [config | {"arm": name} for name in names]
    manifest = Manifest("s", "python -m lmlab.train", content, names, [[]] * arms, design)
    rng = random.Random(f"{arms}{case}{changes}")
    outcomes: dict[Job, TrialOutcome] = {}
    while fresh := [job for job in required(manifest, outcomes) if job not in outcomes]:
        for job in fresh:
            index = names.index(job.arm) if job.arm in names else 0
            outcomes[job] = outcome_of(job.arm, index, job, case, rng)
    purposes = required(manifest, outcomes)
    records = [
        record_of(job, outcome, tuple(purposes.get(job, ["search"])))
        for job, outcome in outcomes.items()
    ]
    return Study("s", Path("outputs/s"), manifest, {}, records)


def required(manifest: Manifest, outcomes: dict[Job, TrialOutcome]) -> dict[Job, list[str]]:
    assert manifest.comparison is not None
    if not manifest.comparison.is_sequential:
        return manifest.required_jobs(outcomes)
    return manifest.required_jobs(outcomes, granted=follow_waves(manifest, outcomes).seeds)


def record_of(job: Job, outcome: TrialOutcome, purposes: tuple[str, ...]) -> RunRecord:
    rows = []
    if outcome.status in ("done", "diverged"):
        last = STEPS if outcome.status == "done" else STEPS[:1]
        losses = [6.0, 4.0, outcome.loss]
        rows = [
            {"kind": "validation", "step": step, "tokens": 10 * step, "seconds": 1.0, "loss": loss}
            for step, loss in zip(last, losses, strict=False)
        ]
    status = {
        "status": outcome.status,
        "step": 40 if outcome.status == "done" else 30,
        "steps": 40,
        "tokens": 300,
        "seconds": 3.0,
    }
    return RunRecord(job, purposes, f"s/{job.name}", status, {}, rows, [], "")


DESIGNS = [
    {"lr": lr, "num_seeds": seeds, "margin": margin, "replicate": replicate, "baseline": baseline,
     "extra_seeds": extra}
    for lr, seeds, margin, replicate, baseline, extra in itertools.product(
        ("search", "fixed"), (1, 2, 5), (0.0, 0.05), (None, "again"), ("arm0", None), (0, 3)
    )
    if not (baseline is None and replicate) and not (extra and seeds < 2)
]  # fmt: skip
SEQUENTIAL = [
    design | {"look": "sequential", "max_seeds": 6}
    for design in DESIGNS
    if design["baseline"] and design["num_seeds"] == 5 and not design["extra_seeds"]
]
CASES = ["plain", "missing", "no baseline runs", "arm diverges", "baseline diverges",
         "all diverge", "outliers"]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_report_agrees_with_its_facts(config: dict[str, Any], case: str) -> None:
    rng = random.Random(case)
    sequential = rng.choice(SEQUENTIAL)  # whose reports take longer
    for design in [*rng.sample(DESIGNS, 4), sequential]:
        for arms in [3] if design is sequential else rng.sample((1, 2, 3, 10), 2):
            study = make_study(config, arms, case, **design)
            content = build_content(study)
            assert content["headline"], "a report has a summary"
            text, page = render_markdown(content, []), render_page(content)
            check_verdicts(content, design)
            check_counts(content, text, page, render_csv(content))
            check_sentences(study, content, text, design, arms)


def check_verdicts(content: dict[str, Any], design: dict[str, Any]) -> None:
    for row in content["verdicts"]:
        word, low, high = row["verdict"], row["low"], row["high"]
        if word in ("better", "worse"):
            assert low > 0 if word == "worse" else high < 0
            assert max(abs(low), abs(high)) > design["margin"]
        elif word == "no difference":
            assert max(abs(low), abs(high)) <= design["margin"]
        elif word == "inconclusive" and low is not None:
            assert low <= 0 <= high
        if low is not None:
            assert re.fullmatch(r"9[5-9](\.\d+)?%", row["confidence"])


def check_counts(content: dict[str, Any], text: str, page: str, table: str) -> None:
    rows = list(csv.DictReader(io.StringIO(table)))
    states = Counter(row["status"] for row in rows)
    assert {state: number for state, number in content["counts"].items() if number} == states
    for state, number in states.items():
        assert re.search(rf"Runs: .*\b{number} {state}\b", text)
        assert f"<b>{number}</b> {state}" in page
    assert all(row["steps"] == "30" for row in rows if row["status"] == "diverged")
    assert len(content["problems"]) == sum(
        row["status"] not in ("done", "stopped early") for row in rows
    )


def check_sentences(
    study: Study, content: dict[str, Any], text: str, design: dict[str, Any], arms: int
) -> None:
    lines = content["headline"]
    if design["baseline"]:
        on_rates = (
            "The learning rate may", "Diverged or failed to learn at", "Stable learning",
            "Differences at the baseline's",
        )  # fmt: skip
        verdicts = [line for line in lines if not line.startswith(on_rates)]
        for number in range(1, arms):
            mentions = sum(len(re.findall(rf"\barm{number}\b", line)) for line in verdicts)
            assert mentions == 1, lines
    if design["lr"] == "fixed":
        assert "best" not in text and "stable" not in text
    if design["num_seeds"] == 1:
        assert "t test" not in text
    if arms < 3 or design["baseline"] is None:
        assert "Holm" not in text
    diverged = any(r.state == "diverged" and r.job.seed == 1 for r in study.records)
    if diverged and design["baseline"] and content["verdicts"]:
        assert "iverged" in " ".join(lines)
