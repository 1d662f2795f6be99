"""What the records of a ladder establish: losses and costs by arm and rung, and their analysis.

The report, the seal and the forecast of a ladder take these facts from here.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Mapping

from lmlab.design.job import Job, Outcomes
from lmlab.design.ladder import ISOFLOP, Ladder, cell_name
from lmlab.design.ladder_runs import has_no_rate, judged_rate
from lmlab.design.manifest import Manifest
from lmlab.design.search import FAILED_TO_LEARN, TrialOutcome, collapsed_seeds
from lmlab.study.ladders.ladder_losses import LadderLosses
from lmlab.study.ladders.ladder_rates import LadderRates, ladder_rates
from lmlab.study.ladders.ladder_verdict import LadderRule
from lmlab.study.ladders.scaling import LadderResult, analyse_ladder

Costs = Mapping[str, list[float]]  # by arm and rung


@dataclasses.dataclass(frozen=True)
class Cell:
    """The runs that judge an arm on a rung.

    Attributes:
        rung: counted from 0.
        arm: name of the arm.
        rate: learning rate at which the arm is judged; None while it is not known, and where the
            optimizer has none.
        outcomes: results by seed; runs that collapsed failed to learn.
        is_untrainable: whether every rate of a search that its rate comes from diverged.
    """

    rung: int
    arm: str
    rate: float | None
    outcomes: Mapping[int, TrialOutcome]
    is_untrainable: bool

    @property
    def losses(self) -> dict[int, float]:
        """Final losses by seed, of the runs that have one."""
        return {seed: one.loss for seed, one in self.outcomes.items() if one.loss is not None}

    @property
    def mean(self) -> float | None:
        """Mean final loss; None without any."""
        return statistics.fmean(self.losses.values()) if self.losses else None

    @property
    def sd(self) -> float | None:
        """Standard deviation of the final losses over seeds; None for fewer than two."""
        return statistics.stdev(self.losses.values()) if len(self.losses) > 1 else None

    @property
    def num_lost(self) -> int:
        """Number of finished runs without a loss that counts."""
        return sum(one.has_diverged for one in self.outcomes.values())

    @property
    def is_complete(self) -> bool:
        """Whether the arm was trained with all of its seeds."""
        return bool(self.outcomes) and all(one.is_final for one in self.outcomes.values())


@dataclasses.dataclass(frozen=True)
class LadderFacts:
    """The results of a ladder so far.

    Attributes:
        manifest: of the ladder.
        outcomes: results of its runs.
        flops: training FLOPs of each arm by rung.
        rates: its learning rates.
    """

    manifest: Manifest
    outcomes: Outcomes
    flops: Costs
    rates: LadderRates

    @property
    def ladder(self) -> Ladder:
        """The declaration."""
        assert self.manifest.ladder is not None
        return self.manifest.ladder

    @functools.cached_property
    def cells(self) -> dict[str, list[Cell]]:
        """The cells of each arm, from the lowest rung."""
        return {
            arm: [self._cell(rung, arm) for rung in range(len(self.ladder.rungs))]
            for arm in self.ladder.judged_arms
        }

    def _cell(self, rung: int, arm: str) -> Cell:
        name = cell_name(rung, arm)
        rate = judged_rate(self.manifest, name, self.outcomes)
        missing = TrialOutcome("missing")
        found = {
            seed: self.outcomes.get(Job(name, rate, seed), missing)
            for seed in self.manifest.rungs[rung].evaluation_seeds(name)
        }
        for seed in collapsed_seeds(found):
            found[seed] = dataclasses.replace(found[seed], status=FAILED_TO_LEARN, loss=None)
        is_untrainable = has_no_rate(self.manifest, name, self.outcomes)
        return Cell(rung, arm, rate, found, is_untrainable)

    @functools.cached_property
    def num_complete(self) -> int:
        """Number of rungs, from the lowest, on which no run is missing."""
        for rung in range(len(self.ladder.rungs)):
            cells = [cells[rung] for cells in self.cells.values()]
            if not all(cell.is_complete or cell.is_untrainable for cell in cells):
                return rung
        return len(self.ladder.rungs)

    def lost_arms(self, num_rungs: int) -> dict[str, list[int]]:
        """Return the arms that are not analysed, with the rungs on which they lack two losses."""
        found = {
            arm: [cell.rung for cell in cells[:num_rungs] if len(cell.losses) < 2]
            for arm, cells in self.cells.items()
        }
        return {arm: rungs for arm, rungs in found.items() if rungs}

    def losses(self, num_rungs: int, costs: Costs | None = None) -> LadderLosses | None:
        """Return the losses of the lowest rungs; None where they show nothing.

        Args:
            num_rungs: number of rungs, from the lowest.
            costs: of each arm by rung; None for the training FLOPs.

        Returns:
            None for fewer than two rungs, without the baseline, where costs do not grow from rung
            to rung, and for a mean loss of 0, of which no power law tells anything.
        """
        if num_rungs < 2:
            return None
        costs = self.flops if costs is None else costs
        lost = self.lost_arms(num_rungs)
        arms = [arm for arm in self.cells if arm not in lost]
        grows = all(
            low < high
            for arm in arms
            for low, high in zip(costs[arm][: num_rungs - 1], costs[arm][1:num_rungs], strict=True)
        )
        if self.ladder.baseline not in arms or not grows:
            return None
        cells = {arm: self.cells[arm][:num_rungs] for arm in arms}
        floor = min(cell.mean for row in cells.values() for cell in row if cell.mean is not None)
        if floor <= 0:
            return None
        return LadderLosses(
            losses={arm: [cell.losses for cell in row] for arm, row in cells.items()},
            cost={arm: costs[arm][:num_rungs] for arm in arms},
            rate_variance={
                arm: row[:num_rungs]
                for arm, row in self.rates.loss_variances.items()
                if arm in arms
            },
            floor=min(self.ladder.entropy, math.nextafter(floor, 0.0)),
        )

    @property
    def rule(self) -> LadderRule:
        """How verdicts are made."""
        return LadderRule(
            alpha=self.ladder.alpha,
            margin=math.log1p(self.ladder.margin),
            tolerance=self.ladder.steady,
            power=self.ladder.power,
            max_factor=self.ladder.max_factor,
        )

    def analyse(
        self, num_rungs: int | None = None, costs: Costs | None = None
    ) -> LadderResult | None:
        """Return what the lowest rungs show of gains; None where they show nothing.

        An isoFLOP study shows no gains: its arms are sizes, of which none is to beat another.

        Args:
            num_rungs: number of rungs, from the lowest; None for all that are complete.
            costs: of each arm by rung; None for the training FLOPs.
        """
        if self.ladder.analysis == ISOFLOP:
            return None
        losses = self.losses(self.num_complete if num_rungs is None else num_rungs, costs)
        if losses is None:
            return None
        replicate = self.ladder.replicate if self.ladder.replicate in losses.arms else None
        return analyse_ladder(
            losses, self.ladder.baseline, self.rule, replicate, self.ladder.family,
            self.ladder.alpha,
        )  # fmt: skip


def ladder_facts(
    manifest: Manifest, outcomes: Outcomes, arm_costs: Mapping[str, Mapping[str, float]]
) -> LadderFacts:
    """Return the results of a ladder so far.

    Args:
        manifest: of the ladder.
        outcomes: results of its runs.
        arm_costs: what ``facts.json`` holds, by cell; the compute of the baseline stands in for
            that of a cell it lacks.
    """
    ladder = manifest.ladder
    assert ladder is not None
    flops: dict[str, list[float]] = {}
    for arm in ladder.judged_arms:
        source = ladder.baseline if arm == ladder.replicate else arm
        found = [arm_costs.get(cell_name(rung, source)) for rung in range(len(ladder.rungs))]
        flops[arm] = [
            float(rung.flops) if cost is None else 3.0 * cost["flops"] * cost["tokens"]
            for rung, cost in zip(ladder.rungs, found, strict=True)
        ]
    rates = ladder_rates(manifest, outcomes)
    return LadderFacts(manifest, outcomes, flops, rates)
