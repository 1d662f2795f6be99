"""Refuse a setting that another one replaces, so that runs which differ in it are no two arms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError

# Settings of which one replaces the other.
RIVALS = {
    "schedule.warmup": "schedule.warmup_steps",
    "schedule.warmup_steps": "schedule.warmup",
}


def check_ignored(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Check that every typed parameter of a schedule has an effect.

    Args:
        content: a resolved configuration.
        overrides: as typed; values that options and scales bring may be replaced.

    Raises:
        ConfigError: a typed parameter has no effect beside another one.
    """
    schedule = content.get("schedule")
    if not isinstance(schedule, dict):
        return
    if not str(schedule.get("_target_")).startswith("lmlab.optim.lr_schedule."):
        return
    if schedule.get("warmup") is not None:
        _refuse(schedule, "warmup_steps", "warmup", "null", overrides)
    if schedule.get("decay_fraction") == 0:
        _refuse(schedule, "min_lr_ratio", "decay_fraction", "0.2", overrides)


def check_rivals(schedule: Any) -> None:
    """Check that one file does not set both parameters. Raises :class:`ConfigError`."""
    both = ("warmup", "warmup_steps")
    if isinstance(schedule, dict) and all(schedule.get(name) is not None for name in both):
        raise _error(schedule, "warmup_steps", "warmup", "null")


def _refuse(
    schedule: dict[str, Any], ignored: str, other: str, value: str, overrides: Sequence[str]
) -> None:
    if any(_sets(override, ignored) for override in overrides):
        raise _error(schedule, ignored, other, value)


def _error(schedule: dict[str, Any], ignored: str, other: str, value: str) -> ConfigError:
    given, beside = (f"schedule.{name}={format_value(schedule[name])}" for name in (ignored, other))
    return ConfigError(
        f"{given}: this has no effect beside {beside}",
        f"remove one of the two, or set schedule.{other}={value}",
    )


def _sets(override: str, name: str) -> bool:
    """Whether an override sets the parameter, alone or in a mapping."""
    key, _, value = override.lstrip("+").partition("=")
    in_mapping = key == "schedule" and re.search(rf"[{{,]\s*{name}\s*:", value) is not None
    return key.replace("/", ".") == f"schedule.{name}" or in_mapping
