"""The plan of a study: its number of runs, its time, and what it can detect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from designs import a_design

from lmlab.config.compose import compose
from lmlab.design.comparison import Comparison
from lmlab.run_folder import RunFolder
from lmlab.sweep.plan import Plan, describe_power, make_plan


def design_of(num_seeds: int) -> Comparison:
    declared = compose(["experiment=ablate_norm"]).as_dict()["design"]
    declared.pop("_target_")
    return Comparison(**declared | {"num_seeds": num_seeds})


def baseline_run(path: Path, status: str, *losses: float) -> RunFolder:
    path.mkdir()
    run = RunFolder(path)
    for step, loss in enumerate(losses):
        run.append_row({"kind": "validation", "step": step, "loss": loss})
    run.write_status(status)
    return run


def test_the_noise_is_that_of_finished_runs(tmp_path: Path) -> None:
    design = design_of(5)
    runs = [
        baseline_run(tmp_path / str(seed), "done", 7.0, loss)
        for seed, loss in enumerate((2.0, 2.1, 2.2))
    ]
    unfinished = [
        baseline_run(tmp_path / "stopped", "interrupted", 7.0),
        baseline_run(tmp_path / "broken", "failed"),
    ]
    assert describe_power(design, runs + unfinished) == describe_power(design, runs)
    assert "vary by 0.1000 nats per token (over 3 seeds" in describe_power(design, runs)[0]
    assert "assumed" in describe_power(design, runs[:2] + unfinished)[0]


@pytest.mark.parametrize(("seeds", "warning"), [(1, "One seed"), (2, "Two seeds")])
def test_the_plan_warns_of_too_few_seeds(seeds: int, warning: str) -> None:
    assert any(line.startswith(warning) for line in describe_power(design_of(seeds), []))


def test_the_plan_counts_the_runs_of_a_study() -> None:
    seconds = [3.0, 5.0]
    fixed = make_plan(a_design(lr="fixed"), 2, seconds, slots=2)
    assert (fixed.least_runs, fixed.most_runs) == (10, 10)
    searched = make_plan(a_design(extra_seeds=3), 2, seconds, slots=2)
    assert searched.least_runs == 2 * 13 + 5 + 10
    assert searched.most_runs == searched.least_runs + 6
    assert make_plan(None, 2, seconds, slots=1).least_runs == 2
    assert fixed.seconds == pytest.approx((5 * 3 + 5 * 5) / 2)
    assert make_plan(None, 3, [3, 1, 2], slots=2).seconds == pytest.approx(3)
    unknown = make_plan(a_design(lr="fixed"), 2, None, slots=2)
    assert (unknown.least_runs, unknown.seconds) == (10, None)


def test_the_plan_counts_the_runs_that_confirm_a_rate() -> None:
    never = make_plan(a_design(), 2, None, slots=1)
    auto = make_plan(a_design(confirm_rate="auto"), 2, None, slots=1)
    assert (auto.least_runs, auto.most_runs) == (never.least_runs, never.least_runs + 2 * 4 * 2)
    assert "if every arm needs runs to confirm its learning rate)" in auto.summary()
    always = make_plan(a_design(confirm_rate="always", extra_seeds=3), 2, None, slots=1)
    assert always.least_runs == never.least_runs + 2 * 3 * 2
    assert always.most_runs == always.least_runs + 2 * 2 + 2 * 3
    assert "every arm needs more seeds and runs to confirm its learning rate)" in always.summary()
    fixed = make_plan(a_design(lr="fixed", confirm_rate="always"), 2, None, slots=1)
    assert fixed.most_runs == 10


def test_the_plan_counts_the_runs_that_pruning_may_leave_out() -> None:
    whole = make_plan(a_design(look="sequential", prune="never"), 2, None, slots=1)
    pruned = make_plan(a_design(look="sequential", prune="auto"), 2, None, slots=1)
    assert pruned.least_runs == whole.least_runs - 2 * 5
    assert pruned.most_runs == whole.most_runs
    assert "if every arm needs more seeds and all tuning seeds)" in pruned.summary()


def test_looks_add_no_seeds_at_the_rate_of_the_baseline() -> None:
    both = make_plan(a_design(look="sequential", at_baseline_lr=True), 2, None, slots=1)
    own = make_plan(a_design(look="sequential", at_baseline_lr=False), 2, None, slots=1)
    assert both.least_runs == own.least_runs + 3
    assert both.most_runs - both.least_runs == own.most_runs - own.least_runs


def test_the_replicate_adds_the_runs_of_a_baseline_without_a_search() -> None:
    without = make_plan(a_design(), 2, [3.0, 5.0], slots=1)
    with_replicate = make_plan(a_design(replicate="again"), 2, [3.0, 5.0], slots=1)
    assert with_replicate.least_runs == without.least_runs + 5
    assert without.seconds is not None
    assert with_replicate.seconds == pytest.approx(without.seconds + 5 * 3.0)


@pytest.mark.parametrize(
    ("plan", "summary"),
    [
        (Plan(0, 0, 0.0), "all runs are already complete"),
        (Plan(4, 4, None), "about 4 runs"),
        (Plan(4, 6, None), "about 4 runs (6 if every arm needs more seeds)"),
        (Plan(4, 4, 600.0), "about 4 runs, predicted 10 min if none of them is complete"),
    ],
)
def test_the_summary_of_a_plan(plan: Plan, summary: str) -> None:
    assert plan.summary() == summary


def test_the_plan_of_a_sequential_study_states_the_expected_runs() -> None:
    design = a_design(lr="fixed", look="sequential", max_seeds=8, margin=0.005)
    lines = describe_power(design, [])
    (line,) = [one for one in lines if one.startswith("Arms are tested after each seed")]
    assert "from 3 to 8" in line
    numbers = [float(text) for text in re.findall(r"(\d+) (?:where|by)", line)]
    assert len(numbers) == 4 and all(6 <= number <= 16 for number in numbers)
    assert numbers[3] < numbers[2]  # twice the detectable difference takes fewer
    plan = make_plan(design, 2, None, slots=1)
    assert (plan.least_runs, plan.most_runs) == (6, 16)
