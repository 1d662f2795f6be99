"""Sweeps whose runs train as stacks: complete, rerun, and after a failure."""

from __future__ import annotations

import json

import pytest
from sweep_fixtures import FAULTY, Sweeps


@pytest.mark.long
def test_a_sweep_in_stacks_and_its_rerun(sweeps: Sweeps) -> None:
    arguments = [
        "-m", "optim.lr=1e-3,2e-3,3e-3", "seed=0,1", "hydra.launcher.stack=4",
        "runtime.policy=fast", "hydra.launcher.jobs_per_device=1", "study=s",
        "runtime.threads=auto",
    ]  # fmt: skip
    printed = sweeps.run(*arguments)
    assert "1 at a time, each a stack of up to 4 runs, 1 thread each" in printed
    assert "6 of 6 runs are done" in printed
    metas = [json.loads(m.read_text()) for m in (sweeps.outputs / "s").glob("*/seed*/meta.json")]
    assert [meta["sessions"][0]["stacked"] for meta in metas] == [3] * 6, "of equal size"
    printed = sweeps.run(*arguments, "hydra.launcher.report=false")
    assert "all runs are already complete" in printed and "6 of 6 runs are done" in printed
    assert set(sweeps.sessions("s").values()) == {1}
    csv = (sweeps.outputs / "s" / "results.csv").read_text()
    assert len(csv.splitlines()) == 7


@pytest.mark.long
def test_the_runs_of_a_failing_stack_continue_separately(sweeps: Sweeps) -> None:
    """A failure of the shared passes has no owner; by itself, each run fails or not."""
    arguments = ["-m", "optim.lr=1e-3,2e-3", FAULTY, "+model.ffn.what=raises,nothing"]
    arguments += ["hydra.launcher.stack=2", "runtime.policy=fast", "runtime.preflight=off"]
    printed = sweeps.run(*arguments, "study=s", code=1)
    assert "2 of 4 runs are done" in printed
    assert "these runs continue separately" in printed
    assert printed.count("failed: ") == 2 and "a fault of the test" in printed
    stacked = {}
    for path in (sweeps.outputs / "s").glob("*/seed*/meta.json"):
        sessions = json.loads(path.read_text())["sessions"]
        stacked["raises" in str(path)] = [session["stacked"] for session in sessions]
    assert stacked == {True: [2, 1], False: [2]}


@pytest.mark.long
def test_a_stack_that_is_killed_goes_on_as_a_stack(sweeps: Sweeps) -> None:
    """The layer kills its process ten steps after each start."""
    arguments = ["-m", "optim.lr=1e-3,2e-3", FAULTY, "hydra.launcher.stack=2"]
    arguments += ["runtime.policy=fast", "runtime.preflight=off", "checkpoint.every_steps=1"]
    sweeps.run(*arguments, "+model.ffn.what=nothing", "study=calm")
    printed = sweeps.run(*arguments, "+model.ffn.what=killed", "study=s")
    assert "2 of 2 runs are done" in printed
    assert "possibly out of memory; these runs continue as a stack: " in printed
    (sessions,) = set(sweeps.stacked("s"))
    assert len(sessions) > 1 and set(sessions) == {2}, "every session is one of a stack of two"
    calm, killed = sweeps.weights("calm").values(), sweeps.weights("s").values()
    assert list(calm) == list(killed), "bit for bit"


@pytest.mark.long
def test_a_stack_killed_before_any_checkpoint_gives_up(sweeps: Sweeps) -> None:
    arguments = ["-m", "optim.lr=1e-3,2e-3", FAULTY, "+model.ffn.what=killed", "study=s"]
    arguments += ["hydra.launcher.stack=2", "runtime.policy=fast", "runtime.preflight=off"]
    printed = sweeps.run(*arguments, "checkpoint.every_steps=20", code=1)
    assert printed.count("these runs continue as a stack") == 2
    assert printed.count("these runs continue separately") == 1
    assert set(sweeps.stacked("s")) == {(2, 2, 2, 1)}
