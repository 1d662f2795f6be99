"""What a study of one part at a time would have said, read from the cells next to the baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from lmlab.design.two_level import TwoLevelDesign
from lmlab.study.factorials.effects import BySeed, complete_seeds
from lmlab.study.sequential_test import Rule
from lmlab.study.statistics import ArmComparison, compare
from lmlab.study.t_test import Pairs

BETTER = "better"


@dataclasses.dataclass(frozen=True)
class OneAtATime:
    """The effect of each factor with all others off, and what follows from these alone.

    Attributes:
        alone: by factor, the cell with that factor alone against the baseline.
        kept: the factors that it would keep: those whose verdict is better.
        promised: per seed, the sum of the differences of the kept factors.
        found: per seed, the difference of the cell with exactly these factors from the baseline;
            empty where no run has them.
    """

    alone: Mapping[int, ArmComparison]
    kept: tuple[int, ...]
    promised: tuple[float, ...]
    found: tuple[float, ...]


def one_at_a_time(design: TwoLevelDesign, cells: Sequence[BySeed], rule: Rule) -> OneAtATime | None:
    """Judge each factor by its own cell, as a study of one part at a time does.

    Args:
        design: the runs of the cells, the first one with all factors off.
        cells: final losses by seed, in the order of ``design.runs``.
        rule: how the study decides; its level is shared by the factors.

    Returns:
        The result; None where the design lacks a cell with one factor alone, as most fractions do,
        or where fewer than two seeds are complete.
    """
    number = len(design.names)
    place = {run: position for position, run in enumerate(design.runs)}
    singles = [place.get(_levels(number, [factor])) for factor in range(number)]
    seeds = complete_seeds(cells)
    if None in singles or len(seeds) < 2:
        return None
    base = cells[place[_levels(number, [])]]
    differences = [
        [cells[position][seed] - base[seed] for seed in seeds]
        for position in singles
        if position is not None
    ]
    compared = compare([Pairs(one) for one in differences], rule)
    kept = tuple(factor for factor, one in enumerate(compared) if one.verdict == BETTER)
    joint = place.get(_levels(number, kept))
    return OneAtATime(
        dict(enumerate(compared)),
        kept,
        tuple(sum(differences[factor][index] for factor in kept) for index in range(len(seeds))),
        () if joint is None else tuple(cells[joint][seed] - base[seed] for seed in seeds),
    )


def _levels(number: int, on: Sequence[int]) -> tuple[bool, ...]:
    return tuple(factor in on for factor in range(number))
