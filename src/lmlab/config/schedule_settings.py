"""Parameters of a schedule that depend on each other, or on the number of steps."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

from lmlab.config.group_selection import is_set
from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError

log = logging.getLogger(__name__)

# Settings of which one replaces the other.
RIVALS = {
    "schedule.warmup": ("schedule.warmup_steps",),
    "schedule.warmup_steps": ("schedule.warmup",),
}


def check_ignored(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Check that every typed parameter of a schedule has an effect.

    Otherwise, arms that differ only in this parameter would be equal.

    Args:
        content: a resolved configuration.
        overrides: as typed; values that options and scales set may be replaced.

    Raises:
        ConfigError: another parameter replaces a typed one.
    """
    schedule = _lmlab_schedule(content)
    if schedule is None:
        return
    if schedule.get("warmup") is not None and is_set(overrides, "schedule", "warmup_steps"):
        raise _no_effect(schedule, "warmup_steps", "warmup", "null")
    if schedule.get("decay_fraction") == 0 and is_set(overrides, "schedule", "min_lr_ratio"):
        raise _no_effect(schedule, "min_lr_ratio", "decay_fraction", "0.2")


def check_rivals(schedule: Any) -> None:
    """Check that one file does not set both parameters. Raises :class:`ConfigError`."""
    both = ("warmup", "warmup_steps")
    if isinstance(schedule, dict) and all(schedule.get(name) is not None for name in both):
        raise _no_effect(schedule, "warmup_steps", "warmup", "null")


def fit_warmup(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Shorten a default ``schedule.warmup_steps`` to the steps before the decay, and log it.

    A typed value stays, and is checked later. Schedules of other packages stay, too.

    Args:
        content: a resolved configuration, changed in place.
        overrides: as typed.
    """
    schedule, steps = _lmlab_schedule(content), content.get("training", {}).get("steps")
    if schedule is None or not isinstance(steps, int) or steps <= 0:
        return
    warmup_steps, decay = schedule.get("warmup_steps"), schedule.get("decay_fraction", 0)
    if is_set(overrides, "schedule", "warmup_steps") or is_set(
        overrides, "schedule", "decay_fraction"
    ):
        return
    if schedule.get("warmup") is not None or not isinstance(warmup_steps, int):
        return
    longest = steps - round(decay * steps) if 0 <= decay <= 1 else steps
    if warmup_steps > longest:
        schedule["warmup_steps"] = longest
        _log_shortened(warmup_steps, longest, steps)


@functools.cache
def _log_shortened(warmup_steps: int, longest: int, steps: int) -> None:
    """Log the change, once per process."""
    log.warning(
        "the warm-up of %d steps does not fit into a run of %d: schedule.warmup_steps=%d; "
        "schedule.warmup=0.1 would be a tenth of the steps",
        warmup_steps, steps, longest,
    )  # fmt: skip


def _lmlab_schedule(content: dict[str, Any]) -> dict[str, Any] | None:
    """The schedule, if it is one of lmlab's."""
    schedule = content.get("schedule")
    if not isinstance(schedule, dict):
        return None
    is_lmlabs = str(schedule.get("_target_")).startswith("lmlab.optim.lr_schedule.")
    return schedule if is_lmlabs else None


def _no_effect(schedule: dict[str, Any], ignored: str, other: str, value: str) -> ConfigError:
    first, second = (f"schedule.{key}={format_value(schedule[key])}" for key in (ignored, other))
    return ConfigError(
        f"{first}: this has no effect with {second}",
        f"remove one of the two, or set schedule.{other}={value}",
    )
