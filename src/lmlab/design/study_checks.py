"""Checks of a study before anything trains: that its arms and seeds make sense together."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.group_selection import dotted_key
from lmlab.design.comparison import Comparison
from lmlab.design.metrics import check_metrics
from lmlab.design.run_keys import arm_settings
from lmlab.design.study_seeds import check_seeds
from lmlab.errors import ConfigError

# Keys that belong to the whole study; in one arm they would be undone, or break the comparison.
_OF_THE_STUDY = re.compile(
    r"(study|arm|seed|seeds(\..*)?|output_root|experiment|demo|design(\..*)?|ladder(\..*)?|hydra(\..*)?|reuse|reuse_across_code)"
)


def check_overrides(arms: Mapping[str, Sequence[str]], setting: str = "arms") -> None:
    """Raise :class:`ConfigError` where an arm overrides what belongs to the whole study.

    Args:
        arms: overrides of each arm.
        setting: where the design declares them.
    """
    for arm, overrides in arms.items():
        _check_own(f"design.{setting}.{arm}", setting.removesuffix("s"), overrides)


def check_overrides_of_rungs(rungs: Sequence[Sequence[str]]) -> None:
    """Raise :class:`ConfigError` where a rung overrides what belongs to the whole study.

    Args:
        rungs: overrides of each rung of a ladder.
    """
    for number, overrides in enumerate(rungs):
        _check_own(f"ladder.rungs[{number}]", "rung", overrides)


def _check_own(name: str, kind: str, overrides: Sequence[str]) -> None:
    for override in overrides:
        key = dotted_key(override)
        if _OF_THE_STUDY.fullmatch(key):
            raise ConfigError(
                f"{name}: {override}: expected settings of the {kind} alone; all {kind}s share "
                f"{key}",
                f"remove it from the {kind}, and set {key} for the whole study",
            )


def check_study(
    design: Comparison,
    configs: Sequence[Mapping[str, Any]],
    reseeded: Sequence[Mapping[str, Any]],
) -> tuple[str, ...]:
    """Check the configurations of the arms, in the order of ``design.arms``.

    Args:
        design: the declaration of the study.
        configs: configuration of each arm.
        reseeded: the same with :func:`lmlab.design.study_seeds.other_seed`.

    Returns:
        The names of the seeds that are held fixed.

    Raises:
        ConfigError: two arms are one configuration, seeds for different purposes overlap, all
            seeds of an arm would train the same run, a search has no rate to start from, or a
            metric of ``design.metrics`` is not measured.
        DataError: the file of a task cannot be read.
    """
    named = dict(zip(design.arms, configs, strict=True))
    held = check_seeds(design, named, dict(zip(design.arms, reseeded, strict=True)))
    check_arms(design, configs)
    check_metrics(design, named)
    return held


def check_arms(design: Comparison, configs: Sequence[Mapping[str, Any]]) -> None:
    """Check that arms differ, and that a search has a rate to start from.

    Args:
        design: the declaration of the study.
        configs: configuration of each arm, in the order of ``design.arms``.

    Raises:
        ConfigError: two arms are one configuration, or a search has no rate to start from.
    """
    named = dict(zip(design.arms, configs, strict=True))
    for arm, content in named.items():
        if design.lr == "search":
            _check_start(arm, content["optim"].get("lr"))
    settings = {arm: arm_settings(content) for arm, content in named.items()}
    for one, other in itertools.combinations(settings, 2):
        if settings[one] == settings[other]:
            raise ConfigError(
                f"design.arms: {one} and {other} have the same configuration, so no difference "
                "between them could be real",
                "change or remove one; to retrain the baseline with other seeds, set "
                "design.replicate=again",
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
