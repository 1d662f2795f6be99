"""What is told before a sweep begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.design.comparison import Comparison
from lmlab.run_folder import RunFolder
from lmlab.sweep.plan import find_power


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
    assert find_power(design, runs + unfinished) == find_power(design, runs)
    assert "vary by 0.1000 nats per token (over 3 seeds" in find_power(design, runs)[0]
    assert "assumed" in find_power(design, runs[:2] + unfinished)[0]


@pytest.mark.parametrize(("seeds", "told"), [(1, "One seed"), (2, "Two seeds")])
def test_too_few_seeds_are_named(seeds: int, told: str) -> None:
    assert told in find_power(design_of(seeds), [])[-1]
