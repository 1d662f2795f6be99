"""The workload of a run and of one of its ranks, and what accounting reads of it."""

from __future__ import annotations

import dataclasses

import pytest

from lmlab.accounting.cost_report import CostOptions, compute_settings
from lmlab.accounting.disk import run_folder_bytes
from lmlab.accounting.model_counts import count_model, count_optimizer, update_flops
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError


def test_a_rank_has_its_part_of_the_batch_and_all_else() -> None:
    workload = resolve(compose(["training.batch_size=32", "training.micro_batch_size=16"])).workload
    part = workload.for_rank(4)
    assert (part.batch_size, part.micro_batch_size, part.pass_size) == (8, 8, 8)
    assert dataclasses.replace(part, batch_size=32, micro_batch_size=16) == workload
    assert workload.for_rank(1) == workload
    with pytest.raises(ConfigError, match=r"training\.batch_size=32: expected a multiple of 3"):
        workload.for_rank(3)


def test_without_a_micro_batch_a_pass_takes_the_full_batch() -> None:
    workload = resolve(
        compose(["training.batch_size=6", "training.micro_batch_size=null"])
    ).workload
    assert (workload.pass_size, workload.for_rank(2).pass_size) == (6, 3)
    assert workload.for_rank(2).micro_batch_size is None


@pytest.mark.parametrize(
    "overrides",
    [
        [], ["model=gpt2_small"], ["optim=muon", "training.micro_batch_size=2"],
        ["checkpoint.keep_steps=[10,20]", "training.steps=25", "checkpoint.every_steps=3",
         "schedule.warmup_steps=1"],
    ],
)  # fmt: skip
def test_accounting_counts_the_same_as_of_the_configuration(overrides: list[str]) -> None:
    config = compose(["runtime.policy=fast", *overrides])
    whole, part = config.as_dict(), resolve(config).workload.accounting_settings()
    assert update_flops(part) == update_flops(whole)
    model = count_model(whole["model"])
    optimizer = count_optimizer(whole["optim"], model)
    assert run_folder_bytes(part, model, optimizer) == run_folder_bytes(whole, model, optimizer)
    assert compute_settings(part, "cpu", CostOptions(), "fast") == compute_settings(
        whole, "cpu", CostOptions()
    )
