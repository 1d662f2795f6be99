"""The terms of a stream of ideas, fixed when its ledger is started."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from lmlab.config.rules import LARGEST_SEED
from lmlab.design.comparison import (
    FIRST_REPLICATE_SEED,
    FIRST_TUNING_SEED,
    METRICS,
    QUANTITIES,
)
from lmlab.design.ladder import FIXED, SEARCH
from lmlab.errors import Check, ConfigError, check_settings
from lmlab.study.idea_rule import IdeaRule
from lmlab.study.online_level import LEVELS

SHARED, FRESH = "shared", "fresh"
MOST_PAIRS = 50  # seeds that are set aside for each baseline, or each idea


@dataclasses.dataclass(frozen=True)
class Terms:
    """What holds for all ideas of a ledger.

    Attributes:
        name: of the ledger; its runs are in the study ``judge-NAME``.
        baseline: overrides of the first baseline.
        metric: ``loss`` or ``bits_per_byte``.
        margin: smallest improvement of interest, in the unit of the metric.
        level: of the control.
        control: ``fdr`` or ``fwer``; see :mod:`lmlab.study.online_level`.
        max_seeds: pairs after which a trial ends.
        drop_level: probability that an idea which improves by the margin is dropped.
        lr: ``search`` tunes the learning rate of each idea, ``fixed`` uses the configured one.
        num_tuning_seeds: runs per learning rate of a search.
        expected_sd: standard deviation of the final metric over seeds, for plans.
        seeds: ``shared``: all ideas against one baseline have its seeds; ``fresh``: each idea has
            seeds, and runs of the baseline, of its own.
        moves: whether an idea that is kept becomes the baseline.
        first_seed: the first seed that judges.
        allow: quantities in which an idea may differ from the baseline; see
            :class:`lmlab.design.comparison.Comparison`.
        final_text: file of the held-out text for the last word; None for none.
        pins: what evaluation depends on; see :mod:`lmlab.judge.pins`.

    Raises:
        ConfigError: a term is out of range.
    """

    name: str
    baseline: tuple[str, ...]
    margin: float
    metric: str = "loss"
    level: float = 0.05
    control: str = "fdr"
    max_seeds: int = 12
    drop_level: float = 0.05
    lr: str = SEARCH
    num_tuning_seeds: int = 1
    expected_sd: float = 0.01
    seeds: str = SHARED
    moves: bool = True
    first_seed: int = 0
    allow: tuple[str, ...] = ()
    final_text: str | None = None
    pins: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        def among(values: Any) -> str:
            return f"one of {', '.join(values)}"

        check_settings(
            Check(key, getattr(self, key), is_valid, expected)
            for key, is_valid, expected in [
                ("metric", self.metric in METRICS, among(METRICS)),
                ("margin", 0 <= self.margin < math.inf, "a finite number, 0 or more"),
                ("level", 0 < self.level < 1, "a number between 0 and 1"),
                ("drop_level", 0 < self.drop_level < 1, "a number between 0 and 1"),
                ("control", self.control in LEVELS, among(LEVELS)),
                ("max_seeds", 4 <= self.max_seeds <= MOST_PAIRS, f"4 to {MOST_PAIRS}"),
                ("lr", self.lr in (SEARCH, FIXED), among((SEARCH, FIXED))),
                ("num_tuning_seeds", 1 <= self.num_tuning_seeds <= 100, "1 to 100"),
                ("seeds", self.seeds in (SHARED, FRESH), among((SHARED, FRESH))),
                ("allow", set(self.allow) <= set(QUANTITIES), f"some of {', '.join(QUANTITIES)}"),
            ]
        )
        self._check_seeds()

    def _check_seeds(self) -> None:
        last = FIRST_REPLICATE_SEED - 1
        if FIRST_TUNING_SEED - MOST_PAIRS < self.first_seed <= last or self.first_seed < 0:
            raise ConfigError(
                f"first_seed={self.first_seed}: the {MOST_PAIRS} seeds from there on overlap with "
                f"those that tune the learning rate, {FIRST_TUNING_SEED} to {last}: no rate is "
                "judged on a seed that chose it",
                f"set first_seed to 0, to {FIRST_REPLICATE_SEED}, or to another seed outside",
            )

    @property
    def study(self) -> str:
        """The study that holds the runs."""
        return f"judge-{self.name}"

    @property
    def unit(self) -> str:
        """The unit of the metric."""
        return METRICS[self.metric]

    @property
    def rule(self) -> IdeaRule:
        """How trials are decided."""
        return IdeaRule(self.margin, self.max_seeds, self.drop_level)

    def level_of(self, number: int, keeps: int) -> float:
        """Return the level of idea ``number``, from 1, after ``keeps`` ideas were kept."""
        return LEVELS[self.control](self.level, number, keeps)

    def seeds_of_block(self, block: int) -> list[int]:
        """Return the seeds that block ``block``, from 0, may use, in order.

        Blocks never overlap, and none has a seed that tunes learning rates.

        Raises:
            ConfigError: the largest seed is reached.
        """
        first = self.first_seed + block * MOST_PAIRS
        if self.first_seed < FIRST_TUNING_SEED:
            room = (FIRST_TUNING_SEED - self.first_seed) // MOST_PAIRS
            if block >= room:
                first = FIRST_REPLICATE_SEED + (block - room) * MOST_PAIRS
        if first + self.max_seeds > LARGEST_SEED:
            raise ConfigError(
                f"first_seed={self.first_seed}: no seeds are left below {LARGEST_SEED}",
                "start another ledger",
            )
        return list(range(first, first + self.max_seeds))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self) | {
            "baseline": list(self.baseline), "allow": list(self.allow)
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Terms:
        """Invert :meth:`as_dict`; further keys are ignored."""
        names = {field.name for field in dataclasses.fields(cls)}
        kept = {key: value for key, value in content.items() if key in names}
        return cls(
            **kept | {"baseline": tuple(kept["baseline"]), "allow": tuple(kept.get("allow", ()))}
        )
