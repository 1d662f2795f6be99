"""A run that extends a finished run by more steps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lmlab.build.factory import build_checkpoints
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.runs.execute import execute


def test_an_extended_constant_schedule_equals_a_longer_run(overrides, tmp_path) -> None:
    constant = [*overrides, "schedule=constant", "schedule.warmup_steps=2"]
    parent = execute(compose([*constant, "arm=short"])).run
    child = execute(
        compose([*constant, "arm=long", "training.steps=30", f"parent={parent.path}"])
    ).run
    straight = execute(compose([*constant, "arm=straight", "training.steps=30"])).run
    name = "checkpoints/step_00000030/model.safetensors"
    assert (child.path / name).read_bytes() == (straight.path / name).read_bytes()
    assert child.meta()["parent"] == str(parent.path)
    assert f"extending {parent.path} from step 20" in child.log.read_text()
    steps = [row["step"] for row in child.rows("train")]
    assert steps == [5, 10, 15, 20, 25, 30]


def test_a_decayed_schedule_cannot_be_extended(overrides) -> None:
    parent = execute(compose([*overrides, "arm=short"])).run
    more = [*overrides, "arm=long", "training.steps=30", f"parent={parent.path}"]
    with pytest.raises(ConfigError, match=r"schedule=constant or schedule=wsd"):
        execute(compose(more))
    assert not (parent.path.parents[1] / "long").exists()


def test_wsd_extends_a_pinned_checkpoint(overrides) -> None:
    wsd = [*overrides, "schedule=wsd", "schedule.warmup_steps=2", "schedule.decay_fraction=0.5"]
    parent = execute(compose([*wsd, "arm=short", "checkpoint.keep_steps=[10]"])).run
    child = execute(compose([*wsd, "arm=long", "training.steps=40", f"parent={parent.path}"])).run
    assert f"extending {parent.path} from step 10" in child.log.read_text()


def test_extending_a_run_of_more_ranks_warns_that_bits_differ(overrides) -> None:
    constant = [*overrides, "schedule=constant", "schedule.warmup_steps=2"]
    parent = execute(compose([*constant, "arm=short"])).run
    meta = parent.meta()
    parent.write_meta(meta | {"sessions": [meta["sessions"][0] | {"ranks": 2}]})
    longer = [*constant, "arm=long", "training.steps=30", f"parent={parent.path}"]
    child = execute(compose(longer)).run
    assert "saved on 2 ranks and continues on 1 rank" in child.log.read_text()
    assert child.meta()["sessions"][0]["from_step"] == 20


def test_the_remedies_for_a_shorter_child_work(overrides) -> None:
    constant = [*overrides, "schedule=constant", "schedule.warmup_steps=2"]
    parent = execute(compose([*constant, "arm=long"])).run
    child = [*constant, "arm=child", "training.steps=10"]
    with pytest.raises(ConfigError) as refused:
        execute(compose([*child, f"parent={parent.path}"]))
    advice = re.search(r"(checkpoint\.keep_steps=\S+) (reuse=false)", str(refused.value))
    assert advice is not None
    kept = build_checkpoints(resolve(compose(constant)).workload, parent.checkpoints).steps()
    assert f"set training.steps above {kept[0]}," in str(refused.value)
    repeated = execute(compose([*constant, "arm=repeated", *advice.groups()])).run
    run = execute(compose([*child, "reuse=false", f"parent={repeated.path}"])).run
    assert f"extending {repeated.path} from step 9" in run.log.read_text()
    assert [row["step"] for row in run.evaluations()] == [0, 10], "the last update is its own"
    assert build_checkpoints(resolve(compose(constant)).workload, run.checkpoints).steps() == [10]


def test_without_shared_steps_no_checkpoint_is_recommended(overrides) -> None:
    parent = execute(compose([*overrides, "arm=short", "schedule.warmup_steps=2"])).run
    child = [*overrides, "arm=long", "training.steps=30", "schedule.warmup_steps=3"]
    with pytest.raises(ConfigError, match="leave parent out to train all 30 steps") as refused:
        execute(compose([*child, f"parent={parent.path}"]))
    assert "keep_steps" not in str(refused.value)


def test_another_changed_setting_is_named(overrides) -> None:
    parent = execute(compose([*overrides, "arm=short"])).run
    more = [*overrides, "arm=long", "optim.lr=0.5", f"parent={parent.path}"]
    with pytest.raises(ConfigError, match=r"config\.optim\.lr"):
        execute(compose(more))


def test_a_parent_that_is_not_a_run_is_refused(overrides, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"parent=.*: expected a run folder"):
        execute(compose([*overrides, f"parent={tmp_path}"]))
