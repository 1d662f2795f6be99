"""The declaration of a factorial study: factors that are on or off, in all combinations or a part.

A combination is a cell: an arm of a comparison whose baseline has all factors off. Fairness, seeds
and searches are therefore those of :class:`lmlab.design.comparison.Comparison`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from lmlab.design.comparison import TESTS, Comparison, pairs_needed
from lmlab.design.factor_levels import Levels, read_levels
from lmlab.design.ladder import FIXED, SEARCH, TRANSFER
from lmlab.design.two_level import (
    MOST_FACTORS,
    ROMAN,
    TwoLevelDesign,
    fraction,
    from_generators,
    full_design,
    of_resolution,
)
from lmlab.errors import Check, ConfigError, check_settings

BASELINE = "baseline"
MOST_CELLS = 128
_FRACTIONS = tuple(2**halvings for halvings in range(MOST_FACTORS))
_LONGEST_CELL = 60  # characters of the name of an arm


@dataclasses.dataclass(frozen=True)
class Factorial:
    """A study of factors, each of which is off or on.

    Attributes:
        question: the question that the report answers.
        factors: the overrides of each factor where it is on; or a pair of lists, where it is off
            and where it is on.
        fraction: run one cell in so many: 1 for all combinations, 2 for half of them.
        resolution: run the smallest fraction of at least this resolution; None for ``fraction``.
        generators: the factors of a fraction that are products of others, such as
            ``e=-a*b*c*d``; empty for minimum aberration.
        lr: ``search`` tunes the learning rate of each cell; ``transfer`` that of some, from which
            main effects of the factors on its logarithm predict the others', checked at the best
            cell; ``fixed`` uses the configured one.
        lr_factor: ratio of neighbouring rates on the coarse grid of a search, and of those that
            check a predicted rate.
        edge_ratio: see :class:`lmlab.design.comparison.Comparison`.
        confirm_rate: see :class:`lmlab.design.comparison.Comparison`.
        num_seeds: seeds, each of which runs all cells.
        num_tuning_seeds: runs per learning rate of a search, and of a check.
        solve_d_ff: where the parameters of a cell are outside the tolerance, set its
            ``model.d_ff`` to match those of the baseline.
        tolerance: relative difference from the baseline that counts as equal.
        allow: quantities that may differ and are then marked in the report.
        margin: largest effect that counts as none.
        alpha: probability of one or more false claims on main effects and two-factor interactions.
        power: probability of detecting the effect that the plan states.
        expected_sd: standard deviation of the final metric over seeds, for the plan.
        limits: what the study does not show.
        metric: see :class:`lmlab.design.comparison.Comparison`.
        test: of the contrasts of the seeds; see :class:`lmlab.design.comparison.Comparison`.

    Raises:
        ConfigError: a field is out of range, or no such fraction exists.
    """

    question: str
    factors: dict[str, Any]
    fraction: int
    resolution: int | None
    generators: list[str]
    lr: str
    lr_factor: float
    edge_ratio: float | None
    confirm_rate: str
    num_seeds: int
    num_tuning_seeds: int
    solve_d_ff: bool
    tolerance: dict[str, float]
    allow: list[str]
    margin: float
    alpha: float
    power: float
    expected_sd: float
    limits: list[str]
    metric: str
    test: str

    def __post_init__(self) -> None:
        number = len(self.factors)
        rules = [
            ("factors", 2 <= number <= MOST_FACTORS, f"2 to {MOST_FACTORS} factors"),
            ("lr", self.lr in (SEARCH, TRANSFER, FIXED), "search, transfer or fixed"),
            ("test", self.test in TESTS, f"one of {', '.join(TESTS)}"),
            ("fraction", self.fraction in _FRACTIONS, "a power of two, such as 2 for half"),
            (
                "resolution",
                self.resolution is None or 3 <= self.resolution <= MOST_FACTORS,
                f"3 to {MOST_FACTORS}, or null",
            ),
            (
                "resolution",
                self.resolution is None or (self.fraction == 1 and not self.generators),
                "null with design.fraction or design.generators, which determine it",
            ),
            (
                "generators",
                not self.generators or self.fraction in (1, 2 ** len(self.generators)),
                f"a list of as many as design.fraction={self.fraction} has halvings",
            ),
        ]
        check_settings(
            Check(f"design.{key}", getattr(self, key), is_valid, expected)
            for key, is_valid, expected in rules
        )
        _ = self.levels  # checks names and overrides
        self._check_cells()
        if self.test == "auto":
            suffice = self.num_seeds >= pairs_needed(self.alpha / self.family)
            object.__setattr__(self, "test", "sign_flips" if suffice else "t")
        _ = self.comparison  # checks the settings that it shares

    def _check_cells(self) -> None:
        design = self.design
        if not any(run == (False,) * len(design.names) for run in design.runs):
            raise ConfigError(
                f"design.generators={self.generators}: expected a fraction that has the baseline, "
                f"all factors off; found {design.defining_relation()}",
                "reverse the sign of a generator: e=-a*b*c*d for an even number of factors, "
                "d=a*b*c for an odd one",
            )
        if design.num_runs > MOST_CELLS:
            raise ConfigError(
                f"design.fraction={self.fraction}: expected at most {MOST_CELLS} cells, found "
                f"{design.num_runs}",
                "set design.resolution=5, which keeps main effects and two-factor interactions "
                "apart",
            )
        longest = max(self.cells, key=len)
        if len(longest) > _LONGEST_CELL:
            raise ConfigError(
                f"design.factors: expected names that give cells of at most {_LONGEST_CELL} "
                f"letters, found {longest}",
                "shorten the names of the factors",
            )

    @functools.cached_property
    def levels(self) -> Levels:
        """The overrides of each factor where it is off and where it is on."""
        return read_levels(self.factors, "factors", (BASELINE,))

    @functools.cached_property
    def design(self) -> TwoLevelDesign:
        """The combinations that are run."""
        names = list(self.factors)
        if self.generators:
            return from_generators(names, self.generators)
        if self.resolution is not None:
            return of_resolution(names, self.resolution)
        halvings = self.fraction.bit_length() - 1
        return fraction(names, halvings) if halvings else full_design(names)

    @functools.cached_property
    def cells(self) -> dict[str, tuple[bool, ...]]:
        """By name of each cell, which factors of ``design`` are on; in standard order."""
        names = self.design.names
        return {
            "-".join(name for name, on in zip(names, run, strict=True) if on) or BASELINE: run
            for run in self.design.runs
        }

    @functools.cached_property
    def arms(self) -> dict[str, list[str]]:
        """The overrides of each cell, those of the factors in the order of their declaration."""
        found = {}
        for cell, run in self.cells.items():
            is_on = dict(zip(self.design.names, run, strict=True))
            found[cell] = [
                text for name, levels in self.levels.items() for text in levels[is_on[name]]
            ]
        return found

    @property
    def searched_cells(self) -> list[str]:
        """The cells whose learning rate is searched."""
        if self.lr == FIXED:
            return []
        cells = list(self.cells)
        if self.lr == SEARCH:
            return cells
        return [cells[run] for run in self.design.orthogonal_subset]

    def predicts(self, cell: str) -> bool:
        """Return whether the learning rate of a cell is predicted from those of others."""
        return self.lr == TRANSFER and cell not in self.searched_cells

    @property
    def family(self) -> int:
        """Number of main effects and two-factor interactions, whose verdicts share ``alpha``."""
        return len(self.design.low_order_effects)

    @functools.cached_property
    def comparison(self) -> Comparison:
        """The cells as arms of a comparison with the baseline."""
        return Comparison.with_settings_of(
            self,
            arms=self.arms,
            baseline=next(cell for cell, run in self.cells.items() if not any(run)),
            replicate=None,
            lr=FIXED if self.lr == FIXED else SEARCH,
            at_baseline_lr=False,
            extra_seeds=0,
            hold_tokens=False,
        )

    @property
    def shown_design(self) -> str:
        """The design in one phrase: ``2^(5-1), resolution V``."""
        number, basic = len(self.factors), self.design.num_basic
        if number == basic:
            return f"2^{number}, all combinations"
        assert self.design.resolution is not None
        return f"2^({number}-{number - basic}), resolution {ROMAN[self.design.resolution]}"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Factorial:
        """Invert :meth:`as_dict`."""
        return cls(**content)
