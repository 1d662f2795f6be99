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


def first_seeds(looks: Comparison) -> int:
    """Return the number of seeds that every arm gets before the first look."""
    return looks.min_seeds if looks.look == SEQUENTIAL else looks.num_seeds


def most_seeds(looks: Comparison) -> int:
    """Return the number of seeds that an arm gets at most."""
    fixed = looks.num_seeds + looks.extra_seeds
    if looks.look != SEQUENTIAL:
        return fixed
    return max(math.ceil(_MORE_SEEDS * fixed), looks.min_seeds) if looks.max_seeds is None else (
        looks.max_seeds
    )  # fmt: skip


def look_rules(looks: Comparison) -> list[tuple[str, bool, str]]:
    """Return a rule for each setting: its name, whether it holds, and what is expected."""
    is_sequential = looks.look == SEQUENTIAL
    rules = [
        ("look", looks.look in LOOKS, " or ".join(LOOKS)),
        (
            "look",
            not is_sequential or looks.baseline is not None,
            "fixed without design.baseline: there is nothing to decide",
        ),
        ("min_seeds", looks.min_seeds >= 2, "2 or more: one pair has no spread"),
        (
            "max_seeds",
            looks.max_seeds is None or looks.max_seeds >= looks.min_seeds,
            f"design.min_seeds={looks.min_seeds} or more, or null",
        ),
        ("futility", 0 <= looks.futility < 1, "a probability below 1; 0 for never"),
        ("max_runs", looks.max_runs is None or looks.max_runs >= 1, "1 or more, or null"),
        (
            "max_minutes",
            looks.max_minutes is None or 0 < looks.max_minutes < math.inf,
            "a number of minutes above 0, or null",
        ),
        (
            "test",
            not is_sequential or looks.test != "sign_flips",
            "t or auto with design.look=sequential: few pairs have too few signs to look often",
        ),
    ]
    rules += [
        (name, is_sequential or getattr(looks, name) == default, "none with design.look=fixed")
        for name, default in DEFAULTS.items()
        if default is None
    ]
    return rules
