"""Main effects and interactions of the factors of a two-level design, with seeds as blocks.

The effect of a factor is the mean loss of the runs with it minus that of the runs without it. The
interaction of two factors is half of what one of them changes in the effect of the other, which
gives all effects of a design one standard error (Box, Hunter and Hunter 2005, Statistics for
Experimenters, 2nd edition, section 5.5).

Each seed runs all cells. Its contrast, the effect within the seed, is one observation: noise that
the cells of a seed share cancels, and nothing is assumed on how the noise of cells is related or
how large it is in each. An effect is tested by the one-sample test of its contrasts, and the
p-values of all main effects and two-factor interactions together are corrected by Holm's method;
see :mod:`lmlab.study.statistics`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from lmlab.design.two_level import Effect, TwoLevelDesign, order
from lmlab.study.sequential_test import Rule
from lmlab.study.statistics import ArmComparison, compare
from lmlab.study.t_test import Pairs

BySeed = Mapping[int, float]


@dataclasses.dataclass(frozen=True)
class EstimatedEffect:
    """An effect as the runs show it, together with its aliases.

    Attributes:
        effect: its factors.
        contrasts: its value within each seed, in the unit of the metric; negative is better.
        comparison: the statistics; None for effects of more than two factors, which get no verdict.
    """

    effect: Effect
    contrasts: tuple[float, ...]
    comparison: ArmComparison | None = None

    @property
    def estimate(self) -> float:
        """The mean over seeds."""
        return math.fsum(self.contrasts) / len(self.contrasts)

    @property
    def is_interaction(self) -> bool:
        """Whether it has several factors."""
        return order(self.effect) > 1


def complete_seeds(cells: Sequence[BySeed]) -> list[int]:
    """Return the seeds at which every cell has a loss, ascending."""
    return sorted(set.intersection(*(set(cell) for cell in cells)))


def estimate_effects(
    design: TwoLevelDesign, cells: Sequence[BySeed], rule: Rule
) -> list[EstimatedEffect]:
    """Estimate all effects that the runs separate, in the order of ``design.effects``.

    Args:
        design: the runs of the cells.
        cells: final losses by seed, in the order of ``design.runs``. Seeds that lack a cell are
            left out.
        rule: how the study decides.

    Returns:
        The effects; empty without a complete seed.
    """
    seeds = complete_seeds(cells)
    if not seeds:
        return []
    losses = np.array([[cell[seed] for cell in cells] for seed in seeds])
    contrasts = seed_contrasts(design, losses)
    found = [
        EstimatedEffect(effect, tuple(map(float, column)))
        for effect, column in zip(design.effects, contrasts.T, strict=True)
    ]
    tested = design.low_order_effects
    samples = [Pairs(one.contrasts) for one in found if one.effect in tested]
    compared = dict(zip(tested, compare(samples, rule, len(tested)), strict=True))
    return [dataclasses.replace(one, comparison=compared.get(one.effect)) for one in found]


def seed_contrasts(design: TwoLevelDesign, losses: np.ndarray) -> np.ndarray:
    """Return the contrast of each effect of ``design.effects`` within each seed.

    Args:
        design: the runs of the cells.
        losses: of shape (..., cells), the cells in the order of ``design.runs``.

    Returns:
        Contrasts of shape (..., effects), in the unit of the losses.
    """
    signs = np.array([design.contrast(effect) for effect in design.effects], dtype=float)
    return losses @ signs.T * (2 / design.num_runs)


def contrast_sd(run_sd: float, num_runs: int) -> float:
    """Return the standard deviation of a contrast within one seed.

    Args:
        run_sd: that of a run over seeds, beside noise that all cells of a seed share.
        num_runs: number of cells.
    """
    return 2 * run_sd / math.sqrt(num_runs)


def simple_effects(
    design: TwoLevelDesign, cells: Sequence[BySeed], factor: int, other: int
) -> tuple[list[float], list[float]]:
    """Return the effect of a factor within each seed, where another one is off and where it is on.

    Both are means over all other factors. Half of their difference is the interaction.
    """
    seeds = complete_seeds(cells)
    by_level: tuple[list[float], list[float]] = ([], [])
    for seed in seeds:
        for level, found in enumerate(by_level):
            sides: tuple[list[float], list[float]] = ([], [])
            for run, cell in zip(design.runs, cells, strict=True):
                if run[other] == bool(level):
                    sides[run[factor]].append(cell[seed])
            off, on = (math.fsum(side) / len(side) for side in sides)
            found.append(on - off)
    return by_level
