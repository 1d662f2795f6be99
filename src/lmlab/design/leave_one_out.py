"""The declaration of a study that takes a finished stack of changes apart.

The baseline is the whole stack. Each arm leaves one change out, and one more leaves out all of
them. Verdicts, seeds, fairness and searches are those of
:class:`lmlab.design.comparison.Comparison`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from lmlab.design.comparison import Comparison
from lmlab.design.factor_levels import Levels, read_levels
from lmlab.errors import Check, check_settings

STACK, PLAIN = "stack", "plain"


@dataclasses.dataclass(frozen=True)
class LeaveOneOut:
    """A study of which changes of a stack still earn their place.

    Attributes:
        question: the question that the report answers.
        changes: the overrides of each change; or a pair of lists, without it and with it.
        replicate: see :class:`lmlab.design.comparison.Comparison`; it repeats the stack.
        lr: ``search`` tunes the learning rate of each arm, ``fixed`` uses the configured one.
        lr_factor: see :class:`lmlab.design.comparison.Comparison`, as for all settings below.
        edge_ratio: see there.
        confirm_rate: see there.
        num_seeds: see there.
        num_tuning_seeds: see there.
        extra_seeds: see there.
        solve_d_ff: see there; parameters are matched to those of the stack.
        tolerance: relative difference from the stack that counts as equal, by quantity.
        allow: see there.
        margin: largest difference that counts as none: what a change must be worth.
        alpha: see there.
        power: see there.
        expected_sd: see there.
        limits: what the study does not show.
        metric: see there.
        test: see there.

    Raises:
        ConfigError: a field is out of range.
    """

    question: str
    changes: dict[str, Any]
    replicate: str | None
    lr: str
    lr_factor: float
    edge_ratio: float | None
    confirm_rate: str
    num_seeds: int
    num_tuning_seeds: int
    extra_seeds: int
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
        is_valid = len(self.changes) >= 2
        check_settings([Check("design.changes", self.changes, is_valid, "two changes or more")])
        _ = self.comparison  # checks names, overrides and the settings that it shares

    @functools.cached_property
    def levels(self) -> Levels:
        """The overrides without each change and with it."""
        return read_levels(self.changes, "changes", (STACK, PLAIN))

    @property
    def left_out(self) -> dict[str, str]:
        """The change that each arm leaves out, by name of the arm."""
        return {f"without-{name}": name for name in self.changes}

    @functools.cached_property
    def arms(self) -> dict[str, list[str]]:
        """The overrides of the stack, of each arm without one change, and of the plain model."""
        names = set(self.levels)
        kept = {STACK: names}
        kept |= {arm: names - {name} for arm, name in self.left_out.items()}
        kept[PLAIN] = set()
        return {
            arm: [text for name, both in self.levels.items() for text in both[name in own]]
            for arm, own in kept.items()
        }

    @functools.cached_property
    def comparison(self) -> Comparison:
        """The arms, compared with the whole stack."""
        return Comparison.with_settings_of(
            self, arms=self.arms, baseline=STACK, at_baseline_lr=False, hold_tokens=False
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LeaveOneOut:
        """Invert :meth:`as_dict`."""
        return cls(**content)
