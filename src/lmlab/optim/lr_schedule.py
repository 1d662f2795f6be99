"""Learning-rate schedules: pure functions of the step, without torch.

Update number s, counted from 0, is taken at ``schedule(s)`` times the peak learning rate. During
warm-up that is (s + 1) / warmup_steps, so that no update is wasted at 0. A decay is complete at
s = total_steps, one after the last update, and stays there.
"""

from __future__ import annotations

import math

from lmlab.errors import ConfigError


def constant(step: int, *, total_steps: int, warmup_steps: int) -> float:
    """Warm up linearly, then stay at the peak.

    Raises:
        ConfigError: a setting is out of its range.
    """
    _check(total_steps, warmup_steps)
    return _warmup(step, warmup_steps)


def linear(step: int, *, total_steps: int, warmup_steps: int, min_lr_ratio: float) -> float:
    """Warm up, then fall linearly to ``min_lr_ratio`` of the peak at ``total_steps``.

    Raises:
        ConfigError: a setting is out of its range.
    """
    _check(total_steps, warmup_steps, min_lr_ratio)
    if step < warmup_steps:
        return _warmup(step, warmup_steps)
    return 1 - (1 - min_lr_ratio) * _share(step, warmup_steps, total_steps)


def cosine(step: int, *, total_steps: int, warmup_steps: int, min_lr_ratio: float) -> float:
    """Warm up, then fall along half a cosine to ``min_lr_ratio`` of the peak at ``total_steps``.

    Loshchilov and Hutter 2017, equation 5, one period without restarts.

    Raises:
        ConfigError: a setting is out of its range.
    """
    _check(total_steps, warmup_steps, min_lr_ratio)
    if step < warmup_steps:
        return _warmup(step, warmup_steps)
    wave = (1 + math.cos(math.pi * _share(step, warmup_steps, total_steps))) / 2
    return min_lr_ratio + (1 - min_lr_ratio) * wave


def wsd(
    step: int, *, total_steps: int, warmup_steps: int, decay_fraction: float, min_lr_ratio: float
) -> float:
    """Warm up, stay at the peak, and fall linearly in the last ``decay_fraction`` of the steps.

    Hu et al. 2024 (MiniCPM), section 4.2, with a linear decay as in Haegele et al. 2024. A run can
    be extended from any checkpoint before the decay.

    Raises:
        ConfigError: a setting is out of its range, or warm-up and decay overlap.
    """
    _check(total_steps, warmup_steps, min_lr_ratio)
    if not 0 <= decay_fraction <= 1:
        raise ConfigError(f"schedule.decay_fraction={decay_fraction}: accepted is 0 to 1")
    decay_start = total_steps - round(decay_fraction * total_steps)
    if decay_start < warmup_steps:
        raise ConfigError(
            f"schedule.decay_fraction={decay_fraction}: the decay would begin at step "
            f"{decay_start}, inside the warm-up of {warmup_steps}; lower one of the two"
        )
    if step < decay_start:
        return _warmup(step, warmup_steps)
    return 1 - (1 - min_lr_ratio) * _share(step, decay_start, total_steps)


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def _share(step: int, start: int, end: int) -> float:
    """How much of the way from ``start`` to ``end`` is done, 0 to 1."""
    return min(1.0, (step - start) / (end - start)) if end > start else 1.0


def _check(total_steps: int, warmup_steps: int, min_lr_ratio: float = 0.0) -> None:
    if not 0 <= warmup_steps <= total_steps:
        raise ConfigError(
            f"schedule.warmup_steps={warmup_steps}: accepted is 0 to training.steps={total_steps}"
        )
    if not 0 <= min_lr_ratio <= 1:
        raise ConfigError(f"schedule.min_lr_ratio={min_lr_ratio}: accepted is 0 to 1")
