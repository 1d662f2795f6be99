"""Factorial studies from the command line: killed, resumed, reported, published, refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sweep_fixtures import Sweeps
from warm import start_command

from lmlab.study.run_records import load_study

FACTORS = [
    "design.factors={norm: ['model.norm=none'], pos: ['model.pos=nope'], "
    "ffn: [['model.ffn=swiglu'], ['model.ffn=geglu']]}"
]
SMALL = [
    "training.steps=8", "schedule.warmup_steps=1", "model.context_length=8", "model.num_layers=1",
    "runtime.preflight=off", "hydra.launcher.jobs_per_device=2",
]  # fmt: skip


@pytest.fixture
def study(sweeps: Sweeps) -> Sweeps:
    keys = {one.partition("=")[0] for one in SMALL}
    kept = [one for one in sweeps.overrides if one.partition("=")[0] not in keys]
    sweeps.overrides = [*kept, *SMALL]
    return sweeps


FACTORIAL = [
    "-m", "design=factorial", "study=f", "design.question=why", *FACTORS, "design.num_seeds=2",
    "design.num_tuning_seeds=1", "design.confirm_rate=never", "optim.lr=0.05",
    "design.lr_factor=20",
]  # fmt: skip


def command(study: Sweeps, name: str, *arguments: str) -> str:
    process = start_command(name, *arguments, cwd=study.folder)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return str(printed)


@pytest.mark.long
def test_a_killed_factorial_study_resumes_and_is_reported_and_published(
    study: Sweeps, wait_for: Callable[..., None]
) -> None:
    plan = study.run(*FACTORIAL, "hydra.launcher.plan_only=true")
    assert "2^3, all combinations: 8 cells, 2 seeds each" in plan
    assert "searched in 4 of 8 cells" in plan
    process = study.start(*FACTORIAL)
    wait_for(lambda: sum(one["status"] == "done" for one in study.runs("f").values()) >= 6)
    process.kill()
    process.communicate()
    printed = study.run(*FACTORIAL)
    assert "effects.csv" in {path.name for path in (study.outputs / "f").iterdir()}
    runs, sessions = study.runs("f"), study.sessions("f")
    judged = [name for name in runs if name.endswith(("seed0", "seed1"))]
    assert len(judged) >= 16
    assert study.run(*FACTORIAL).count("running") == 0, "nothing is left to train"
    assert study.sessions("f") == sessions
    found = load_study(study.outputs / "f")
    assert found.manifest is not None and found.manifest.factorial is not None
    predicted = [cell for cell in found.manifest.factorial.cells
                 if found.manifest.factorial.predicts(cell)]  # fmt: skip
    assert len(predicted) == 4
    assert all(f"{cell}+lr-" not in name for cell in predicted for name in runs
               if "seed1000" in name and name.startswith(f"{cell}+"))  # fmt: skip
    assert "Lowest mean loss" in printed or "No combination" in printed
    command(study, "publish", "outputs/f", "published")
    text = (study.folder / "published" / "README.md").read_text()
    assert "## Effects of the factors" in text
    assert json.loads((study.folder / "published" / "records" / "manifest.json").read_text())[
        "factorial"
    ]["factors"]


@pytest.mark.long
def test_a_stack_is_taken_apart(study: Sweeps) -> None:
    changes = "design.changes={norm: ['model.norm=post'], pos: ['model.pos=nope']}"
    printed = study.run(
        "-m", "design=leave_one_out", "study=s", "design.question=why", changes, "design.lr=fixed",
        "design.num_seeds=2", "design.extra_seeds=0",
    )  # fmt: skip
    assert len(study.runs("s")) == 8
    assert "All changes together are worth" in printed
    assert (study.outputs / "s" / "stack.png").exists()


def test_wrong_factors_are_refused_before_training(study: Sweeps) -> None:
    for arguments, message in (
        (["design.factors.norm=['seed=3']"], "design.factors.norm: seed=3: expected settings"),
        (["model.ffn=relu2"], "model.ffn=relu2: this has no effect"),
    ):
        printed = study.run(*FACTORIAL, *arguments, code=2)
        assert f"error: {message}" in printed, printed
        assert "help: " in printed
