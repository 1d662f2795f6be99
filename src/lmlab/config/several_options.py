"""Groups that take several options at once: ``logger=[wandb,tensorboard]``.

Hydra would merge all options of a list into one node. Here, such a list is one option, named
``wandb+tensorboard``, with a node for each of its parts: ``logger.wandb.project``,
``logger.tensorboard.dir``. It replaces other options of the group, and is replaced by them, like
any option: in files, on the command line, and in a sweep.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError, suggestion

GROUPS = ("logger",)
_SIGN = "+"
_LIST = re.compile(r"\[[^\[\]]*\]", re.DOTALL)
_NONE = ("none", "null", "")


def joined_option(group: str, value: Any) -> Any:
    """Return a list of options of a group as the one that stands for them.

    Args:
        group: separated by slashes.
        value: of the group in a file or on the command line; only a list, or the text of one, of
            a group that takes several options is changed.

    Raises:
        ConfigError: the list is empty, or names an option twice or the one that is none.
    """
    if group not in GROUPS:
        return value
    if isinstance(value, str) and _LIST.fullmatch(value.strip()):
        names = [name.strip(" \t\n'\"") for name in value.strip()[1:-1].split(",")]
    elif isinstance(value, list) and all(isinstance(name, str) for name in value):
        names = value
    elif isinstance(value, str) and _SIGN in value and "," not in value:
        names = value.strip(" '\"").split(_SIGN)
    else:
        return value
    given = f"{group}=[{','.join(names)}]"
    nothing = next((name for name in names if name in _NONE), None)
    if nothing or (nothing is not None and len(names) > 1):
        raise ConfigError(
            f"{given}: expected options other than {nothing or 'an empty one'}",
            "list the options to use; one that is none needs no list",
        )
    if nothing is not None:
        raise ConfigError(f"{given}: expected an option", f"write {group}=none for none")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{given}: {twice} is listed twice", "remove one of the two")
    return _SIGN.join(names)


def parts_of(config_path: str) -> list[str]:
    """Return the options that ``logger/wandb+tensorboard`` stands for; empty for another path."""
    group, _, option = config_path.rpartition("/")
    return option.split(_SIGN) if group in GROUPS and _SIGN in option else []


def joined_defaults(parts: Sequence[str]) -> dict[str, Any]:
    """Return the file that stands for several options, as plain values."""
    return {"defaults": [f"{part}@{part}" for part in parts]}


def components_of(path: str, node: Any) -> dict[str, Any]:
    """Return the components of a node that may hold several, by dotted key.

    Args:
        path: dotted key of the node.
        node: a component, or components by name.

    Raises:
        ConfigError: a setting stands beside several components.
    """
    if not isinstance(node, dict) or "_target_" in node:
        return {path: node}
    inner = {name: one for name, one in node.items() if isinstance(one, dict) and "_target_" in one}
    if not inner:
        return {path: node}
    for name, value in node.items():
        if name not in inner:
            keys = [f"{path}.{part}.{name}" for part, one in inner.items() if name in one]
            raise ConfigError(
                f"{path}.{name}={format_value(value)}: expected a setting of one of "
                f"{', '.join(inner)}",
                f"set {keys[0]}"
                if keys
                else suggestion(name, list(inner)) or f"remove {path}.{name}",
            )
    return {f"{path}.{name}": one for name, one in inner.items()}
