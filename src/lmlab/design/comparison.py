"""The declaration of a study: which arms are compared with which baseline, and how."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from lmlab.errors import ConfigError, did_you_mean

# Seeds of different use are disjoint: a learning rate is never judged on the seeds that chose it.
FIRST_TUNING_SEED = 1000
FIRST_REPLICATE_SEED = 2000
_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
QUANTITIES = (
    "parameters", "flops", "tokens", "batches", "context", "evaluation", "data", "tokenizer",
)  # fmt: skip

# What runs may be compared in, and its unit; each is a key of a validation row.
METRICS = {"loss": "nats a token", "bits_per_byte": "bits a byte"}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A study in which arms are compared with a baseline.

    Attributes:
        question: what the study asks, for its report.
        arms: for each arm the overrides that make it, the baseline's among them.
        baseline: the arm that all others are compared with; None compares nothing.
        replicate: name of an arm to add that is the baseline on other seeds; None for none. Its
            verdict must be "no difference": a check of the study itself.
        lr: ``search`` finds each arm's own best learning rate on seeds of their own, ``fixed``
            takes the one that is configured.
        lr_factor: ratio of neighbouring rates on the coarse grid of the search.
        edge_ratio: the divergence edge is known when the least rate that diverged is at most so
            many times the largest that trained.
        at_baseline_lr: also compare each arm at the baseline's best rate.
        num_seeds: runs that judge an arm; the first is the configured ``seed``.
        num_tuning_seeds: runs at each rate of the search.
        extra_seeds: more runs for arms that the first seeds leave undecided, added once.
        hold_tokens: set each arm's steps such that it sees as many tokens as the baseline.
        solve_d_ff: where an arm's parameters lie outside the tolerance, set its ``model.d_ff`` such
            that they match the baseline's.
        tolerance: relative difference from the baseline that counts as equal, by quantity:
            ``parameters``, ``flops`` (a token), ``tokens``, ``evaluation`` tokens.
        allow: quantities that may differ, marked in the report: those above, ``batches``,
            ``context``, ``data``, ``tokenizer``.
        margin: differences up to this much count as none.
        alpha: chance of any false better or worse in the study.
        power: chance of finding the difference that the plan promises to find.
        expected_sd: of a run's final metric over seeds, for the plan; earlier runs
            of the baseline take its place where there are some.
        limits: what the study does not show.
        metric: ``loss``, or ``bits_per_byte`` where the arms' tokenizers differ, so that a token is
            not the same for all. ``margin`` and ``expected_sd`` are in its unit.

    Raises:
        ConfigError: a field is out of its range.
    """

    question: str
    arms: dict[str, list[str]]
    baseline: str | None
    replicate: str | None
    lr: str
    lr_factor: float
    edge_ratio: float
    at_baseline_lr: bool
    num_seeds: int
    num_tuning_seeds: int
    extra_seeds: int
    hold_tokens: bool
    solve_d_ff: bool
    tolerance: dict[str, float]
    allow: list[str]
    margin: float
    alpha: float
    power: float
    expected_sd: float
    limits: list[str]
    metric: str = "loss"

    def __post_init__(self) -> None:
        names = list(self.arms)
        rules = [
            ("arms", bool(names), "at least one"),
            ("lr", self.lr in ("search", "fixed"), "search or fixed"),
            ("lr_factor", self.lr_factor > 1, "above 1"),
            ("edge_ratio", self.edge_ratio > 1, "above 1"),
            ("num_seeds", self.num_seeds >= 1, "1 or more"),
            ("num_tuning_seeds", self.num_tuning_seeds >= 1, "1 or more"),
            ("extra_seeds", self.extra_seeds >= 0, "0 or more"),
            (
                "extra_seeds",
                self.extra_seeds == 0 or self.num_seeds >= 2,
                "0 with design.num_seeds=1, since a second look needs a first",
            ),
            ("margin", self.margin >= 0, "0 or more"),
            ("alpha", 0 < self.alpha < 1, "between 0 and 1"),
            ("power", 0 < self.power < 1, "between 0 and 1"),
            ("expected_sd", self.expected_sd > 0, "above 0"),
            ("metric", self.metric in METRICS, " or ".join(METRICS)),
            ("replicate", self.replicate is None or self.replicate not in names, "a new name"),
        ]
        for key, fine, accepted in rules:
            if not fine:
                raise ConfigError(f"design.{key}={getattr(self, key)}: accepted is {accepted}")
        for name in [*names, *([self.replicate] if self.replicate else [])]:
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"design.arms.{name}: accepted as a name are letters, digits and . _ -"
                )
        if self.baseline is not None and self.baseline not in names:
            raise ConfigError(
                f"design.baseline={self.baseline}: accepted are {', '.join(names)}"
                f"{did_you_mean(self.baseline, names)}"
            )
        if self.replicate is not None and self.baseline is None:
            raise ConfigError(f"design.replicate={self.replicate}: it needs design.baseline")
        for key in (*self.allow, *self.tolerance):
            if key not in QUANTITIES:
                raise ConfigError(
                    f"design: there is no quantity {key}; accepted are {', '.join(QUANTITIES)}"
                    f"{did_you_mean(key, QUANTITIES)}"
                )

    @property
    def compared(self) -> list[str]:
        """The arms that get a verdict, the replicate last."""
        if self.baseline is None:
            return []
        arms = [name for name in self.arms if name != self.baseline]
        return [*arms, *([self.replicate] if self.replicate else [])]

    @property
    def judged(self) -> list[str]:
        """All arms that are trained on the judging seeds."""
        return [*self.arms, *([self.replicate] if self.replicate else [])]

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return dataclasses.asdict(self)
