"""A study of real runs that takes one more arm."""

from __future__ import annotations

import json

import pytest
from sweep_fixtures import Sweeps

ARMS = {"rms": "model.norm=rms", "post": "model.norm=post", "layernorm": "model.norm=layernorm"}


def arguments(*names: str) -> list[str]:
    arms = ", ".join(f"{name}: ['{ARMS[name]}']" for name in names)
    return [
        "experiment=ablate_norm", "study=grows", "~design.arms", f"+design.arms={{{arms}}}",
        "design.lr=fixed", "design.num_seeds=2", "design.extra_seeds=0", "optim.lr=0.01",
        "runtime.preflight=off",
    ]  # fmt: skip


@pytest.mark.long
def test_a_further_arm_alone_is_trained_and_named(sweeps: Sweeps) -> None:
    sweeps.run(*arguments("rms", "post"))
    first = sweeps.weights("grows")
    assert len(first) == 4
    printed = sweeps.run(*arguments("rms", "post", "layernorm"))
    told = "1 arm was added after the study had judged 1 other arm: layernorm."
    assert told in " ".join(printed.split())  # in the plan
    assert set(sweeps.sessions("grows").values()) == {1}, "no run was trained again"
    after = sweeps.weights("grows")
    assert {name.partition("+")[0] for name in after.keys() - first.keys()} == {"layernorm"}
    assert {name: after[name] for name in first} == first
    report = json.loads((sweeps.outputs / "grows" / "report.json").read_text())
    assert any(note.startswith(told) for note in report["verdict_notes"])
    # The study of before is reported again, and names the arm that it no longer has.
    printed = sweeps.run(*arguments("rms", "post"))
    assert "1 arm that the study judged before is no longer in it: layernorm." in " ".join(
        printed.split()
    )
    assert sweeps.weights("grows") == after
