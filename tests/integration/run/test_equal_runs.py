"""Spellings of the same settings are one run, and settings outside the identity change no loss."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.run_keys import arm_settings
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute

# Spellings of the settings of the fixture "overrides", whose batch is 4 and whose heads are 2.
PAIRS = [
    ("optim.weight_decay=0", "optim.weight_decay=0.0"),
    ("optim.betas=[0,0.5]", "optim.betas=[0.0,0.5]"),
    ("training.micro_batch_size=null", "training.micro_batch_size=4"),
    ("model.d_ff=auto", "model.d_ff=64"),
    ("model.attention.num_kv_heads=null", "model.attention.num_kv_heads=2"),
    ("schedule.warmup_steps=2", "schedule.warmup=0.1"),
    ("model.pos.theta=500", "model.pos.theta=500.0"),
]
OUTSIDE = [
    "training.log_every=1", "validation.batch_size=3", "checkpoint.every_steps=7",
    "checkpoint.keep_last=1", "checkpoint.keep_steps=[0,3]", "samples.count=3",
    "samples.temperature=0", "seeds.sampling=5", "runtime.preflight=off", "notes=text",
]  # fmt: skip


def run(overrides: list[str]) -> RunFolder:
    result = execute(compose(overrides))
    assert result.exit_code == 0
    return result.run


def losses(folder: RunFolder) -> list[Any]:
    rows = [row for row in folder.rows() if row["step"] in (0, 10, 20)]
    return [(row["step"], row["loss"]) for row in rows if row["kind"] == "validation"]


def without(overrides: list[str], spelling: str) -> list[str]:
    key = spelling.partition("=")[0]
    replaced = {key, "schedule.warmup_steps" if key == "schedule.warmup" else key}
    return [one for one in overrides if one.partition("=")[0] not in replaced]


@pytest.mark.long
def test_another_spelling_finds_the_run(overrides: list[str]) -> None:
    for left, right in PAIRS:
        overrides = without(overrides, left)
        assert arm_settings(compose([*overrides, left]).as_dict()) == arm_settings(
            compose([*without(overrides, right), right]).as_dict()
        )
    first = run([*overrides, *(left for left, _ in PAIRS), "arm=first"])
    again = run([*overrides, *(right for _, right in PAIRS), "arm=second", "study=other"])
    assert again.path == first.path
    beside = run([*overrides, *(right for _, right in PAIRS), "arm=first", "reuse=false"])
    assert beside.path == first.path
    different = [right for _, right in PAIRS[1:]]
    other = run([*overrides, *different, "optim.weight_decay=0.5", "arm=third", "training.steps=1"])
    assert other.path != first.path


@pytest.mark.long
def test_each_spelling_has_the_same_losses(overrides: list[str]) -> None:
    for number, (left, right) in enumerate(PAIRS):
        alone = [*without(overrides, right), "reuse=false"]
        first = run([*alone, left, f"arm=left{number}"])
        second = run([*alone, right, f"arm=right{number}"])
        assert first.path != second.path
        assert losses(first) == losses(second), right


@pytest.mark.long
def test_settings_outside_the_identity_change_no_loss(overrides: list[str]) -> None:
    base = losses(run([*overrides, "arm=base"]))
    for number, setting in enumerate(OUTSIDE):
        alone = [*without(overrides, setting), setting, "reuse=false", f"arm=other{number}"]
        assert losses(run(alone)) == base, setting
