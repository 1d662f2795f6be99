"""What a report says about the loss beside a learning rate, and about runs that confirm it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from designs import a_design

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest, tuning_outcomes
from lmlab.design.search import TrialOutcome
from lmlab.study.best_rate import describe_best_rate
from lmlab.study.rate_basin import basin_caution, confirmation_rule, describe_basin
from lmlab.study.rate_cautions import rate_cautions
from lmlab.study.run_records import RunRecord, Study, load_study
from lmlab.study.verdict_section import judge_all, verdict_row

RECORDS = Path(__file__).parents[3] / "experiments" / "ablations" / "records"


def a_study(
    loss: Callable[[float], float | None],
    lost: Callable[[Job], bool] = lambda _: False,
    **changes: Any,
) -> Study:
    """A finished study whose arm ``b`` has these losses at x = log(rate / 0.01), unless lost."""
    design = a_design(num_seeds=2, at_baseline_lr=False, **changes)
    content = {"optim": {"lr": 3e-3}, "seed": 7, "seeds": {}}
    manifest = Manifest("s", "", [content] * 2, ["a", "b"], [[]] * 2, design)
    outcomes: dict[Job, TrialOutcome] = {}
    while fresh := [job for job in manifest.required_jobs(outcomes) if job not in outcomes]:
        for job in fresh:
            away = math.log((job.lr or 1) / 1e-2)
            found = loss(away) if job.arm == "b" else 0.05 * away**2
            value = None if found is None or lost(job) else 3 + found + 0.001 * (job.seed % 2)
            outcomes[job] = TrialOutcome("diverged" if value is None else "done", value, 9.0)
    records = [
        RunRecord(job, ("search",), "", {"status": one.status}, {}, [
            {"kind": "validation", "step": step, "loss": loss}
            for step, loss in enumerate((one.first_loss, one.loss)) if loss is not None
        ], [], "")
        for job, one in outcomes.items()
    ]  # fmt: skip
    return Study("s", Path("outputs/s"), manifest, {}, records)


def parabola(away: float) -> float:
    return 0.05 * away**2


def steep_above(away: float) -> float:
    return 0.1 * away**2 * (8 if away > 0 else 1)


def test_the_rise_at_half_and_twice_the_rate_is_that_of_the_curve() -> None:
    study = a_study(parabola, confirm_rate="auto")
    rise = 0.05 * math.log(2) ** 2
    assert describe_basin(study, "b") == (
        f"the loss rises by {rise:.3f} at half and {rise:.3f} at twice the rate (interpolated "
        "through searched rates from 0.003 to 0.03); it needed no confirmation"
    )
    assert basin_caution(study, "b") == ""
    assert confirmation_rule(study).endswith("more tuning runs than others: none.")


def test_an_asymmetric_basin_is_told_with_what_confirmed_the_rate() -> None:
    study = a_study(steep_above, confirm_rate="auto")
    assert study.manifest is not None
    found = study.manifest.lr_search("b").confirmation(tuning_outcomes("b", study.outcomes))
    assert found is not None and found.rate != found.searched
    told = describe_basin(study, "b")
    assert ", an asymmetric basin; runs at " in told
    assert told.endswith(f"(2 seeds each) moved the rate from {found.searched:g} to {found.rate:g}")
    assert all(f"{rate:g}" in told for rate in found.rates)
    assert basin_caution(study, "b") == "", "it was confirmed"
    assert confirmation_rule(study).endswith("than others: b.")
    assert describe_basin(a_study(parabola, confirm_rate="always"), "b").endswith("confirmed it")


def test_a_doubt_that_no_run_confirmed_is_told_at_the_verdict() -> None:
    study = a_study(steep_above)
    assert describe_basin(study, "b").endswith(", an asymmetric basin")
    caution = basin_caution(study, "b")
    assert caution.startswith("its basin is asymmetric, so that the loss at the vertex")
    (row,) = [verdict_row(study, one) for one in judge_all(study)]
    assert caution in rate_cautions(study, "b")
    assert row["caution"].startswith("the rate may not be the best: ")


def test_runs_that_all_fail_confirm_nothing() -> None:
    searched = {record.job for record in a_study(steep_above).records}
    study = a_study(
        steep_above,
        lambda job: job.arm == "b" and job.seed >= 1000 and job not in searched,
        confirm_rate="always",
    )
    assert study.manifest is not None
    told = describe_basin(study, "b")
    assert told.endswith(") did not confirm it: at each of these rates, a run failed")
    assert basin_caution(study, "b").endswith("that were to confirm it, a run failed")
    assert "confirmed" not in describe_best_rate(study.manifest, study, "b")


def test_a_basin_that_ends_at_the_edge_is_told() -> None:
    study = a_study(lambda away: None if away > 0.1 else parabola(away))
    assert "no higher rate trained with all seeds" in describe_basin(study, "b")
    assert basin_caution(study, "b").startswith("the searched rates train on one side of it only")


def test_rates_that_were_not_tried_are_not_extrapolated() -> None:
    """A fine grid: half and twice the rate are far outside of it."""
    study = a_study(parabola, lr_factor=1.2)
    told = describe_basin(study, "b")
    assert "half" not in told and "twice" not in told
    assert told.count(" at 0.0") == 2


def test_recorded_studies_are_told_as_they_were_searched() -> None:
    study = load_study(RECORDS)
    told = describe_basin(study, "norm-post")
    assert told.endswith(", an asymmetric basin"), "the study confirms no rate; its rule says so"
    for arm in ("baseline", "norm-none", "ffn-gelu"):
        assert "asymmetric" not in describe_basin(study, arm)
        assert basin_caution(study, arm) == ""


@pytest.mark.parametrize("policy", ["never", "auto"])
def test_an_unfinished_search_has_no_basin(policy: str) -> None:
    study = dataclasses.replace(a_study(parabola, confirm_rate=policy), records=[])
    assert describe_basin(study, "b") == basin_caution(study, "b") == ""
