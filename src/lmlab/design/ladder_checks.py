"""Checks that the rungs of a ladder differ in size only, and that no setting is lost on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.errors import ConfigError

# Intervals keep their share of the steps, so that a typed value applies to every rung.
_SCALED = (
    "schedule.warmup_steps", "validation.every_steps", "checkpoint.every_steps",
    "training.log_every",
)  # fmt: skip
# What every rung must share, or losses of different rungs are averages over different tokens.
_SHARED = (
    "data", "tokenizer", "model.context_length", "model.vocab_size", "validation.max_tokens",
)  # fmt: skip


def check_rungs(
    arms: Mapping[str, Sequence[str]], rungs: Sequence[Sequence[str]], typed: Sequence[str]
) -> None:
    """Check that neither an arm nor the command line sets what the rungs set.

    Args:
        arms: overrides of each arm.
        rungs: overrides of each rung.
        typed: overrides of the command line.

    Raises:
        ConfigError: a setting would have no effect, or undo a rung.
    """
    values = {key: [_settings(rung).get(key) for rung in rungs] for key in _settings(_all(rungs))}
    for arm, overrides in arms.items():
        for key, value in _settings(overrides).items():
            if key in values:
                raise ConfigError(
                    f"design.arms.{arm}: {key}={value}: expected no setting of the rungs, which "
                    f"set {key} to {', '.join(map(str, values[key]))}",
                    "remove it from the arm",
                )
    for key, value in _settings(typed).items():
        if key in values and key not in _SCALED and value not in values[key]:
            raise ConfigError(
                f"{key}={value}: this has no effect: every rung of the ladder sets {key}: "
                f"{', '.join(map(str, values[key]))}",
                "remove it, or list the rungs with ladder=given",
            )


def check_rungs_of_arms(configs: Sequence[Mapping[str, Any]], num_rungs: int) -> None:
    """Check that an arm is evaluated on the same tokens at every rung.

    Args:
        configs: configurations of all arms of the lowest rung, then of the next.
        num_rungs: number of rungs.

    Raises:
        ConfigError: a setting of the data, the tokenizer or the evaluation differs.
    """
    number = len(configs) // num_rungs
    for position, config in enumerate(configs):
        lowest = configs[position % number]
        for key in _SHARED:
            found, expected = _value(config, key), _value(lowest, key)
            if found != expected:
                raise ConfigError(
                    f"ladder.rungs: expected one {key} on all rungs, which are evaluated on the "
                    f"same held-out tokens; found {found} on rung {position // number + 1}, and "
                    f"{expected} on the lowest",
                    f"set {key} for the whole study",
                )


def _value(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        node = node[name]
    return node


def _all(rungs: Sequence[Sequence[str]]) -> list[str]:
    return [override for rung in rungs for override in rung]


def _settings(overrides: Sequence[str]) -> dict[str, str]:
    pairs = (text.lstrip("+~").partition("=") for text in overrides)
    return {key.replace("/", "."): value for key, _, value in pairs}
