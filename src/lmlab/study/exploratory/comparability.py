"""Whether the losses of two groups of runs can be compared at all, and in what they are unequal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from lmlab.design.comparison import QUANTITIES, TOLERANCE, Comparison
from lmlab.design.fairness import Difference, find_differences
from lmlab.errors import ConfigError, UserError, suggestion
from lmlab.study.exploratory.run_group import RunGroup

# What may differ between runs that someone compares: it is marked. The others make losses averages
# over different tokens, or predictions from different contexts.
_MARKED = ("parameters", "flops", "tokens", "batches", "data", "tokenizer")
NEEDED = tuple(quantity for quantity in QUANTITIES if quantity not in _MARKED)


class NotComparable(UserError):
    """The losses of two groups of runs have no common meaning.

    Args:
        reasons: why, one sentence each.
        quantities: what differs, by names that ``allow`` takes.
    """

    exit_code = 1

    def __init__(self, reasons: Sequence[str], quantities: Collection[str]) -> None:
        listed = "\n  ".join(reasons)
        help = (
            "compare runs that were evaluated alike; allow="
            f"{','.join(quantities)} compares them nevertheless, and says so"
        )
        super().__init__(f"the runs cannot be compared:\n  {listed}", help)
        self.reasons = list(reasons)
        self.quantities = list(quantities)

    def __reduce__(self) -> tuple[type[NotComparable], tuple[list[str], list[str]]]:
        return NotComparable, (self.reasons, self.quantities)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for ``--json``."""
        return {"comparable": False, "reasons": self.reasons, "help": self.help}


def check_allowed(names: Collection[str]) -> None:
    """Raise :class:`ConfigError` for a name that ``allow`` does not take."""
    for name in names:
        if name not in NEEDED:
            raise ConfigError(
                f"allow={name}: expected some of {', '.join(NEEDED)}", suggestion(name, NEEDED)
            )


def design_of(
    a: RunGroup, b: RunGroup, *, margin: float, alpha: float, test: str, allow: Collection[str]
) -> Comparison:
    """Return the design that a comparison of two groups stands for.

    Args:
        a: the baseline.
        b: the arm.
        margin: largest difference that counts as none, in the unit of the metric.
        alpha: level of the test.
        test: ``auto``, ``t`` or ``sign_flips``.
        allow: of :data:`NEEDED`, what may differ nevertheless.
    """
    metric = "loss" if a.tokenizer == b.tokenizer else "bits_per_byte"
    return Comparison(
        question=f"Is {b.title} better than {a.title}?",
        arms={a.name: [], b.name: []}, baseline=a.name, replicate=None, lr="fixed", lr_factor=3.0,
        edge_ratio=None, at_baseline_lr=False, num_seeds=min(len(a.records), len(b.records)),
        num_tuning_seeds=1, extra_seeds=0, hold_tokens=False, solve_d_ff=False,
        tolerance=dict(TOLERANCE), allow=[*_MARKED, *allow], margin=margin, alpha=alpha, power=0.8,
        expected_sd=1.0, limits=[], metric=metric, test=test,
    )  # fmt: skip


def check_comparable(a: RunGroup, b: RunGroup, design: Comparison) -> list[Difference]:
    """Return the inequalities of two groups that do not forbid their comparison.

    Raises:
        NotComparable: they were evaluated on different text or tokens, or with different contexts.
    """
    costs = {group.name: group.costs() for group in (a, b)}
    found = find_differences(costs, design)
    refused = [one for one in found if not one.is_allowed]
    if refused:
        raise NotComparable(
            [one.description for one in refused], list(dict.fromkeys(r.quantity for r in refused))
        )
    return found
