"""When a study looks at its arms: after a fixed number of seeds, or after every one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmlab.design.comparison import Comparison

FIXED, SEQUENTIAL = "fixed", "sequential"
LOOKS = (FIXED, SEQUENTIAL)

# Looking after every seed has the power of a fixed number of them with a quarter more at most;
# docs/verdicts.md has the simulation.
_MORE_SEEDS = 1.25

# Settings of a sequential study and their defaults, which no fixed study lists in its manifest.
DEFAULTS: dict[str, Any] = {
    "look": FIXED, "min_seeds": 3, "max_seeds": None, "futility": 0.05, "max_runs": None,
    "max_minutes": None,
}  # fmt: skip


def first_seeds(design: Comparison) -> int:
    """Return the number of seeds that every arm gets before the first look."""
    return design.min_seeds if design.is_sequential else design.num_seeds


def most_seeds(design: Comparison) -> int:
    """Return the number of seeds that an arm gets at most."""
    fixed = design.num_seeds + design.extra_seeds
    if not design.is_sequential:
        return fixed
    if design.max_seeds is not None:
        return design.max_seeds
    return max(math.ceil(_MORE_SEEDS * fixed), design.min_seeds)


def look_rules(design: Comparison) -> list[tuple[str, bool, str]]:
    """Return a rule for each setting: its name, whether it holds, and what is expected."""
    is_sequential = design.is_sequential
    rules = [
        ("look", design.look in LOOKS, " or ".join(LOOKS)),
        (
            "look",
            not is_sequential or design.baseline is not None,
            "fixed without design.baseline: there is nothing to decide",
        ),
        ("min_seeds", design.min_seeds >= 2, "2 or more: one pair has no spread"),
        (
            "max_seeds",
            design.max_seeds is None or design.max_seeds >= design.min_seeds,
            f"design.min_seeds={design.min_seeds} or more, or null",
        ),
        ("futility", 0 <= design.futility < 1, "a probability below 1; 0 for never"),
        ("max_runs", design.max_runs is None or design.max_runs >= 1, "1 or more, or null"),
        (
            "max_minutes",
            design.max_minutes is None or 0 < design.max_minutes < math.inf,
            "a number of minutes above 0, or null",
        ),
        (
            "test",
            not is_sequential or design.test != "sign_flips",
            "t or auto with design.look=sequential: few pairs have too few signs to look often",
        ),
    ]
    rules += [
        (
            name,
            is_sequential or getattr(design, name) == default,
            f"{_shown(default)} with design.look=fixed, which does not use it",
        )
        for name, default in DEFAULTS.items()
        if name != "look"
    ]
    return rules


def _shown(value: Any) -> str:
    return "null" if value is None else f"{value:g}"
