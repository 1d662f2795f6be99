"""Learning-rate schedules: pure functions of the step, without torch.

The learning rate of update s, counted from 0, is ``schedule(s)`` times the peak. During warm-up the
factor is (s + 1) / warmup_steps, so that the first update has a positive rate. A decay ends at
s = total_steps, one step after the last update, and stays at its final value.

The length of the warm-up is ``warmup_steps``, or ``warmup``, a fraction of ``total_steps``, which
replaces it where it is given.
"""

from __future__ import annotations

import math

from lmlab.console.formatting import format_count
from lmlab.errors import Check, ConfigError, check_settings


def constant(
    step: int, *, total_steps: int, warmup_steps: int, warmup: float | None = None
) -> float:
    """Warm up linearly, then stay at the peak.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.

    Raises:
        ConfigError: a setting is out of range.
    """
    warmup_steps = _checked_warmup(total_steps, warmup_steps, warmup)
    return _warmup(step, warmup_steps)


def linear(
    step: int,
    *,
    total_steps: int,
    warmup_steps: int,
    min_lr_ratio: float,
    warmup: float | None = None,
) -> float:
    """Warm up, then decay linearly to ``min_lr_ratio`` of the peak at ``total_steps``.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak.
        min_lr_ratio: final rate, as a fraction of the peak.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.

    Raises:
        ConfigError: a setting is out of range.
    """
    warmup_steps = _checked_warmup(total_steps, warmup_steps, warmup, min_lr_ratio)
    if step < warmup_steps:
        return _warmup(step, warmup_steps)
    return 1 - (1 - min_lr_ratio) * _progress(step, warmup_steps, total_steps)


def cosine(
    step: int,
    *,
    total_steps: int,
    warmup_steps: int,
    min_lr_ratio: float,
    warmup: float | None = None,
) -> float:
    """Warm up, then decay along half a cosine to ``min_lr_ratio`` of the peak at ``total_steps``.

    Loshchilov and Hutter 2017, equation 5: one period without restarts.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak.
        min_lr_ratio: final rate, as a fraction of the peak.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.

    Raises:
        ConfigError: a setting is out of range.
    """
    warmup_steps = _checked_warmup(total_steps, warmup_steps, warmup, min_lr_ratio)
    if step < warmup_steps:
        return _warmup(step, warmup_steps)
    wave = (1 + math.cos(math.pi * _progress(step, warmup_steps, total_steps))) / 2
    return min_lr_ratio + (1 - min_lr_ratio) * wave


def wsd(
    step: int,
    *,
    total_steps: int,
    warmup_steps: int,
    decay_fraction: float,
    min_lr_ratio: float,
    warmup: float | None = None,
) -> float:
    """Warm up, stay at the peak, and decay linearly over the last ``decay_fraction`` of the steps.

    Hu et al. 2024 (MiniCPM), section 4.2, with a linear decay as in Haegele et al. 2024. You can
    extend a run from any checkpoint before the decay.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak.
        decay_fraction: the decay as a fraction of the steps.
        min_lr_ratio: final rate, as a fraction of the peak.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.

    Raises:
        ConfigError: a setting is out of range, or warm-up and decay overlap.
    """
    warmup_steps = _checked_warmup(total_steps, warmup_steps, warmup, min_lr_ratio)
    is_valid = 0 <= decay_fraction <= 1
    check_settings([Check("schedule.decay_fraction", decay_fraction, is_valid, "0 to 1")])
    decay_start = total_steps - round(decay_fraction * total_steps)
    if decay_start < warmup_steps:
        raise ConfigError(
            f"schedule.decay_fraction={decay_fraction}: the decay would start at step "
            f"{decay_start}, during the warm-up of {format_count(warmup_steps, 'step')}",
            "lower schedule.decay_fraction or the warm-up",
        )
    if step < decay_start:
        return _warmup(step, warmup_steps)
    return 1 - (1 - min_lr_ratio) * _progress(step, decay_start, total_steps)


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def _progress(step: int, start: int, end: int) -> float:
    """Return the progress from ``start`` to ``end``, from 0 to 1."""
    return min(1.0, (step - start) / (end - start)) if end > start else 1.0


def _checked_warmup(
    total_steps: int, warmup_steps: int, warmup: float | None, min_lr_ratio: float = 0.0
) -> int:
    """Check the settings that schedules share; return the length of the warm-up in steps."""
    if warmup is not None:
        is_valid = 0 <= warmup <= 1
        expected = "0 to 1, a fraction of the steps"
        check_settings([Check("schedule.warmup", warmup, is_valid, expected)])
        warmup_steps = round(warmup * total_steps)
    if not 0 <= warmup_steps <= total_steps:
        raise ConfigError(
            f"schedule.warmup_steps={warmup_steps}: expected 0 to training.steps={total_steps}",
            "set schedule.warmup=0.1 to warm up over a tenth of the steps",
        )
    is_valid = 0 <= min_lr_ratio <= 1
    check_settings([Check("schedule.min_lr_ratio", min_lr_ratio, is_valid, "0 to 1")])
    return warmup_steps
