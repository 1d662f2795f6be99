"""Parameters of a schedule that depend on each other, or on the number of steps."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.group_selection import is_set
from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError

log = logging.getLogger(__name__)

# Lengths of the warm-up that replace schedule.warmup_steps.
_OTHER_WARMUPS = ("warmup", "warmup_tokens")
_WARMUPS = ("warmup_steps", *_OTHER_WARMUPS)
# Settings of which one replaces the others.
RIVALS = {
    f"schedule.{name}": tuple(f"schedule.{other}" for other in _WARMUPS if other != name)
    for name in _WARMUPS
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
    for name in _OTHER_WARMUPS:
        if schedule.get(name) is not None and is_set(overrides, "schedule", "warmup_steps"):
            raise _no_effect(schedule, "warmup_steps", name, "null")
    for name in ("min_lr_ratio", "decay_shape"):
        if schedule.get("decay_fraction") == 0 and is_set(overrides, "schedule", name):
            raise _no_effect(schedule, name, "decay_fraction", "0.2")


def check_rivals(schedule: Any) -> None:
    """Check that one file does not set two lengths. Raises :class:`ConfigError`."""
    given = [name for name in _WARMUPS if isinstance(schedule, dict) and _is_given(schedule, name)]
    if len(given) > 1:
        raise _no_effect(schedule, given[0], given[1], "null")


def has_other_warmup(schedule: Mapping[str, Any]) -> bool:
    """Whether a length of the warm-up replaces ``warmup_steps``, which then has no effect."""
    return any(_is_given(schedule, name) for name in _OTHER_WARMUPS)


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
    if has_other_warmup(schedule) or not isinstance(warmup_steps, int):
        return
    longest = steps - round(decay * steps) if 0 <= decay <= 1 else steps
    if warmup_steps > longest:
        schedule["warmup_steps"] = longest
        _log_shortened(warmup_steps, longest, steps)


def _is_given(schedule: Mapping[str, Any], name: str) -> bool:
    return schedule.get(name) is not None


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
