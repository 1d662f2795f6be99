"""What each change of a stack is worth beside the others, and all of them together.

A change is worth what its removal adds to the loss. If changes did not act on each other, these
would add up to what the whole stack is worth: the loss without any change minus that of the stack.
The sum exceeds the whole where changes need each other, so that each removal loses more than its
share; it falls short where they can stand in for one another. Sum, whole and their difference are
taken within each seed and tested by the t test over seeds, as all differences of a study are.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from lmlab.design.leave_one_out import PLAIN, STACK, LeaveOneOut
from lmlab.design.manifest import Manifest
from lmlab.study.factorials.effects import complete_seeds
from lmlab.study.matched_runs import known_losses
from lmlab.study.run_records import Study
from lmlab.study.t_test import Estimate, Pairs
from lmlab.study.verdicts import OWN_RATE, Verdict, final_outcomes

EARNS, HARMS, IDLE = "earns its place", "does harm", "can go"
_LABELS = {"worse": EARNS, "diverged": EARNS, "better": HARMS, "no difference": IDLE}


@dataclasses.dataclass(frozen=True)
class StackStudy:
    """A stack of changes taken apart, read from its records.

    Attributes:
        study: its records.
        verdicts: on its arms, against the whole stack.
    """

    study: Study
    verdicts: Sequence[Verdict]

    @property
    def manifest(self) -> Manifest:
        """What was submitted."""
        assert self.study.manifest is not None
        return self.study.manifest

    @property
    def design(self) -> LeaveOneOut:
        """The declaration."""
        assert self.manifest.leave_one_out is not None
        return self.manifest.leave_one_out

    @functools.cached_property
    def by_change(self) -> dict[str, Verdict]:
        """The verdict on the arm that leaves out each change."""
        own = {one.arm: one for one in self.verdicts if one.at == OWN_RATE}
        return {name: own[arm] for arm, name in self.design.left_out.items() if arm in own}

    def label(self, change: str) -> str:
        """Return what follows for a change; the verdict on its arm where nothing follows."""
        label = self.by_change[change].label
        return _LABELS.get(label, label)

    @functools.cached_property
    def losses(self) -> dict[str, dict[int, float]]:
        """The final losses of each arm by seed, without the replicate."""
        return {
            arm: known_losses(final_outcomes(self.manifest, self.study.outcomes, arm))
            for arm in self.design.arms
        }

    @functools.cached_property
    def seeds(self) -> list[int]:
        """The seeds at which every arm has a loss."""
        return complete_seeds(list(self.losses.values()))

    @property
    def parts(self) -> list[float]:
        """The sum of what each change is worth, by seed."""
        return [
            sum(self.losses[arm][seed] - self.losses[STACK][seed] for arm in self.design.left_out)
            for seed in self.seeds
        ]

    @property
    def whole(self) -> list[float]:
        """What all changes are worth together, by seed."""
        return [self.losses[PLAIN][seed] - self.losses[STACK][seed] for seed in self.seeds]

    @property
    def lost_arms(self) -> list[str]:
        """The arms with runs that ended without a loss, whose other seeds are a selection."""
        return [
            arm
            for arm in self.design.arms
            if any(
                one.has_diverged
                for one in final_outcomes(self.manifest, self.study.outcomes, arm).values()
            )
        ]

    def sums(self) -> tuple[Estimate, Estimate, Estimate] | None:
        """Return the sum of the parts, the whole, and the sum minus the whole.

        None with fewer than two complete seeds, or where a run diverged.
        """
        if len(self.seeds) < 2 or self.lost_arms:
            return None
        parts, whole = self.parts, self.whole
        gaps = [a - b for a, b in zip(parts, whole, strict=True)]
        return Pairs(parts).estimate(), Pairs(whole).estimate(), Pairs(gaps).estimate()
