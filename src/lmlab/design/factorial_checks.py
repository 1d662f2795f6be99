"""Checks of the changes that a study combines against its command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lmlab.config.group_selection import dotted_key
from lmlab.errors import ConfigError


def check_typed(
    levels: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    typed: Sequence[str],
    setting: str = "factors",
) -> list[str]:
    """Check that each setting for the whole study reaches a cell.

    Args:
        levels: overrides of each change where it is off and where it is on.
        typed: overrides of the command line, in dotted or slash form.
        setting: key of the design that declares the levels.

    Returns:
        A note for each setting that a change replaces where it is on, or where it is off.

    Raises:
        ConfigError: a change replaces a setting in all cells, so that it would have no effect.
    """
    notes = []
    given = {dotted_key(text): text.partition("=")[2] for text in typed}
    for name, (off, on) in levels.items():
        values = [
            {dotted_key(text): text.partition("=")[2] for text in level} for level in (off, on)
        ]
        for key, value in given.items():
            replacing = [level for level in values if level.get(key, value) != value]
            if len(replacing) == 2:
                raise ConfigError(
                    f"{key}={value}: this has no effect: design.{setting}.{name} sets {key} to "
                    f"{values[0][key]} where it is off and {values[1][key]} where it is on",
                    f"remove it, or change design.{setting}.{name}",
                )
            if replacing:
                where = "off" if replacing[0] is values[0] else "on"
                notes.append(
                    f"{key}={value} does not apply where {name} is {where} "
                    f"({key}={replacing[0][key]})"
                )
    return notes
