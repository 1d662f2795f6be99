"""A factorial study as its report needs it: its records, and the effects that they show."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Mapping

from lmlab.design.factorial import Factorial
from lmlab.design.factorial_rates import RateModel, best_cell, checking_jobs, rate_model
from lmlab.design.job import Job
from lmlab.design.ladder import TRANSFER
from lmlab.design.manifest import Manifest
from lmlab.design.two_level import TwoLevelDesign
from lmlab.study.decision_rules import decision_rule
from lmlab.study.factorials.effects import EstimatedEffect, complete_seeds, estimate_effects
from lmlab.study.factorials.lenth import Lenth, lenth
from lmlab.study.factorials.one_at_a_time import OneAtATime, one_at_a_time
from lmlab.study.matched_runs import BySeed, known_losses, lost_by_cause
from lmlab.study.run_records import Study
from lmlab.study.sequential_test import Rule
from lmlab.study.verdicts import final_outcomes


@dataclasses.dataclass(frozen=True)
class RateCheck:
    """The runs that check the predicted rate of the best cell.

    Attributes:
        cell: name of the cell.
        rate: the predicted rate.
        means: mean loss at each rate over the seeds that all of them have, ascending in the rate.
        seeds: number of these seeds.
    """

    cell: str
    rate: float
    means: Mapping[float, float]
    seeds: int

    @property
    def regret(self) -> float:
        """Mean loss at the predicted rate above the lowest of the three."""
        return self.means[self.rate] - min(self.means.values())


@dataclasses.dataclass(frozen=True)
class FactorialStudy:
    """A factorial study, read from its records.

    Attributes:
        study: its records.
    """

    study: Study

    @property
    def manifest(self) -> Manifest:
        """What was submitted."""
        assert self.study.manifest is not None
        return self.study.manifest

    @property
    def factorial(self) -> Factorial:
        """The declaration."""
        assert self.manifest.factorial is not None
        return self.manifest.factorial

    @property
    def design(self) -> TwoLevelDesign:
        """The combinations that are run."""
        return self.factorial.design

    @property
    def rule(self) -> Rule:
        """How the study decides."""
        assert self.manifest.comparison is not None  # it knows of earlier looks
        return decision_rule(self.manifest.comparison)

    @functools.cached_property
    def outcomes(self) -> dict[str, BySeed]:
        """The results of the judging runs of each cell by seed, in standard order."""
        return {
            cell: final_outcomes(self.manifest, self.study.outcomes, cell)
            for cell in self.factorial.cells
        }

    @functools.cached_property
    def losses(self) -> dict[str, dict[int, float]]:
        """The final losses of each cell by seed, where they are known."""
        return {cell: known_losses(found) for cell, found in self.outcomes.items()}

    @functools.cached_property
    def seeds(self) -> list[int]:
        """The seeds at which every cell has a loss."""
        return complete_seeds(list(self.losses.values()))

    @functools.cached_property
    def lost(self) -> dict[str, dict[str, list[int]]]:
        """The cells of which seeds have no loss although they ended, with these by cause.

        The seeds that remain are then a selection, and support no verdict.
        """
        found = {cell: lost_by_cause(one) for cell, one in self.outcomes.items()}
        return {cell: {k: list(v) for k, v in one.items()} for cell, one in found.items() if one}

    @functools.cached_property
    def untrainable(self) -> list[str]:
        """The cells that diverged at every rate tried, or whose rate could not be predicted."""
        return [
            cell
            for cell in self.factorial.cells
            if self.manifest.is_untrainable(cell, self.study.outcomes)
        ]

    @functools.cached_property
    def effects(self) -> list[EstimatedEffect]:
        """All effects, those of low order first; empty without a complete seed."""
        return estimate_effects(self.design, list(self.losses.values()), self.rule)

    @functools.cached_property
    def lenth(self) -> Lenth | None:
        """The noise of the effects by their own size; None for few effects."""
        return lenth([one.estimate for one in self.effects], self.factorial.alpha)

    @functools.cached_property
    def one_at_a_time(self) -> OneAtATime | None:
        """What the cells next to the baseline would have said; None without verdicts."""
        if self.lost:
            return None
        return one_at_a_time(self.design, list(self.losses.values()), self.rule)

    @functools.cached_property
    def best(self) -> str | None:
        """The cell with the lowest mean loss; None while judging runs are missing."""
        return best_cell(self.manifest, self.study.outcomes)

    @functools.cached_property
    def model(self) -> RateModel | None:
        """The model that predicts learning rates; None where none does, or does yet."""
        if self.factorial.lr != TRANSFER or not any(
            map(self.factorial.predicts, self.factorial.cells)
        ):
            return None
        return rate_model(self.manifest, self.study.outcomes)

    @functools.cached_property
    def check(self) -> RateCheck | None:
        """What the runs beside the predicted rate of the best cell show; None before they have."""
        jobs = checking_jobs(self.manifest, self.study.outcomes)
        if not jobs or self.best is None:
            return None
        found: dict[float, dict[int, float]] = {}
        for job in jobs:
            assert job.lr is not None
            found.setdefault(job.lr, {})
            outcome = self.study.outcomes.get(Job(job.arm, job.lr, job.seed))
            if outcome is None or not outcome.is_final:
                return None
            if outcome.loss is not None:
                found[job.lr][job.seed] = outcome.loss
        rate = self.manifest.judged_lr(self.best, self.study.outcomes)
        assert rate is not None
        kept = {lr: losses for lr, losses in found.items() if len(losses) == len(found[rate])}
        seeds = len(found[rate])
        means = {lr: statistics.fmean(kept[lr].values()) for lr in sorted(kept)}
        return RateCheck(self.best, rate, means, seeds) if seeds else None
