"""Checks that the rungs of a ladder differ in size only, and that no setting is lost on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.config.group_selection import dotted_key
from lmlab.config.run_length import RIVALS, require_known_steps
from lmlab.design.rungs import IN_LADDERS
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
) -> list[str]:
    """Check that neither an arm nor the command line sets what the rungs set.

    Args:
        arms: overrides of each arm.
        rungs: overrides of each rung.
        typed: overrides of the command line.

    Returns:
        A note for each setting of the command line that some of the rungs replace.

    Raises:
        ConfigError: a setting would have no effect, or undo a rung.
    """
    values = {key: [_settings(rung).get(key) for rung in rungs] for key in _settings(_all(rungs))}
    for arm, overrides in arms.items():
        for key, value in _settings(overrides).items():
            for one in (key, *RIVALS.get(key, ())):
                if one in values:
                    raise ConfigError(
                        f"design.arms.{arm}: {key}={value}: expected no setting of the rungs, "
                        f"which set {one} to {_listed(values[one])}",
                        "remove it from the arm",
                    )
    notes = []
    for key, value in _settings(typed).items():
        for one in RIVALS.get(key, ()):
            if one in values:
                raise ConfigError(
                    f"{key}={value}: expected no length of the whole study beside those of the "
                    f"rungs, which set {one} to {_listed(values[one])}",
                    "remove it, or set it for each rung in ladder.rungs of ladder=given",
                )
        if key not in values or key in _SCALED:
            continue
        if value == values[key][0] or set(values[key]) <= {value, None}:
            continue  # of the lowest rung, from which others may be generated
        if None in values[key]:
            own = {f"r{rung + 1}": one for rung, one in enumerate(values[key]) if one is not None}
            shown = ", ".join(f"{rung} ({key}={one})" for rung, one in own.items())
            notes.append(f"{key}={value} does not apply to rungs with their own value: {shown}")
        else:
            raise ConfigError(
                f"{key}={value}: this has no effect: every rung of the ladder sets {key}: "
                f"{_listed(values[key])}",
                "remove it, or set it for each rung in ladder.rungs of ladder=given",
            )
    return notes


def check_rungs_of_arms(configs: Sequence[Mapping[str, Any]], num_rungs: int) -> None:
    """Check that the arms have lengths, and are evaluated on the same tokens at every rung.

    Args:
        configs: configurations of all arms of the lowest rung, then of the next.
        num_rungs: number of rungs.

    Raises:
        ConfigError: a setting of the data, the tokenizer or the evaluation differs, or the steps of
            an arm are not known yet.
    """
    number = len(configs) // num_rungs
    for position, config in enumerate(configs):
        require_known_steps(config, IN_LADDERS)
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


def check_entropy(entropy: float, vocab_size: int) -> None:
    """Raise :class:`ConfigError` where a text cannot have this entropy, in nats per token."""
    uniform = math.log(vocab_size)
    if entropy >= uniform:
        raise ConfigError(
            f"design.entropy={entropy:g}: expected less than {uniform:.4g} nats per token, the "
            f"loss of uniform guesses among {vocab_size:,} tokens",
            "give the entropy in nats per token, or 0 where it is not known",
        )


def _value(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        node = node[name]
    return node


def _listed(values: Sequence[str | None]) -> str:
    return ", ".join(value for value in values if value is not None)


def _all(rungs: Sequence[Sequence[str]]) -> list[str]:
    return [override for rung in rungs for override in rung]


def _settings(overrides: Sequence[str]) -> dict[str, str]:
    return {dotted_key(text): text.partition("=")[2] for text in overrides}
