"""Dotted keys of config groups: ``model.norm=post`` selects an option like ``model/norm=post``.

Hydra would replace the node ``model.norm`` by the string "post". These functions turn dots into
slashes where a group of that name exists: on the command line, in sweep parameters and in the
bodies of experiments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lmlab.config.deprecated_keys import rename_key, without_needless_plus
from lmlab.config.open_mappings import open_mapping
from lmlab.config.paths import conf_folder
from lmlab.config.several_options import joined_option
from lmlab.errors import ConfigError

_OPTIONAL = ("experiment", "design", "ladder", "demo")


def is_group(key: str, folders: Iterable[Path]) -> bool:
    """Whether the slash-separated ``key`` is a config group in one of the folders."""
    return bool(key) and any((folder / key).is_dir() for folder in folders)


def dotted_key(override: str) -> str:
    """Return the dotted key of an override: ``model.norm`` of ``+model/norm@package=post``."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def is_set(overrides: Iterable[str], node: str, name: str) -> bool:
    """Whether an override sets ``node.name``, alone or in a mapping ``node={name: ...}``."""
    in_mapping = re.compile(rf"\+*{node}=.*[{{,]\s*{name}\s*:", re.DOTALL)
    return any(
        (dotted_key(override) == f"{node}.{name}" and not override.startswith("~"))
        or in_mapping.match(override)
        for override in overrides
    )


def rewrite(override: str, folders: Sequence[Path]) -> str:
    """Turn ``model.norm=post`` into ``model/norm=post`` where ``model/norm`` is a group.

    The text of ``notes`` is quoted, ``tags=a,b`` becomes a list, and mappings with free keys are
    opened (:func:`lmlab.config.open_mappings.open_mapping`). A list of options becomes the option
    that stands for them (:mod:`lmlab.config.several_options`). Overrides of a complete node
    (``model.norm={...}``) and of other keys stay unchanged, except for the old names of
    :data:`lmlab.config.deprecated_keys.RENAMED_KEYS`.
    """
    override = without_needless_plus(rename_key(override))
    key, equals, value = override.partition("=")
    name = key.lstrip("+~")
    if name == "notes" and equals:
        return f"{key}={_quoted(value)}"
    if name == "tags" and equals and value.strip() not in ("null", "") and "[" not in value:
        return f"{key}=[{','.join(_quoted(tag.strip()) for tag in value.split(','))}]"
    slashed = name.replace(".", "/")
    if not equals or value.lstrip().startswith("{") or not is_group(slashed, folders):
        return open_mapping(override)
    prefix = key[: len(key) - len(name)]
    if "/" not in slashed and (conf_folder() / slashed).is_dir():
        prefix = prefix.replace("+", "")  # the defaults list already has this group
    return f"{prefix}{slashed}={joined_option(slashed, value)}"


def _quoted(text: str) -> str:
    """Quote free text, which Hydra would take for a list or refuse; null and quotes stay."""
    stripped = text.strip()
    if stripped in ("", "null") or (stripped[0] in "'\"" and stripped[-1] == stripped[0]):
        return text
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", text))
    return f"'{escaped}'"


def rewrite_all(overrides: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Rewrite each override; of several choices from one group, keep the last.

    Raises:
        ConfigError: see :func:`check_choices`.
    """
    rewritten = [rewrite(override, folders) for override in overrides]
    check_choices(rewritten, folders)
    last = {override.partition("=")[0]: index for index, override in enumerate(rewritten)}
    return [
        override
        for index, override in enumerate(rewritten)
        if last[override.partition("=")[0]] == index
        or not is_group(override.partition("=")[0], folders)
    ]


def check_choices(overrides: Iterable[str], folders: Sequence[Path]) -> None:
    """Refuse a list of options, of which Hydra would merge all into one node.

    Args:
        overrides: in slash form, as :func:`rewrite_all` returns them.
        folders: the configuration files.

    Raises:
        ConfigError: a group gets a list, or no option.
    """
    for override in overrides:
        key, equals, value = override.partition("=")
        group = key.lstrip("+~")
        if equals and is_group(group, folders):
            check_choice(group, value.strip().strip("'\""))


def check_choice(group: str, value: Any) -> None:
    """Refuse ``value`` as the option of a group where it is a list or empty."""
    dotted = group.replace("/", ".")
    shown = str(value).replace("'", "") if isinstance(value, list) else value
    if isinstance(value, list) or str(value).startswith("["):
        names = [name.strip(" '\"") for name in str(shown).strip("[]").split(",")]
        each = f"; to run each, add -m and write {dotted}={','.join(names)}"
        raise ConfigError(
            f"{dotted}={shown}: expected one option, not a list",
            f"write {dotted}={names[0] or '<option>'}{each if len(names) > 1 else ''}",
        )
    if group in _OPTIONAL and "null" in re.split(r"\s*,\s*", str(value)):
        raise ConfigError(
            f"{dotted}={value}: expected an option; null, which is the default, is none",
            f"start a command without {dotted} for it" if "," in value else "remove it",
        )
    if value == "":
        raise ConfigError(f"{dotted}=: expected an option", f"write {dotted}=<option>")


def extract_choices(
    body: dict[str, Any], folders: Sequence[Path], prefix: str = ""
) -> dict[str, str]:
    """Remove the group choices from a config body, such as ``{"model": {"norm": "post"}}``.

    Returns:
        The removed choices by slash-separated group.
    """
    found: dict[str, str] = {}
    for name in list(body):
        key = f"{prefix}{name}".replace(".", "/")
        value = body[name]
        if isinstance(value, list) and is_group(key, folders):
            value = joined_option(key, value)
            check_choice(key, value)
        if isinstance(value, str) and is_group(key, folders):
            found[key] = value
            del body[name]
        elif isinstance(value, dict) and key not in ("hydra", "defaults"):
            found |= extract_choices(value, folders, f"{key}/")
    return found
