"""Choices of the parts of a model: every option in the fast suite, every two in the long one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.paths import conf_folder

GROUPS = ("norm", "pos", "ffn")
NUM_FAST = 7
# Attention other than the plain one, with windows that divide the context of most tests and that do
# not; the last layer sees all tokens.
ATTENTIONS = [
    ["model.attention=gated"],
    ["model.attention=mla"],
    ["model.attention=mla", "model.attention.kv_lora_rank=7", "model.attention.q_lora_rank=6",
     "model.attention.d_nope=6", "model.attention.d_rope=2", "model.attention.d_value=8"],
    ["model.attention.window=3", "model.attention.window_pattern=[local,global]"],
    ["model.attention=gated", "model.attention.window=4", "model.attention.num_kv_heads=2",
     "model.attention.window_pattern=[local,global]"],
]  # fmt: skip


def options(group: str) -> list[str]:
    return sorted(path.stem for path in Path(conf_folder(), group).glob("*.yaml"))


def choices() -> list[Any]:
    """Return combinations that contain every pair, as overrides; all but a few are marked long.

    Those few contain every option.
    """
    by_group = {group: options(f"model/{group}") for group in GROUPS}
    combinations = [
        dict(zip(GROUPS, names, strict=True)) for names in itertools.product(*by_group.values())
    ]
    chosen = _covering(combinations)
    fast = chosen[:NUM_FAST]
    for group, names in by_group.items():
        assert {one[group] for one in fast} == set(names), "raise NUM_FAST"
    return [
        pytest.param(
            [f"model.{group}={name}" for group, name in one.items()],
            marks=[] if one in fast else [pytest.mark.long],
        )
        for one in chosen
    ]


def _covering(combinations: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return few of the combinations, in which every two options of two groups meet.

    The first of them contain every option.
    """
    missing = set().union(*map(_pairs, combinations))
    unseen = set().union(*(one.items() for one in combinations))

    def gain(one: dict[str, str]) -> tuple[int, int]:
        return len(one.items() & unseen), len(_pairs(one) & missing)

    chosen = []
    while missing:
        best = max(combinations, key=gain)
        missing -= _pairs(best)
        unseen -= best.items()
        chosen.append(best)
    return chosen


def _pairs(choice: dict[str, str]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in itertools.combinations(choice.items(), 2)}
