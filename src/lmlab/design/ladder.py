"""The declaration of a ladder: arms that are compared with a baseline at growing compute."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

from lmlab.design.comparison import Comparison
from lmlab.design.rungs import Rung
from lmlab.errors import Check, ConfigError, check_settings

SEARCH, TRANSFER, FIXED = "search", "transfer", "fixed"
GAINS, ISOFLOP = "gains", "isoflop"
MIN_SIZES = 3  # of a parabola
MIN_SEALED_RUNGS = 4  # a power law with an asymptote has three constants, so three rungs below


@dataclasses.dataclass(frozen=True)
class Ladder:
    """A study that compares arms with a baseline on several rungs.

    Attributes:
        question: the question that the report answers.
        analysis: ``gains`` of arms over the baseline; or ``isoflop``, where the rungs are budgets
            of compute, the arms are sizes, and the best size of each budget is sought.
        arms: the overrides of each arm, including the baseline.
        baseline: the arm that all others are compared with.
        replicate: name of an additional arm that repeats the baseline on other seeds; None for
            none. Its gain is 1 at every rung, which checks the study itself.
        lr: ``search`` tunes the learning rate of each arm on each rung, ``transfer`` on the lowest
            ones, and predicts it above by a power law of the size; ``fixed`` uses the configured
            one everywhere.
        search_rungs: with ``transfer``, number of rungs on which rates are searched.
        at_lowest_lr: also train the highest rung at the best rate of the lowest.
        lr_factor: ratio of neighbouring rates on the coarse grid of a search, and of those that
            bracket a transferred rate at the highest rung.
        edge_ratio: see :class:`lmlab.design.comparison.Comparison`.
        confirm_rate: see :class:`lmlab.design.comparison.Comparison`.
        num_seeds: runs per arm and rung: a number, or one for each rung from the lowest.
        num_tuning_seeds: runs per learning rate of a search.
        solve_d_ff: on each rung, where the parameters of an arm are outside the tolerance, set its
            ``model.d_ff`` to match those of the baseline.
        tolerance: relative difference between arms on a rung that counts as equal.
        allow: quantities that may differ between arms and are then marked in the report.
        alpha: probability of one or more false claims of a difference in the study; intervals of
            gains have the level ``1 - alpha`` too.
        margin: gain beyond 1 that counts as no difference, in both directions: 0.05 for 1/1.05 to
            1.05.
        steady: a gain holds if it changes by at most this part of its logarithm over the ladder.
        power: probability with which an advised rung, or advised seeds, should decide.
        max_factor: largest factor of compute beyond the highest rung of which anything is said.
        entropy: known entropy of the text in nats per token, a lower bound of the asymptote; 0
            where it is not known.
        expected_sd: standard deviation of the final loss over seeds at the lowest rung, for the
            plan.
        loss_margin: in nats: a searched rate needs no confirmation where its excess loss is a small
            part of it.
        limits: what the study does not show.
        generator: the node ``ladder``; set by lmlab, as are ``rungs`` and ``sealed`` from it.
        rungs: from the lowest.
        sealed: whether forecasts of the highest rung are written before it starts.

    Raises:
        ConfigError: a field is out of range.
    """

    question: str
    analysis: str
    arms: dict[str, list[str]]
    baseline: str
    replicate: str | None
    lr: str
    search_rungs: int
    at_lowest_lr: bool
    lr_factor: float
    edge_ratio: float | None
    confirm_rate: str
    num_seeds: int | list[int]
    num_tuning_seeds: int
    solve_d_ff: bool
    tolerance: dict[str, float]
    allow: list[str]
    alpha: float
    margin: float
    steady: float
    power: float
    max_factor: float
    entropy: float
    expected_sd: float
    loss_margin: float
    limits: list[str]
    generator: dict[str, Any] = dataclasses.field(default_factory=dict)
    rungs: tuple[Rung, ...] = ()
    sealed: bool = True

    def __post_init__(self) -> None:
        check_settings(
            Check(f"design.{key}", getattr(self, key), is_valid, expected)
            for key, is_valid, expected in self._rules()
        )
        # Checks the names of arms, and the settings that rungs share with comparisons.
        self._comparison(self.arms, self.baseline, self.replicate, 0)
        if self.rungs:
            self._check_rungs()

    def _rules(self) -> list[tuple[str, bool, str]]:
        seeds = self.num_seeds if isinstance(self.num_seeds, list) else [self.num_seeds]
        return [
            ("analysis", self.analysis in (GAINS, ISOFLOP), "gains or isoflop"),
            ("lr", self.lr in (SEARCH, TRANSFER, FIXED), "search, transfer or fixed"),
            (
                "lr",
                self.lr != TRANSFER or self.analysis == GAINS,
                "search or fixed with design=isoflop; model.param=mup keeps the best rate in place",
            ),
            (
                "arms",
                len(self.arms) >= MIN_SIZES or self.analysis == GAINS,
                f"{MIN_SIZES} sizes or more with design=isoflop",
            ),
            ("search_rungs", self.search_rungs >= 2, "2 or more, for a law of two constants"),
            (
                "num_seeds",
                bool(seeds) and all(isinstance(one, int) and one >= 2 for one in seeds),
                "2 or more, or a list with one such number for each rung",
            ),
            ("margin", 0 < self.margin < math.inf, "a finite number above 0, such as 0.05"),
            ("steady", 0 < self.steady <= 1, "a number above 0 and up to 1"),
            ("max_factor", 1 <= self.max_factor < math.inf, "a finite number of 1 or more"),
            ("loss_margin", 0 <= self.loss_margin < math.inf, "a finite number, 0 or more"),
            ("entropy", 0 <= self.entropy < math.inf, "a finite number, 0 or more"),
        ]

    def _check_rungs(self) -> None:
        number = len(self.rungs)
        if isinstance(self.num_seeds, list) and len(self.num_seeds) != number:
            raise ConfigError(
                f"design.num_seeds={self.num_seeds}: expected {number} numbers, one for each rung "
                "from the lowest",
                f"give {number} numbers, or one for all rungs",
            )
        if self.lr == TRANSFER and self.search_rungs >= number:
            raise ConfigError(
                f"design.search_rungs={self.search_rungs}: expected 2 to {number - 1}, fewer than "
                f"the {number} rungs",
                "set design.lr=search to search on all rungs",
            )
        if self.sealed and self.analysis == ISOFLOP:
            raise ConfigError(
                "ladder.sealed=true: expected false with design=isoflop, whose sizes have no gains "
                "to forecast",
                "set ladder.sealed=false",
            )
        if self.sealed and number < MIN_SEALED_RUNGS:
            raise ConfigError(
                f"ladder.sealed=true: expected {MIN_SEALED_RUNGS} rungs or more, found {number}; "
                "the forecast fits a power law of three constants to the rungs below the highest",
                "add rungs, or set ladder.sealed=false",
            )
        for lower, upper in itertools.pairwise(self.rungs):
            if upper.flops <= lower.flops:
                raise ConfigError(
                    f"ladder.rungs: expected growing training compute, found {lower.flops:.3g} and "
                    f"then {upper.flops:.3g} FLOPs",
                    "order the rungs by their compute; training.flops or training.tokens belong in "
                    "ladder.rungs, where each rung has its own",
                )

    def seeds(self, rung: int) -> int:
        """Return the number of seeds on a rung, counted from 0."""
        return self.num_seeds[rung] if isinstance(self.num_seeds, list) else self.num_seeds

    def searches(self, rung: int) -> bool:
        """Return whether learning rates are searched on a rung."""
        return self.lr == SEARCH or (self.lr == TRANSFER and rung < self.search_rungs)

    @property
    def judged_arms(self) -> list[str]:
        """All arms that are trained on every rung, with the replicate last."""
        return [*self.arms, *([self.replicate] if self.replicate else [])]

    @property
    def compared_arms(self) -> list[str]:
        """The arms that get a verdict, with the replicate last."""
        return [arm for arm in self.judged_arms if arm != self.baseline]

    @property
    def family(self) -> int:
        """Number of arms whose verdicts share ``alpha``: all compared ones but the replicate."""
        return len([arm for arm in self.compared_arms if arm != self.replicate])

    @property
    def cells(self) -> dict[str, tuple[int, str]]:
        """Rung, from 0, and arm of each cell by its name, in the order of the rungs."""
        return {
            cell_name(rung, arm): (rung, arm)
            for rung in range(len(self.rungs))
            for arm in self.judged_arms
        }

    def on_rung(self, rung: int) -> Comparison:
        """Return the comparison of the cells of a rung, counted from 0."""
        cells = {cell_name(rung, arm): overrides for arm, overrides in self.arms.items()}
        replicate = None if self.replicate is None else cell_name(rung, self.replicate)
        return self._comparison(cells, cell_name(rung, self.baseline), replicate, rung)

    def _comparison(
        self, arms: dict[str, list[str]], baseline: str, replicate: str | None, rung: int
    ) -> Comparison:
        return Comparison.with_settings_of(
            self,
            arms=arms,
            baseline=baseline,
            replicate=replicate,
            lr=SEARCH if self.searches(rung) else FIXED,
            at_baseline_lr=False,
            num_seeds=self.seeds(rung),
            extra_seeds=0,
            hold_tokens=False,
            margin=self.loss_margin,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self) | {"rungs": [rung.as_dict() for rung in self.rungs]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Ladder:
        """Invert :meth:`as_dict`."""
        rungs = tuple(Rung.from_dict(rung) for rung in content["rungs"])
        return cls(**{**content, "rungs": rungs})


def cell_name(rung: int, arm: str) -> str:
    """Return the name of an arm on a rung, counted from 0: ``r1-nope`` on the lowest."""
    return f"r{rung + 1}-{arm}"
