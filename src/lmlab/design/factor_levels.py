"""Changes that a study combines: the overrides of each where it is off and where it is on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from lmlab.config.group_selection import dotted_key
from lmlab.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,23}")
Levels = dict[str, tuple[list[str], list[str]]]


def read_levels(given: Mapping[str, Any], setting: str, reserved: tuple[str, ...]) -> Levels:
    """Return the overrides of each change, off and on.

    Args:
        given: a list of overrides by name, which apply where the change is on; or a pair of lists.
        setting: key of the design that declares them, for messages.
        reserved: names that mean something else.

    Raises:
        ConfigError: a name or a list is not valid, or two changes set the same setting.
    """
    levels: Levels = {}
    for name, value in given.items():
        if not _NAME.fullmatch(name) or name in reserved:
            raise ConfigError(
                f"design.{setting}.{name}: expected a name of 1 to 24 letters, digits, _ and . "
                f"that starts with a letter and is not {' or '.join(reserved)}",
                "rename it; hyphens separate names in those of arms",
            )
        levels[name] = _levels_of(f"design.{setting}.{name}", value)
    _check_keys(levels, setting)
    return levels


def _levels_of(key: str, value: Any) -> tuple[list[str], list[str]]:
    is_list = isinstance(value, list | tuple) and bool(value)
    is_texts = is_list and all(isinstance(one, str) for one in value)
    is_pair = (
        is_list
        and len(value) == 2
        and all(isinstance(level, list | tuple) for level in value)
        and all(isinstance(one, str) for level in value for one in level)
    )
    if not (is_texts or is_pair):
        raise ConfigError(
            f"{key}={value}: expected a list of overrides, or two such lists",
            f"write for example {key}=['model.norm=none'], or "
            f"{key}=[['model.norm=rms'],['model.norm=none']]",
        )
    off, on = value if is_pair else ([], value)
    if list(off) == list(on):
        raise ConfigError(
            f"{key}={value}: expected overrides that differ between off and on",
            "change one of the two lists",
        )
    return list(off), list(on)


def _check_keys(levels: Levels, setting: str) -> None:
    """Refuse changes that set the same setting, of which only the last would apply."""
    keys = {
        name: {dotted_key(text) for level in both for text in level}
        for name, both in levels.items()
    }
    for one, other in itertools.combinations(keys, 2):
        shared = sorted(keys[one] & keys[other])
        if shared:
            raise ConfigError(
                f"design.{setting}: {one} and {other} both set {shared[0]}; expected changes that "
                "can be combined",
                "remove one of them, or compare the two with design=comparison",
            )
