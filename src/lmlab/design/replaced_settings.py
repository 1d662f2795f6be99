"""Settings of a command line that the arms of a study replace."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from lmlab.config.group_selection import dotted_key
from lmlab.errors import ConfigError


def check_replaced(declared: Mapping[str, Sequence[str]], typed: Sequence[str]) -> list[str]:
    """Check that each setting for the whole study reaches an arm.

    Args:
        declared: overrides of each arm of the study.
        typed: overrides of the command line, in dotted or slash form.

    Returns:
        A note for each setting that some of the arms replace.

    Raises:
        ConfigError: every arm replaces a setting, which would have no effect.
    """
    given = {dotted_key(override): override for override in typed}
    arms = {name: {dotted_key(each): each for each in own} for name, own in declared.items()}
    notes = []
    for key, override in given.items():
        value = override.partition("=")[2]
        shown = f"{key}={value}"
        replacing = {name: own[key] for name, own in arms.items() if key in own}
        if not replacing or all(each.partition("=")[2] == value for each in replacing.values()):
            continue
        settings = ", ".join(f"{name} ({each})" for name, each in replacing.items())
        if len(replacing) < len(arms):
            notes.append(f"{shown} does not apply to arms with their own value: {settings}")
            continue
        name = next(iter(replacing))
        own = [f"'{shown if each == key else text}'" for each, text in arms[name].items()]
        change = _in_quotes(f"design.arms.{name}=[{','.join(own)}]")
        raise ConfigError(
            f"{shown}: this has no effect: every arm of the study sets {key}: {settings}",
            f"remove it, or change an arm: {change}",
        )
    return notes


def _in_quotes(text: str) -> str:
    """Quote for a shell, readably where the text has single quotes only."""
    return shlex.quote(text) if set(text) & set('"\\$`!') else f'"{text}"'
