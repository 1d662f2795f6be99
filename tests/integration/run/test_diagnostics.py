"""``training.diagnose_every`` adds rows and changes no other bit of a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from event_files import expected_scalars, scalars, without_final
from stacks import members, runs, stack

from lmlab.build.identity import is_same_run
from lmlab.config.compose import compose
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.study.learning_curve import draw_learning_curve

TIMES = ("seconds", "tokens_per_second", "mfu")


def numbers(run: RunFolder, *, diagnostics: bool = False) -> list[dict[str, Any]]:
    rows = [row for row in run.rows() if diagnostics or row["kind"] != "diagnostics"]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def weights(run: RunFolder) -> bytes:
    return (run.checkpoints / "step_00000020" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "more",
    [
        ["model.dropout=0.2", "training.micro_batch_size=2"],
        pytest.param(["runtime.policy=bf16", "runtime.compile=false"], marks=pytest.mark.long),
        pytest.param(["runtime.policy=fast", "runtime.compile=true"], marks=pytest.mark.long),
    ],
    ids=["dropout", "bf16", "compiled"],
)
def test_a_run_has_the_same_bits_with_and_without(
    overrides: list[str], tmp_path: Path, more: list[str]
) -> None:
    found = {}
    for name, every in (("without", "null"), ("with", "3")):
        where = [f"output_root={tmp_path / name}", f"training.diagnose_every={every}"]
        found[name] = execute(compose([*overrides, *more, *where, "logger=tensorboard"])).run
    plain, measured = found.values()
    assert numbers(plain) == numbers(measured)
    assert weights(plain) == weights(measured)
    assert is_same_run(plain.meta(), measured.meta()["identity"])
    rows = measured.rows("diagnostics")
    assert [row["step"] for row in rows] == [3, 6, 9, 12, 15, 18, 20]
    assert all(
        math.isfinite(value) for row in rows for value in row.values() if value != "diagnostics"
    )
    # Layers add up to the norm of the training row at the same step.
    (last,) = (row for row in measured.rows("train") if row["step"] == 20)
    norms = [value for key, value in rows[-1].items() if key.startswith("grad_norm/")]
    assert math.hypot(*norms) == pytest.approx(last["grad_norm"], rel=1e-5)
    assert without_final(scalars(measured.path / "tensorboard")) == expected_scalars(
        measured.rows()
    )
    draw_learning_curve(measured.path)
    assert execute(compose([*overrides, *more, f"output_root={tmp_path / 'with'}"])).run == measured


@pytest.mark.long
def test_stacked_runs_measure_and_track_as_separate_ones(overrides, tmp_path: Path) -> None:
    more = [*overrides, "training.diagnose_every=10", "logger=tensorboard"]
    together, apart = tmp_path / "together", tmp_path / "apart"
    arms = {"a": ["seed=1"], "b": ["seed=2"]}
    stack(members(more, together, **arms))
    for own in members(more, apart, **arms):
        execute(compose(own))
    for arm, found in runs(together).items():
        assert without_final(scalars(found.path / "tensorboard")) == expected_scalars(found.rows())
        rows, expected = (run.rows("diagnostics") for run in (found, runs(apart)[arm]))
        assert [row["step"] for row in rows] == [10, 20]
        for mine, yours in zip(rows, expected, strict=True):
            for name in set(yours) - {"kind", *TIMES}:
                assert mine[name] == pytest.approx(yours[name], rel=1e-3), name
