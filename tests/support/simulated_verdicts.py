"""False verdicts of simulated studies in which no arm differs, by noise, arms and kind of study.

    python tests/support/simulated_verdicts.py --save FILE

Everything but the training is real: the search for the rates, the looks, and the verdicts. It takes
a quarter of an hour to half an hour on two cores. With ``--basins``, a minute, the table is of arms
that are equally good at their best rates, whose losses depend on the rate in different ways; it
shows what the confirmation of searched rates changes. The results of both are in docs/verdicts.md.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import math
import sys
import time
import unittest.mock
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.design.comparison import Comparison
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome
from lmlab.study.verdicts import Verdict, judge, undecided_arms
from lmlab.study.waves import follow_waves

SHARED_SD, RUN_SD = 0.008, 0.01  # nats per token
MAX_EXTENSION = 20  # seeds that somebody who follows the advice of a report adds at most
Chance = np.random.Generator

# Noise of the runs of one configuration on ``number`` seeds, with mean zero and standard deviation
# 1 but for the breakdowns. The noise of "skewed" differs between baseline and arms.
NOISES: dict[str, Callable[[Chance, int, bool], Any]] = {
    "normal": lambda chance, number, _: chance.normal(size=number),
    "t, 3 degrees": lambda chance, number, _: chance.standard_t(3, number) / math.sqrt(3),
    "exponential": lambda chance, number, _: chance.exponential(size=number) - 1,
    "exponential, arms only": lambda chance, number, is_arm: (
        chance.exponential(size=number) - 1 if is_arm else np.zeros(number)
    ),
    "correlated 0.2": lambda chance, number, _: (
        math.sqrt(0.2) * chance.normal() + math.sqrt(0.8) * chance.normal(size=number)
    ),
    "1 in 50 breaks down": lambda chance, number, _: (
        chance.normal(size=number) + 100 * (chance.random(number) < 1 / 50)
    ),
}
_NUM_NOISE = 64  # seeds for which noise is drawn beforehand; the seeds of a study are fewer


@dataclasses.dataclass(frozen=True)
class StudyKind:
    """A way to run a study: its seeds, and whether it searches for rates or follows advice."""

    name: str
    num_seeds: int
    extra_seeds: int = 0
    is_search: bool = False
    follows_advice: bool = False


KINDS = [
    StudyKind("5 seeds", 5),
    StudyKind("5, then 5 more", 5, 5),
    StudyKind("5, then as advised", 5, follows_advice=True),
    StudyKind("10 seeds", 10),
    StudyKind("5 seeds, rates searched for", 5, is_search=True),
]
ARMS = (1, 3, 8)


@dataclasses.dataclass(frozen=True)
class Basin:
    """The loss against x = log(rate / best rate): ``curvature * x^2``, times ``above`` for x > 0.

    Training diverges from ``edge`` on. ``bend`` makes it steeper towards the edge of divergence, as
    real curves are.
    """

    curvature: float = 0.05
    above: float = 1.0
    bend: float = 0.0
    edge: float = 1.8

    def loss(self, away: float) -> float:
        """Return the loss at ``away`` = x above that of the best rate."""
        steep = self.above if away > 0 else 1.0
        return self.curvature * away**2 * steep * (1 + self.bend * max(away, 0.0))


USUAL = Basin(bend=0.3)
# The basins of a baseline and an arm.
BASINS = {
    "both symmetric": (Basin(), Basin()),
    "as in the other table": (USUAL, USUAL),
    "arm 5 times as steep above": (Basin(), Basin(above=5)),
    "both 10 times as steep above": (Basin(0.15, above=10), Basin(0.15, above=10)),
    "arm narrow, 10 times as steep above": (Basin(), Basin(0.3, above=10)),
    "arm narrow, 20 times as steep above": (Basin(), Basin(0.3, above=20)),
    "arm narrow, diverges just above": (Basin(), Basin(0.3, edge=0.1)),
}


def a_study(arms: int, extra_seeds: int = 0, margin: float = 0.02, **changes: Any) -> Manifest:
    """Return a study of ``arms`` arms and a baseline, ``arm0``."""
    fields: dict[str, Any] = {
        "question": "?", "arms": {f"arm{i}": [] for i in range(arms + 1)}, "baseline": "arm0",
        "replicate": None, "lr": "search", "lr_factor": math.sqrt(10), "edge_ratio": 1.5,
        "at_baseline_lr": False, "num_seeds": 5, "num_tuning_seeds": 2,
        "extra_seeds": extra_seeds, "hold_tokens": False, "solve_d_ff": False, "tolerance": {},
        "allow": [], "margin": margin, "alpha": 0.05, "power": 0.8, "expected_sd": 0.01,
        "limits": [], "test": "auto",
    }  # fmt: skip
    design = Comparison(**(fields | changes))
    content = {"optim": {"lr": 3e-3}, "seed": 0, "seeds": {}}
    return Manifest(
        "study", "", [content] * (arms + 1), list(design.arms), [[]] * (arms + 1), design
    )


class SimulatedRuns:
    """The runs of one simulated study, which have the same result however often one is asked for.

    Args:
        effects: true difference of each arm from the baseline.
        chance: source of the study's random numbers.
        noise: name of the noise of the runs.
        depends_on_rate: whether the loss depends on the learning rate.
        basins: how it does, for the baseline and for the arms.
    """

    def __init__(
        self,
        effects: Sequence[float],
        chance: Chance,
        noise: str = "normal",
        depends_on_rate: bool = True,
        basins: tuple[Basin, Basin] = (USUAL, USUAL),
    ) -> None:
        self._basins = basins
        self._depends_on_rate = depends_on_rate
        self._chance, self._noise = chance, NOISES[noise]
        self._shared = chance.normal(0, SHARED_SD, 4000)
        start = chance.uniform(math.log(5e-3), math.log(2e-2))
        names = [f"arm{i}" for i in range(len(effects) + 1)]
        self._best = {name: start + chance.uniform(-0.3, 0.3) for name in names}
        self._effect = dict(zip(names, [0.0, *effects], strict=True))
        self._drawn: dict[tuple[str, float], Any] = {}
        self.outcomes: dict[Job, TrialOutcome] = {}

    def run_all(self, manifest: Manifest) -> list[Verdict]:
        """Run what the study requires, at every look, and return its verdicts."""
        undecided: frozenset[str] = frozenset()
        assert manifest.comparison is not None
        for look in (1, 2):
            while fresh := [
                job
                for job in manifest.required_jobs(self.outcomes, undecided)
                if job not in self.outcomes
            ]:
                self.outcomes |= {job: self._run(job) for job in fresh}
            if look == 1 and manifest.comparison.extra_seeds:
                undecided = undecided_arms(manifest, self.outcomes)
                if not undecided:
                    break
        return judge(manifest, self.outcomes)

    def run_waves(self, manifest: Manifest) -> None:
        """Run what a sequential study requires, wave by wave."""
        while True:
            granted = follow_waves(manifest, self.outcomes).seeds
            required = manifest.required_jobs(self.outcomes, granted=granted)
            fresh = [job for job in required if job not in self.outcomes]
            if not fresh:
                return
            self.outcomes |= {job: self._run(job) for job in fresh}

    def best(self, arm: str) -> float:
        """Return the logarithm of the best rate of an arm."""
        return self._best[arm]

    def true_loss(self, arm: str, rate: float | None) -> float:
        """Return the expected loss of an arm at a rate, above that at its best rate."""
        assert rate is not None
        return self._basins[arm != "arm0"].loss(math.log(rate) - self._best[arm])

    def _run(self, job: Job) -> TrialOutcome:
        assert job.lr is not None
        away = math.log(job.lr) - self._best[job.arm] if self._depends_on_rate else 0.0
        basin = self._basins[job.arm != "arm0"]
        if away > basin.edge:
            return TrialOutcome("diverged", None, 7.0)
        key = job.arm, job.lr
        if key not in self._drawn:
            self._drawn[key] = self._noise(self._chance, _NUM_NOISE, job.arm != "arm0")
        noise = self._shared[job.seed] + RUN_SD * self._drawn[key][job.seed % _NUM_NOISE]
        loss = 3 + self._effect[job.arm] + basin.loss(away) + noise
        return TrialOutcome("done", loss, 7.0)


# Advice changes no verdict, and takes most of the time.
NO_ADVICE = unittest.mock.patch("lmlab.study.statistics.seeds_to_decide_later", lambda *_: 0)


def is_false(kind: StudyKind, arms: int, noise: str, chance: Chance) -> bool:
    """Run one study in which no arm differs; return whether it finds any arm better or worse.

    Its margin is 0, so that no difference is too small to be called one.
    """
    lr = "search" if kind.is_search else "fixed"
    study = a_study(
        arms, kind.extra_seeds, margin=0.0, lr=lr, num_seeds=kind.num_seeds, confirm_rate="auto"
    )
    runs = SimulatedRuns([0.0] * arms, chance, noise, depends_on_rate=kind.is_search)
    with contextlib.nullcontext() if kind.follows_advice else NO_ADVICE:
        found = runs.run_all(study)
    if kind.follows_advice and not _any_false(found):
        advised = [
            verdict.comparison.more_seeds
            for verdict in found
            if verdict.comparison and verdict.comparison.more_seeds
        ]
        if advised:
            seeds = kind.num_seeds + min(max(advised), MAX_EXTENSION)
            longer = a_study(
                arms, margin=0.0, lr=lr, num_seeds=seeds, earlier_looks=[kind.num_seeds]
            )
            found = runs.run_all(longer)
    return _any_false(found)


def search_for_rates(
    basins: tuple[Basin, Basin], policy: str, chance: Chance
) -> tuple[bool, int, float]:
    """Run one study of a baseline and an arm that are equally good at their best rates.

    Args:
        basins: of the baseline and of the arm.
        policy: ``design.confirm_rate``.
        chance: source of random numbers.

    Returns:
        Whether the arm was called better or worse, the number of runs, and by how much the true
        loss of the arm at its rate exceeds that of the baseline.
    """
    study = a_study(1, margin=0.0, confirm_rate=policy)
    runs = SimulatedRuns([0.0], chance, basins=basins)
    (found,) = runs.run_all(study)
    return (
        _any_false([found]),
        len(runs.outcomes),
        runs.true_loss("arm1", found.lr) - runs.true_loss("arm0", found.baseline_lr),
    )


def basin_table(studies: int, seed: int) -> list[list[str]]:
    """Return false verdicts, number of runs and difference by basins and ``confirm_rate``."""
    policies = ("never", "auto", "always")
    rows = [["basins", *(f"{policy}: false verdicts, runs, difference" for policy in policies)]]
    for row, (name, basins) in enumerate(BASINS.items()):
        cells = []
        for policy in policies:
            chance = np.random.default_rng([seed, row])
            found = [search_for_rates(basins, policy, chance) for _ in range(studies)]
            false, runs, difference = (
                np.array(column, float) for column in zip(*found, strict=True)
            )
            cells.append(
                f"{_with_error(false)}, {runs.mean():.1f}, {difference.mean():+.4f} ± "
                f"{difference.std() / math.sqrt(studies):.4f}"
            )
        rows.append([name, *cells])
    return rows


def _with_error(false: Any) -> str:
    rate = false.mean()
    return f"{rate:.3f} ± {math.sqrt(rate * (1 - rate) / len(false)):.3f}"


def _any_false(verdicts: Sequence[Verdict]) -> bool:
    return any(verdict.label in ("better", "worse") for verdict in verdicts)


def noise_table(studies: int, seed: int) -> list[list[str]]:
    """Return false verdicts by noise, number of arms and kind of study; uses all cores."""
    labels = [(noise, arms) for noise in NOISES for arms in ARMS]
    cells = [
        (kind, arms, noise, studies, (seed, row, column))
        for row, (noise, arms) in enumerate(labels, 1)
        for column, kind in enumerate(KINDS, 2)
    ]
    start, texts = time.monotonic(), []
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for text in pool.map(false_verdicts, *zip(*cells, strict=True)):
            texts.append(text)
            left = (time.monotonic() - start) / len(texts) * (len(cells) - len(texts))
            print(f"{len(texts)} of {len(cells)} cells, {left / 60:.0f} min left", file=sys.stderr)
    rows = [["noise of the runs", "arms", *(kind.name for kind in KINDS)]]
    for row, (noise, arms) in enumerate(labels):
        rows.append([noise, str(arms), *texts[row * len(KINDS) : (row + 1) * len(KINDS)]])
    return rows


def false_verdicts(
    kind: StudyKind, arms: int, noise: str, studies: int, seed: tuple[int, ...]
) -> str:
    """Return the share of studies with a false verdict and its standard error."""
    chance = np.random.default_rng(seed)
    return _with_error(np.array([is_false(kind, arms, noise, chance) for _ in range(studies)]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500, help="simulated studies per cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--basins", action="store_true", help="the table of basins")
    parser.add_argument("--save", type=Path, help="file for the table")
    arguments = parser.parse_args()
    make = basin_table if arguments.basins else noise_table
    rows = make(arguments.studies, arguments.seed)
    table = "\n".join(
        [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
        + [f"| {' | '.join(row)} |" for row in rows[1:]]
    )
    print(table)
    if arguments.save:
        arguments.save.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
