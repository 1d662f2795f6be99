"""An isoFLOP study as its report needs it."""

from __future__ import annotations

import dataclasses
import functools

from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladders.isoflop import IsoflopResult
from lmlab.study.ladders.isoflop_facts import CompleteBudgets, analyse_known, complete_budgets
from lmlab.study.run_records import Study


@dataclasses.dataclass(frozen=True)
class IsoflopStudy:
    """An isoFLOP study, read from its records.

    Attributes:
        ladder_study: its records and its losses by size and budget.
    """

    ladder_study: LadderStudy

    @classmethod
    def of(cls, study: Study) -> IsoflopStudy:
        """Return the isoFLOP study of a study that declares one."""
        return cls(LadderStudy.of(study))

    @functools.cached_property
    def budgets(self) -> CompleteBudgets:
        """The runs of the complete budgets."""
        return complete_budgets(self.ladder_study.facts, self.ladder_study.study.arm_costs)

    @functools.cached_property
    def result(self) -> IsoflopResult | None:
        """What the budgets show; None where they show nothing yet."""
        return analyse_known(self.ladder_study.facts, list(self.budgets.budgets.values()))
