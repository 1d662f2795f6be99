"""Choices of the parts of a model such that every two options of two groups meet in one of them."""

from __future__ import annotations

import itertools
from pathlib import Path

from lmlab.config.paths import conf_folder

GROUPS = ("norm", "pos", "ffn")


def options(group: str) -> list[str]:
    return sorted(path.stem for path in Path(conf_folder(), group).glob("*.yaml"))


def choices() -> list[list[str]]:
    """Return overrides, such that all pairs of options of two groups are covered."""
    by_group = {group: options(f"model/{group}") for group in GROUPS}
    open_pairs = {
        frozenset([(one, a), (other, b)])
        for one, other in itertools.combinations(GROUPS, 2)
        for a, b in itertools.product(by_group[one], by_group[other])
    }
    found = []
    while open_pairs:
        choice: dict[str, str] = dict(min(open_pairs, key=sorted))
        for group in GROUPS:
            if group not in choice:
                choice[group] = max(
                    by_group[group],
                    key=lambda name: (len(_pairs({**choice, group: name}) & open_pairs), name),
                )
        open_pairs -= _pairs(choice)
        found.append([f"model.{group}={choice[group]}" for group in GROUPS])
    return found


def _pairs(choice: dict[str, str]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in itertools.combinations(choice.items(), 2)}
