"""The seeds of a study: which ones judge, which ones tune, and which ones are held fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.rules import LARGEST_SEED
from lmlab.design.comparison import FIRST_REPLICATE_SEED, FIRST_TUNING_SEED, Comparison
from lmlab.design.run_keys import arm_settings, differing
from lmlab.errors import ConfigError

# What the seeds that change a run's result decide.
SOURCES = {"init": "initialization", "data": "order of the data"}


def other_seed(seed: int) -> int:
    """Return a valid seed other than this one; configurations are composed with both."""
    return seed - 1 if seed >= LARGEST_SEED else seed + 1


def held_seeds(content: Mapping[str, Any], reseeded: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the seeds that do not follow ``seed``.

    Args:
        content: a configuration.
        reseeded: the same with another ``seed``. A seed that was set to the number that ``seed``
            has shows only there.
    """
    return tuple(
        name
        for name, seed in content["seeds"].items()
        if seed != content["seed"] or reseeded["seeds"].get(name) == seed
    )


def check_seeds(
    design: Comparison,
    arms: Mapping[str, Mapping[str, Any]],
    reseeded: Mapping[str, Mapping[str, Any]],
) -> tuple[str, ...]:
    """Check the seeds of the arms of a study.

    Args:
        design: the declaration of the study.
        arms: configuration of each arm.
        reseeded: the same with :func:`other_seed`.

    Returns:
        The names of the seeds that are held fixed.

    Raises:
        ConfigError: seeds serve two purposes, arms differ in their seeds, a setting depends on the
            seed, or all seeds would train one run.
    """
    for arm, content in arms.items():
        _check_dependence(arm, content, reseeded[arm])
    held = {arm: held_seeds(content, reseeded[arm]) for arm, content in arms.items()}
    first, *others = arms
    for arm in others:
        keys = [key for key in ("seed", "seeds") if arms[arm][key] != arms[first][key]]
        if keys or held[arm] != held[first]:
            key = (keys or ["seeds"])[0]
            raise ConfigError(
                f"design.arms.{arm}: expected the seeds of {first}, found "
                f"{_as_text(key, arms[arm])} instead of {_as_text(key, arms[first])}",
                "set seeds for the whole study; an option that an arm selects may set them",
            )
    _check_held(design, first, arms[first], held[first])
    _check_ranges(design, int(arms[first]["seed"]))
    return held[first]


def describe_held(seeds: Mapping[str, int], held: Sequence[str]) -> str:
    """State which source of noise is held fixed; empty where none is.

    Args:
        seeds: the node ``seeds`` of the arms.
        held: names of the seeds that are held fixed.
    """
    names = [name for name in held if name in SOURCES]
    if not names:
        return ""
    settings = " and ".join(f"seeds.{name}={seeds[name]}" for name in names)
    fixed = " and ".join(f"the {SOURCES[name]}" for name in names)
    free = " and ".join(f"the {text}" for name, text in SOURCES.items() if name not in names)
    if not free:
        return f"{settings} keep {fixed} fixed in all runs: there is no spread over seeds"
    return (
        f"{settings} keeps {fixed} fixed in all runs, also in those that tune: results hold for "
        f"{fixed.replace('the ', 'this ', 1)} only, and their spread over seeds comes from "
        f"{free} alone"
    )


def _check_dependence(arm: str, content: Mapping[str, Any], reseeded: Mapping[str, Any]) -> None:
    """Refuse settings that follow the seed: all runs of an arm share those of the first."""
    before, after = arm_settings(content), arm_settings(reseeded)
    keys = differing(before, after)
    if keys:
        raise ConfigError(
            f"{keys[0]}: expected a value that does not depend on seed in a study; all runs of "
            f"{arm} would get {before.get(keys[0])}, whatever their seed",
            f"set {keys[0]} to a fixed value",
        )


def _check_held(
    design: Comparison, arm: str, content: Mapping[str, Any], held: Sequence[str]
) -> None:
    is_repeated = design.first_seeds > 1 or design.replicate is not None or design.lr == "search"
    if is_repeated and set(SOURCES) <= set(held):
        seeds = content["seeds"]
        way_out = " with design.lr=fixed" if design.lr == "search" else ""
        raise ConfigError(
            f"seeds.init={seeds['init']} and seeds.data={seeds['data']}: expected at least one of "
            f"them to follow seed={content['seed']}; otherwise all seeds of {arm} train the same "
            "run",
            f"remove one of these settings, or set design.num_seeds=1{way_out}",
        )


def _check_ranges(design: Comparison, first: int) -> None:
    """Check that no seed serves two purposes.

    The seeds that tune are reserved in all studies: the rate that one has tuned may be fixed in
    the next one.
    """
    last = first + design.most_seeds - 1
    end_of_tuning = FIRST_TUNING_SEED + design.num_tuning_seeds - 1
    if design.lr == "search" and end_of_tuning >= FIRST_REPLICATE_SEED:
        raise ConfigError(
            f"design.num_tuning_seeds={design.num_tuning_seeds}: expected at most "
            f"{FIRST_REPLICATE_SEED - FIRST_TUNING_SEED}"
        )
    if first < FIRST_REPLICATE_SEED and last >= FIRST_TUNING_SEED:
        raise ConfigError(
            f"seed={first}: the {design.most_seeds} seeds up to {last} overlap "
            f"with those that tune the learning rate, {FIRST_TUNING_SEED} to "
            f"{FIRST_REPLICATE_SEED - 1}, in this study or in one before",
            "set a smaller seed, or fewer seeds",
        )
    if design.replicate is not None and last - first >= FIRST_REPLICATE_SEED:
        raise ConfigError(
            f"design.num_seeds={design.num_seeds}: expected at most {FIRST_REPLICATE_SEED} seeds "
            "per arm, including design.extra_seeds, with design.replicate",
            "set fewer seeds, or design.replicate=null",
        )
    highest = last + (FIRST_REPLICATE_SEED if design.replicate is not None else 0)
    if highest > LARGEST_SEED:
        raise ConfigError(
            f"seed={first}: the last seed of the study would be {highest}; expected at most "
            f"{LARGEST_SEED}",
            "set a smaller seed",
        )


def _as_text(key: str, content: Mapping[str, Any]) -> str:
    if key == "seed":
        return f"seed={content['seed']}"
    return ", ".join(f"seeds.{name}={seed}" for name, seed in content["seeds"].items())
