"""Checks of a study before anything trains: that its arms and seeds make sense together."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.design.comparison import FIRST_REPLICATE_SEED, FIRST_TUNING_SEED, Comparison
from lmlab.design.run_keys import arm_settings
from lmlab.errors import ConfigError

# Keys that belong to the whole study; in one arm they would be undone, or break the comparison.
_OF_THE_STUDY = re.compile(
    r"(study|arm|seed|seeds(\..*)?|output_root|experiment|demo|design(\..*)?|hydra(\..*)?|reuse|reuse_across_code)"
)


def check_overrides(design: Comparison) -> None:
    """Raise :class:`ConfigError` where an arm overrides what belongs to the whole study."""
    for arm, overrides in design.arms.items():
        for override in overrides:
            key = re.split(r"[=@]", override.lstrip("+~"), maxsplit=1)[0].replace("/", ".")
            if _OF_THE_STUDY.fullmatch(key):
                raise ConfigError(
                    f"design.arms.{arm}: {override}: expected settings of the arm alone; all arms "
                    f"share {key}",
                    f"remove it from the arm, and set {key} for the whole study",
                )


def check_study(design: Comparison, configs: Sequence[Mapping[str, Any]]) -> None:
    """Check the configurations of the arms, in the order of ``design.arms``.

    Raises:
        ConfigError: two arms are one configuration, seeds for different purposes overlap, all
            seeds of an arm would train the same run, or a search has no rate to start from.
    """
    _check_seeds(design, int(configs[0]["seed"]))
    named = list(zip(design.arms, configs, strict=True))
    for arm, content in named:
        _check_pinned_seeds(arm, content, design)
        if design.lr == "search":
            _check_start(arm, content["optim"].get("lr"))
    settings = {arm: arm_settings(content) for arm, content in named}
    for one, other in itertools.combinations(settings, 2):
        if settings[one] == settings[other]:
            raise ConfigError(
                f"design.arms: {one} and {other} have the same configuration, so no difference "
                "between them could be real",
                "change or remove one; to retrain the baseline with other seeds, set "
                "design.replicate=again",
            )


def _check_seeds(design: Comparison, first: int) -> None:
    """Check that no seed serves two purposes."""
    last = first + design.num_seeds + design.extra_seeds - 1
    end_of_tuning = FIRST_TUNING_SEED + design.num_tuning_seeds - 1
    if design.lr == "search" and end_of_tuning >= FIRST_REPLICATE_SEED:
        raise ConfigError(
            f"design.num_tuning_seeds={design.num_tuning_seeds}: expected at most "
            f"{FIRST_REPLICATE_SEED - FIRST_TUNING_SEED}"
        )
    if design.lr == "search" and first < FIRST_REPLICATE_SEED and last >= FIRST_TUNING_SEED:
        raise ConfigError(
            f"seed={first}: the {design.num_seeds + design.extra_seeds} seeds up to {last} overlap "
            f"with those that tune the learning rate, {FIRST_TUNING_SEED} to "
            f"{FIRST_REPLICATE_SEED - 1}",
            "set a smaller seed, fewer seeds, or design.lr=fixed",
        )
    if design.replicate is not None and last - first >= FIRST_REPLICATE_SEED:
        raise ConfigError(
            f"design.num_seeds={design.num_seeds}: expected at most {FIRST_REPLICATE_SEED} seeds "
            "per arm, including design.extra_seeds, with design.replicate",
            "set fewer seeds, or design.replicate=null",
        )


def _check_pinned_seeds(arm: str, content: Mapping[str, Any], design: Comparison) -> None:
    seeds, seed = content["seeds"], content["seed"]
    is_repeated = design.num_seeds > 1 or design.replicate is not None
    if is_repeated and seed not in (seeds["init"], seeds["data"]):
        raise ConfigError(
            f"seeds.init={seeds['init']} and seeds.data={seeds['data']}: expected at least one of "
            f"them to follow seed={seed}; otherwise all seeds of {arm} train the same run",
            "remove one of these settings, or set design.num_seeds=1",
        )


def _check_start(arm: str, rate: Any) -> None:
    if rate is None:
        raise ConfigError(
            f"design.lr=search: the optimizer of {arm} has no parameter lr",
            "set design.lr=fixed",
        )
    if not (isinstance(rate, int | float) and 0 < rate < math.inf):
        raise ConfigError(
            f"optim.lr={rate}: expected a positive number; the learning rate search of {arm} "
            "starts there",
            "set optim.lr to a rate that trains, or design.lr=fixed",
        )
