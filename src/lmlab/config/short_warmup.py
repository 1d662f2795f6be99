"""Fit the warm-up of the default settings to a run that is shorter."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

log = logging.getLogger(__name__)


def fit_warmup(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Shorten ``schedule.warmup_steps`` to the steps before the decay, and say so.

    A number that was typed stays: it is checked later. So do schedules of other packages.

    Args:
        content: a resolved configuration, changed in place.
        overrides: as typed.
    """
    schedule, steps = content.get("schedule"), content.get("training", {}).get("steps")
    if not isinstance(schedule, dict) or not isinstance(steps, int) or steps <= 0:
        return
    warmup_steps, decay = schedule.get("warmup_steps"), schedule.get("decay_fraction", 0)
    is_ours = str(schedule.get("_target_")).startswith("lmlab.optim.lr_schedule.")
    typed = {override.lstrip("+").partition("=")[0] for override in overrides}
    if not is_ours or {"schedule.warmup_steps", "schedule.decay_fraction"} & typed:
        return
    if schedule.get("warmup") is not None or not isinstance(warmup_steps, int):
        return
    longest = steps - round(decay * steps) if 0 <= decay <= 1 else steps
    if warmup_steps > longest:
        schedule["warmup_steps"] = longest
        _tell(warmup_steps, longest, steps)


@functools.cache
def _tell(warmup_steps: int, longest: int, steps: int) -> None:
    """Log the change, once per process."""
    log.warning(
        "the warm-up of %d steps does not fit into a run of %d: schedule.warmup_steps=%d; "
        "schedule.warmup=0.1 would be a tenth of the steps",
        warmup_steps, steps, longest,
    )  # fmt: skip
