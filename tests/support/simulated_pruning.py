"""Learning-rate searches with and without pruning: runs, found rates and false verdicts, simulated.

    python tests/support/simulated_pruning.py --save FILE

A baseline and an arm are equally good at their best rates; their losses depend on the rate as in
the table of basins of tests/support/simulated_verdicts.py. Search, confirmation and verdicts are
real. A few minutes on one core. A summary is in docs/verdicts.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from simulated_verdicts import BASINS, NO_ADVICE, Basin, Chance, SimulatedRuns, a_study

from lmlab.design.manifest import tuning_outcomes

PRUNES = ("never", "always")


@dataclasses.dataclass(frozen=True)
class Noise:
    """Noise of the runs, by its name in :data:`simulated_verdicts.NOISES`, and what is assumed."""

    name: str
    expected_sd: float
    noise: str = "normal"


NOISES = [
    Noise("as expected", 0.0128),  # of seed and run together
    Noise("twice the expected", 0.0064),
    Noise("1 run in 50 breaks down", 0.0128, "1 in 50 breaks down"),
]


@dataclasses.dataclass(frozen=True)
class Found:
    """What one study found.

    Attributes:
        runs: runs of the searches and confirmations, per arm.
        away: log(rate / best rate) of each arm.
        excess: true loss of each arm at its rate above that at its best rate, in nats per token.
        is_false: whether the paired t test of 5 seeds calls the arm different, at 5%.
    """

    runs: float
    away: tuple[float, float]
    excess: tuple[float, float]
    is_false: bool


def run_study(basins: tuple[Basin, Basin], noise: Noise, prune: str, chance: Chance) -> Found:
    """Run one study of a baseline and an arm, as fixed looks."""
    study = a_study(1, confirm_rate="auto", prune=prune, expected_sd=noise.expected_sd)
    runs = SimulatedRuns([0.0], chance, noise.noise, basins=basins)
    with NO_ADVICE:
        (found,) = runs.run_all(study)
    arms = {"arm0": found.baseline_lr, "arm1": found.lr}
    excess = tuple(runs.true_loss(arm, rate) for arm, rate in arms.items())
    away = tuple(math.log(rate or math.nan) - runs.best(arm) for arm, rate in arms.items())
    searched = sum(len(tuning_outcomes(arm, runs.outcomes)) for arm in arms)
    p = math.nan if found.comparison is None else found.comparison.p
    return Found(searched / 2, away, excess, p is not None and p < 0.05)


def pruning_table(studies: int, seed: int) -> list[list[str]]:
    """Return a row for each noise, basins and setting."""
    rows = [["noise", "basins", "prune", "runs per search", "bias of log(rate)", "spread",
             "mean excess, 1e-4 nats", "95% of them below", "arm - baseline, 1e-4 nats",
             "false verdicts"]]  # fmt: skip
    for number, noise in enumerate(NOISES):
        for row, (name, basins) in enumerate(BASINS.items()):
            for prune in PRUNES:
                chance = np.random.default_rng([seed, number, row])
                found = [run_study(basins, noise, prune, chance) for _ in range(studies)]
                rows.append([noise.name, name, prune, *_columns(found)])
    return rows


def _columns(found: list[Found]) -> list[str]:
    away, excess = (np.array([getattr(one, key) for one in found]) for key in ("away", "excess"))
    excess = excess * 1e4
    false, difference = np.array([one.is_false for one in found]), excess[:, 1] - excess[:, 0]
    return [
        f"{np.mean([one.runs for one in found]):.1f}",
        f"{away.mean():+.3f}",
        f"{away.std():.3f}",
        f"{excess.mean():.1f} ± {_error(excess.mean(axis=1)):.1f}",
        f"{np.quantile(excess, 0.95):.0f}",
        f"{difference.mean():+.1f} ± {_error(difference):.1f}",
        f"{false.mean():.3f} ± {_error(false):.3f}",
    ]


def _error(values: Any) -> float:
    return float(np.std(values)) / math.sqrt(len(values))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400, help="simulated studies per row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="file for the table")
    arguments = parser.parse_args()
    rows = pruning_table(arguments.studies, arguments.seed)
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    table = "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows[1:])])
    print(table)
    if arguments.save:
        arguments.save.write_text(
            f"# python tests/support/simulated_pruning.py --studies {arguments.studies} "
            f"--seed {arguments.seed}\n\n{table}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
