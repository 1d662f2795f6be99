"""Differences of simulated runs from a baseline that the arms of a study share, by their noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Chance = np.random.Generator
STUDIES = 10_000


def _normal(chance: Chance, shape: tuple[int, ...], is_arm: bool) -> Array:
    return chance.normal(size=shape)


def _heavy(chance: Chance, shape: tuple[int, ...], is_arm: bool) -> Array:
    return chance.standard_t(5, shape) / math.sqrt(5 / 3)


def _outlier(chance: Chance, shape: tuple[int, ...], is_arm: bool) -> Array:
    """One of the first ten seeds of each arm is off by 5 standard deviations, on either side."""
    noise = chance.normal(size=shape)
    if is_arm:
        where = chance.integers(0, min(10, shape[-1]), size=shape[:-1])
        sign = np.where(chance.random(shape[:-1]) < 0.5, -5.0, 5.0)
        np.put_along_axis(
            noise, where[..., None],
            np.take_along_axis(noise, where[..., None], -1) + sign[..., None], -1,
        )  # fmt: skip
    return noise


def _unequal(chance: Chance, shape: tuple[int, ...], is_arm: bool) -> Array:
    """The arms have three times the spread of the baseline; differences have that of the others."""
    return chance.normal(size=shape) * (3.0 if is_arm else 1.0) / math.sqrt(5)


def _skewed(chance: Chance, shape: tuple[int, ...], is_arm: bool) -> Array:
    return math.sqrt(2) * (chance.exponential(size=shape) - 1) if is_arm else np.zeros(shape)


# Noise of runs, such that differences of two have the standard deviation sqrt(2), but for outliers.
NOISES: dict[str, Callable[[Chance, tuple[int, ...], bool], Array]] = {
    "normal": _normal,
    "t, 5 degrees": _heavy,
    "one seed in ten off by 5 sd": _outlier,
    "arms 3 times as noisy": _unequal,
    "exponential, arms only": _skewed,
}


def differences(
    noise: str, arms: int, seeds: int, key: Sequence[int], studies: int = STUDIES
) -> Array:
    """Return differences from the baseline of standard deviation 1: (studies, arms, seeds)."""
    chance = np.random.default_rng(list(key))
    base = NOISES[noise](chance, (studies, 1, seeds), False)
    return (NOISES[noise](chance, (studies, arms, seeds), True) - base) / math.sqrt(2)
