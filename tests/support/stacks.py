"""Stacks of three different runs, and what they leave."""

from __future__ import annotations

from pathlib import Path

from lmlab.config.compose import compose
from lmlab.run_folder import RunFolder
from lmlab.runs.stacked.execute_stack import execute_stack

DIFFERENT = {
    "a": ["optim.lr=1e-3", "seed=1"],
    "b": ["optim.lr=3e-3", "optim.weight_decay=0.3", "optim.betas=[0.8,0.99]", "seed=2"],
    "c": ["optim.lr=3e-3", "schedule.warmup_steps=5", "model.init=xavier_uniform", "seed=3"],
}


def members(overrides: list[str], root: Path, **arms: list[str]) -> list[list[str]]:
    return [
        [*overrides, "runtime.policy=fast", f"output_root={root / 'outputs'}", f"arm={arm}", *own]
        for arm, own in (arms or DIFFERENT).items()
    ]


def runs(root: Path) -> dict[str, RunFolder]:
    found = sorted((root / "outputs" / "runs").glob("*/seed*"))
    return {path.parent.name: RunFolder(path) for path in found}


def weights(run: RunFolder, step: int) -> bytes:
    return (run.checkpoints / f"step_{step:08d}" / "model.safetensors").read_bytes()


def stack(wanted: list[list[str]]) -> None:
    execute_stack([compose(overrides) for overrides in wanted])
