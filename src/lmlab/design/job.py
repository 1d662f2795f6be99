"""One run that a study or sweep requires."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from lmlab.design.search import TrialOutcome


@dataclasses.dataclass(frozen=True, order=True)
class Job:
    """One run that a study requires.

    Attributes:
        arm: name of the arm in the study; on a ladder, of the cell of arm and rung.
        lr: peak learning rate chosen by the study; None for the configured one.
        seed: seed of initialization, data order and sampling.
        number: position in a plain sweep, where several runs may share an arm and a seed.
    """

    arm: str
    lr: float | None
    seed: int
    number: int = 0

    @property
    def name(self) -> str:
        """The name in messages and file names."""
        rate = "" if self.lr is None else f"+lr-{self.lr:g}"
        return f"{self.arm}{rate}/seed{self.seed}"


Outcomes = Mapping[Job, TrialOutcome]
