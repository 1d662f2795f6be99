"""isoFLOP studies on disk with losses of a known truth: everything but the training is real."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.design.fairness import ArmCosts
from lmlab.design.job import Job
from lmlab.design.ladder import Ladder, cell_name
from lmlab.design.rungs import Rung
from lmlab.study.sweep_folder import SweepFolder
from tests.support.ladder_folders import ladder_manifest, write_ladder
from tests.support.ladders import a_ladder
from tests.support.simulated_isoflop import Study

TRUTH = Study()
SIZES = tuple(round(1.25e4 * 2**k) for k in range(7))  # parameters
SD = 0.002  # of a run, in nats


def isoflop_ladder(
    sizes: Sequence[int] = SIZES, budgets: int = 4, is_declared: bool = True, **changes: Any
) -> Ladder:
    """Return an isoFLOP study of budgets that grow fourfold from 4e11 FLOPs."""
    arms = {f"n{size}": [f"model.d_model={size}"] for size in sizes}
    rungs = tuple(
        Rung((f"training.flops={4e11 * 4**k:.3e}",) if is_declared else (), 32, 1, sizes[0],
             sizes[0], round(4e11 * 4**k / 6 / sizes[0]), round(4e11 * 4**k))
        for k in range(budgets)
    )  # fmt: skip
    fields = {"analysis": "isoflop", "arms": arms, "baseline": next(iter(arms)), "rungs": rungs}
    return a_ladder(**fields | {"sealed": False, "num_seeds": 3} | changes)


def write_isoflop(
    root: Path,
    ladder: Ladder | None = None,
    *,
    skip: Callable[[Job], bool] = lambda job: False,
    status: Callable[[Job], str] = lambda job: "done",
    off: Callable[[int, int], float] = lambda rung, size: 1.0,
) -> Path:
    """Write a study whose losses are sums of two power laws and noise; return its folder.

    Args:
        root: output root.
        ladder: the declaration; its arms are named by their parameters.
        skip: which runs have not started.
        status: how a run ended.
        off: factor by which the tokens of a size are off the budget of a rung.
    """
    ladder = isoflop_ladder() if ladder is None else ladder

    def loss(rung: int, arm: str, rate: float, seed: int) -> float:
        size = int(arm[1:])
        noise = np.random.default_rng([seed, rung, size]).normal()
        return TRUTH.loss(size, ladder.rungs[rung].flops * off(rung, size)) + SD * float(noise)

    folder = write_ladder(root, ladder, loss, study="iso", skip=skip, status=status)
    manifest = ladder_manifest(ladder, root, "iso")
    SweepFolder.of(manifest, root).write_arm_costs(
        {
            cell_name(rung, arm): _costs(int(arm[1:]), one.flops * off(rung, int(arm[1:])))
            for rung, one in enumerate(ladder.rungs)
            for arm in ladder.arms
        }
    )
    return folder


def _costs(size: int, flops: float) -> dict[str, Any]:
    tokens = round(flops / 6 / size)
    costs = ArmCosts(size, 2 * size, tokens, tokens // 512, 16, 32, 8192, 5, "d" * 64, "t" * 64, 64)
    return dataclasses.asdict(costs) | costs.as_dict()
