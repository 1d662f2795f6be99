"""Learning-rate schedules: pure functions of the step, without torch.

The learning rate of update s, counted from 0, is ``schedule(s)`` times the peak. During warm-up the
factor is (s + 1) / warmup_steps, so that the first update has a positive rate. A decay ends at
s = total_steps, one step after the last update, and stays at its final value.

The length of the warm-up is ``warmup_steps``. Where ``warmup`` is given, a fraction of
``total_steps``, or ``warmup_tokens``, it replaces ``warmup_steps``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from lmlab.console.formatting import format_count
from lmlab.errors import Check, ConfigError, check_settings

# Share of a decay's fall that is behind, by the share of its steps that are over.
_DECAY_SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: progress,
    "sqrt": lambda progress: 1 - math.sqrt(1 - progress),
    "1-sqrt": math.sqrt,
}


def constant(
    step: int,
    *,
    total_steps: int,
    warmup_steps: int,
    warmup: float | None = None,
    warmup_tokens: float | None = None,
    tokens_per_step: int | None = None,
) -> float:
    """Warm up linearly, then stay at the peak.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.
        warmup_tokens: the warm-up in tokens, such as 1e7, as the nearest number of updates;
            replaces warmup_steps.
        tokens_per_step: training tokens of an update, batch size times context length.

    Raises:
        ConfigError: a setting is out of range.
    """
    warmup_steps = _checked_warmup(
        total_steps, warmup_steps, warmup, warmup_tokens, tokens_per_step
    )
    return _warmup(step, warmup_steps)


def linear(
    step: int,
    *,
    total_steps: int,
    warmup_steps: int,
    min_lr_ratio: float,
    warmup: float | None = None,
    warmup_tokens: float | None = None,
    tokens_per_step: int | None = None,
) -> float:
    """Warm up, then decay linearly to ``min_lr_ratio`` of the peak at ``total_steps``.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak.
        min_lr_ratio: final rate, as a fraction of the peak.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.
        warmup_tokens: the warm-up in tokens, such as 1e7, as the nearest number of updates;
            replaces warmup_steps.
        tokens_per_step: training tokens of an update, batch size times context length.

    Raises:
        ConfigError: a setting is out of range.
    """
    warmup_steps = _checked_warmup(
        total_steps, warmup_steps, warmup, warmup_tokens, tokens_per_step, min_lr_ratio
    )
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
    warmup_tokens: float | None = None,
    tokens_per_step: int | None = None,
) -> float:
    """Warm up, then decay along half a cosine to ``min_lr_ratio`` of the peak at ``total_steps``.

    Loshchilov and Hutter 2017, equation 5: one period without restarts. The option
    ``cosine_to_zero`` ends at 0.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak.
        min_lr_ratio: final rate, as a fraction of the peak.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.
        warmup_tokens: the warm-up in tokens, such as 1e7, as the nearest number of updates;
            replaces warmup_steps.
        tokens_per_step: training tokens of an update, batch size times context length.

    Raises:
        ConfigError: a setting is out of range.
    """
    warmup_steps = _checked_warmup(
        total_steps, warmup_steps, warmup, warmup_tokens, tokens_per_step, min_lr_ratio
    )
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
    decay_shape: str = "linear",
    warmup: float | None = None,
    warmup_tokens: float | None = None,
    tokens_per_step: int | None = None,
) -> float:
    """Warm up, stay at the peak, and decay over the last ``decay_fraction`` of the steps.

    Hu et al. 2024 (MiniCPM), section 4.2, with a decay as in Haegele et al. 2024. You can extend a
    run from any checkpoint before the decay.

    With p the share of the decay's steps that are over, the shape is ``linear``, 1 - p; ``1-sqrt``,
    1 - sqrt(p), which falls fastest at its start (Haegele et al. 2024); or ``sqrt``, sqrt(1 - p),
    which falls fastest at its end. The ``sqrt`` of torchtitan is ``1-sqrt`` here.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak.
        decay_fraction: the decay as a fraction of the steps.
        min_lr_ratio: final rate, as a fraction of the peak.
        decay_shape: ``linear``, ``sqrt`` or ``1-sqrt``.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.
        warmup_tokens: the warm-up in tokens, such as 1e7, as the nearest number of updates;
            replaces warmup_steps.
        tokens_per_step: training tokens of an update, batch size times context length.

    Raises:
        ConfigError: a setting is out of range, or warm-up and decay overlap.
    """
    warmup_steps = _checked_warmup(
        total_steps, warmup_steps, warmup, warmup_tokens, tokens_per_step, min_lr_ratio
    )
    decay_start = _checked_decay_start(total_steps, warmup_steps, decay_fraction, decay_shape)
    if step < decay_start:
        return _warmup(step, warmup_steps)
    fallen = _DECAY_SHAPES[decay_shape](_progress(step, decay_start, total_steps))
    return 1 - (1 - min_lr_ratio) * fallen


def inverse_sqrt(
    step: int,
    *,
    total_steps: int,
    warmup_steps: int,
    decay_fraction: float,
    decay_shape: str = "linear",
    warmup: float | None = None,
    warmup_tokens: float | None = None,
    tokens_per_step: int | None = None,
) -> float:
    """Warm up, then decay with the inverse square root of the step; cool down to 0 at the end.

    Vaswani et al. 2017, equation 3, relative to its peak: with W warm-up steps, update n, counted
    from 1, has the factor min(n / W, sqrt(W / n)). It depends on no horizon, so you can extend a
    run from any checkpoint before the cooldown.

    Over the last ``decay_fraction`` of the steps, this factor is multiplied by that of a cooldown
    from 1 to 0, as in Zhai et al. 2022, section 3.5. Its shapes are those of :func:`wsd`.

    Args:
        step: of the update, from 0.
        total_steps: of the run.
        warmup_steps: updates until the rate is at its peak, at least 1.
        decay_fraction: the cooldown as a fraction of the steps; 0 for none.
        decay_shape: of the cooldown: ``linear``, ``sqrt`` or ``1-sqrt``.
        warmup: the warm-up as a fraction of the steps, from 0 to 1; replaces warmup_steps.
        warmup_tokens: the warm-up in tokens, such as 1e7, as the nearest number of updates;
            replaces warmup_steps.
        tokens_per_step: training tokens of an update, batch size times context length.

    Raises:
        ConfigError: a setting is out of range, or warm-up and cooldown overlap.
    """
    warmup_steps = _checked_warmup(
        total_steps, warmup_steps, warmup, warmup_tokens, tokens_per_step
    )
    decay_start = _checked_decay_start(total_steps, warmup_steps, decay_fraction, decay_shape)
    if warmup_steps < 1:
        raise ConfigError(
            f"schedule.warmup_steps={warmup_steps}: expected 1 or more with schedule=inverse_sqrt, "
            "whose decay is measured in warm-ups",
            "set schedule.warmup_steps, schedule.warmup or schedule.warmup_tokens so that the "
            "warm-up takes a step or more",
        )
    factor = min((step + 1) / warmup_steps, math.sqrt(warmup_steps / (step + 1)))
    if step < decay_start or decay_start == total_steps:
        return factor
    fallen = _DECAY_SHAPES[decay_shape](_progress(step, decay_start, total_steps))
    return factor * (1 - fallen)


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def _progress(step: int, start: int, end: int) -> float:
    """Return the progress from ``start`` to ``end``, from 0 to 1."""
    return min(1.0, (step - start) / (end - start)) if end > start else 1.0


def _checked_warmup(
    total_steps: int,
    warmup_steps: int,
    warmup: float | None,
    warmup_tokens: float | None,
    tokens_per_step: int | None,
    min_lr_ratio: float = 0.0,
) -> int:
    """Check the settings that schedules share; return the length of the warm-up in steps."""
    given = f"schedule.warmup_steps={warmup_steps}"
    if warmup is not None and warmup_tokens is not None:
        raise ConfigError(
            f"schedule.warmup={warmup:g} and schedule.warmup_tokens={warmup_tokens:g}: expected "
            "one length of the warm-up",
            "remove one of the two, or set it to null",
        )
    if warmup is not None:
        is_valid = 0 <= warmup <= 1
        expected = "0 to 1, a fraction of the steps"
        check_settings([Check("schedule.warmup", warmup, is_valid, expected)])
        warmup_steps = round(warmup * total_steps)
    if warmup_tokens is not None:
        assert tokens_per_step is not None
        is_valid = 0 <= warmup_tokens < math.inf
        expected = "a finite number of 0 or more"
        check_settings([Check("schedule.warmup_tokens", warmup_tokens, is_valid, expected)])
        warmup_steps = round(warmup_tokens / tokens_per_step)
        given = f"schedule.warmup_tokens={warmup_tokens:g}, {format_count(warmup_steps, 'step')}"
    if not 0 <= warmup_steps <= total_steps:
        raise ConfigError(
            f"{given}: expected 0 to training.steps={total_steps}",
            "set schedule.warmup=0.1 to warm up over a tenth of the steps",
        )
    is_valid = 0 <= min_lr_ratio <= 1
    check_settings([Check("schedule.min_lr_ratio", min_lr_ratio, is_valid, "0 to 1")])
    return warmup_steps


def _checked_decay_start(
    total_steps: int, warmup_steps: int, decay_fraction: float, decay_shape: str
) -> int:
    """Check the settings of a decay at the end of a run; return the step at which it starts."""
    shapes = f"one of {', '.join(_DECAY_SHAPES)}"
    check_settings([
        Check("schedule.decay_fraction", decay_fraction, 0 <= decay_fraction <= 1, "0 to 1"),
        Check("schedule.decay_shape", decay_shape, decay_shape in _DECAY_SHAPES, shapes),
    ])  # fmt: skip
    decay_start = total_steps - round(decay_fraction * total_steps)
    if decay_start < warmup_steps:
        raise ConfigError(
            f"schedule.decay_fraction={decay_fraction}: the decay would start at step "
            f"{decay_start}, during the warm-up of {format_count(warmup_steps, 'step')}",
            "lower schedule.decay_fraction or the warm-up",
        )
    return decay_start
