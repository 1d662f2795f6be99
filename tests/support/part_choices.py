"""Choices of the parts of a model: every two options in the fast suite, all in the long one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.paths import conf_folder

GROUPS = ("norm", "pos", "ffn")


def options(group: str) -> list[str]:
    return sorted(path.stem for path in Path(conf_folder(), group).glob("*.yaml"))


def choices() -> list[Any]:
    """Return all combinations as overrides, marked long but for few that contain every pair."""
    by_group = {group: options(f"model/{group}") for group in GROUPS}
    combinations = [
        dict(zip(GROUPS, names, strict=True)) for names in itertools.product(*by_group.values())
    ]
    chosen = _covering(combinations)
    return [
        pytest.param(
            [f"model.{group}={name}" for group, name in one.items()],
            marks=[] if one in chosen else [pytest.mark.long],
        )
        for one in combinations
    ]


def _covering(combinations: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return few of the combinations, in which every two options of two groups meet."""
    missing = set().union(*map(_pairs, combinations))
    chosen = []
    while missing:
        best = max(combinations, key=lambda one: len(_pairs(one) & missing))
        missing -= _pairs(best)
        chosen.append(best)
    return chosen


def _pairs(choice: dict[str, str]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in itertools.combinations(choice.items(), 2)}
