"""Dotted keys that name a config group select from it, as Hydra's slashes do.

Left to itself, Hydra takes ``model.norm=post`` for the string "post" in place of the whole node.
Here dots become slashes wherever a folder of that name exists: on the command line, in sweep
parameters and in the bodies of experiments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lmlab.config.deprecated_keys import rename_key


def is_group(key: str, folders: Iterable[Path]) -> bool:
    """Whether the slash-separated ``key`` is a config group in one of the folders."""
    return bool(key) and any((folder / key).is_dir() for folder in folders)


def rewrite(override: str, folders: Sequence[Path]) -> str:
    """Turn ``model.norm=post`` into ``model/norm=post`` where ``model/norm`` is a group.

    Assignments of whole nodes (``model.norm={...}``) and other keys are left as they are.
    """
    override = rename_key(override)
    key, equals, value = override.partition("=")
    name = key.lstrip("+~")
    slashed = name.replace(".", "/")
    if not equals or value.lstrip().startswith("{") or not is_group(slashed, folders):
        return override
    prefix = key[: len(key) - len(name)]
    if slashed == "experiment":
        prefix = ""  # the defaults list has its place already
    return f"{prefix}{slashed}={value}"


def rewrite_all(overrides: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Rewrite each override; of several choices from one group the last stands."""
    rewritten = [rewrite(override, folders) for override in overrides]
    last = {override.partition("=")[0]: index for index, override in enumerate(rewritten)}
    return [
        override
        for index, override in enumerate(rewritten)
        if last[override.partition("=")[0]] == index
        or not is_group(override.partition("=")[0], folders)
    ]


def extract_choices(
    body: dict[str, Any], folders: Sequence[Path], prefix: str = ""
) -> dict[str, str]:
    """Take the group choices out of a config body: ``{"model": {"norm": "post"}}``.

    Returns:
        Choices by slash-separated group; they are removed from ``body``.
    """
    found: dict[str, str] = {}
    for name in list(body):
        key = f"{prefix}{name}".replace(".", "/")
        value = body[name]
        if isinstance(value, str) and is_group(key, folders):
            found[key] = body.pop(name)
        elif isinstance(value, dict) and key not in ("hydra", "defaults"):
            found |= extract_choices(value, folders, f"{key}/")
    return found
