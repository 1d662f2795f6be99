"""A group of runs is one configuration, and each seed once."""

from __future__ import annotations

from pathlib import Path

import pytest
from found_runs import write_found_run, write_found_runs

from lmlab.errors import ConfigError, DataError
from lmlab.study.exploratory.run_group import read_group
from lmlab.study.exploratory.write_comparison import Choices, compare_runs
from lmlab.study.named_runs import find_run_folders

A = {0: 3.00, 1: 3.02, 2: 2.99, 3: 3.01}
POST = ["model.norm=post"]


def test_groups_that_are_none_are_refused(tmp_path: Path) -> None:
    a = write_found_runs(tmp_path, "a", A)
    mixed = write_found_runs(tmp_path, "b", {0: 3.0}, POST)
    write_found_run(tmp_path, "c", 0, 3.0)
    with pytest.raises(ConfigError, match=r"differ in model.norm \(PreRMSNorm, PostRMSNorm\)"):
        compare_runs(str(tmp_path / "runs/[ab]"), mixed, Choices())
    with pytest.raises(ConfigError, match="B: seed 0 twice"):
        compare_runs(mixed, str(tmp_path / "runs/[ac]"), Choices())
    with pytest.raises(ConfigError, match="found in A and B"):
        compare_runs(a, f"{a}/seed1", Choices())
    running = write_found_run(tmp_path, "d", 0, 3.0, status="failed")
    with pytest.raises(DataError, match=r"B: no run has finished: .* is failed"):
        compare_runs(a, str(running.path), Choices())


def test_a_group_is_read(tmp_path: Path) -> None:
    runs = find_run_folders([write_found_runs(tmp_path, "post", {4: 3.0, 2: 2.9}, POST)])
    group = read_group("B", [*reversed(runs)])
    assert (group.title, list(group.seeds)) == ("B (post)", [2, 4])
    assert group.seeds[4] == {"init": 4, "data": 4}
    costs = group.costs()
    assert (costs.parameters, costs.flops, costs.evaluation) == (1000, 2000, 5000)
    model, training = group.config["model"], group.config["training"]
    assert costs.tokens == 300 * training["batch_size"] * model["context_length"]
    assert costs.evaluates_all and costs.evaluations == 4


def test_a_run_without_an_identity_is_named(tmp_path: Path) -> None:
    run = write_found_run(tmp_path, "a", 0, 3.0)
    run.write_meta({"identity": {"config": {}}})
    with pytest.raises(DataError, match=r"identity\.train_text: missing"):
        read_group("A", [run])


def test_cut_validation_text_is_not_all_of_it(tmp_path: Path) -> None:
    run = write_found_run(tmp_path, "a", 0, 3.0, ["validation.max_tokens=4000"])
    assert not read_group("A", [run]).costs().evaluates_all
