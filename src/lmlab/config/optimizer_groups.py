"""``optim.groups``: settings and optimizers of some parameters, by pattern. Checked without torch.

An entry says which parameters it concerns, by ``match`` and ``kind``, and what differs for them:
settings of the optimizer of ``optim``, or an ``optimizer`` of their own with its settings. The name
of an option, such as ``optimizer: lion``, is replaced by its component when the configuration is
composed, so that a frozen one holds all settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError

# The keys of an entry that are not settings of an optimizer.
KEYS = ("match", "kind", "name", "lr_multiplier", "optimizer")
KINDS = ("matrices", "embedding", "head", "gains")
GROUPS = "groups"
_EXAMPLE = "set optim.groups=[{kind: embedding, lr_multiplier: 0.1}]"


def without_groups(optim: Any) -> Any:
    """Return a node ``optim`` as its target takes it."""
    if not isinstance(optim, Mapping):
        return optim
    return {key: value for key, value in optim.items() if key != GROUPS}


def group_entries(optim: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the groups of a checked node ``optim``; none where it has none."""
    return optim.get(GROUPS) or ()


def own_optimizers(optim: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key and the component of each optimizer in the groups of a checked ``optim``."""
    for index, entry in enumerate(group_entries(optim)):
        if entry.get("optimizer") is not None:
            yield f"optim.{GROUPS}[{index}].optimizer", entry["optimizer"]


def check_entries(optim: Any) -> None:
    """Check the form of ``optim.groups``; the settings in it are checked with their optimizers.

    Raises:
        ConfigError: it is no list of entries, or an entry does not say what differs for whom.
    """
    groups = optim.get(GROUPS) if isinstance(optim, Mapping) else None
    if groups is None:
        return
    if not isinstance(groups, Sequence) or isinstance(groups, str):
        raise ConfigError(f"optim.groups={groups}: expected a list of entries", _EXAMPLE)
    for index, entry in enumerate(groups):
        _check_entry(f"optim.groups[{index}]", entry)


def _check_entry(key: str, entry: Any) -> None:
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f"{key}={format_value(entry)}: expected match or kind, and what differs", _EXAMPLE
        )
    match, kind = entry.get("match"), entry.get("kind")
    if match is None and kind is None:
        raise ConfigError(
            f"{key}: expected match, a pattern of names of parameters, or kind", _EXAMPLE
        )
    patterns = [match] if isinstance(match, str) else match
    if match is not None and not (
        isinstance(patterns, list) and patterns and all(isinstance(one, str) for one in patterns)
    ):
        raise ConfigError(
            f"{key}.match={format_value(match)}: expected a pattern of names of parameters, or "
            "several in a list",
            f"set {key}.match=blocks.*.attention.*",
        )
    if kind is not None and kind not in KINDS:
        raise ConfigError(
            f"{key}.kind={format_value(kind)}: expected one of {', '.join(KINDS)}", _EXAMPLE
        )
    name = entry.get("name")
    if name is not None and not (isinstance(name, str) and name.isidentifier()):
        raise ConfigError(f"{key}.name={format_value(name)}: expected letters, digits and _")
    multiplier = entry.get("lr_multiplier", 1.0)
    is_number = isinstance(multiplier, int | float) and not isinstance(multiplier, bool)
    if not is_number or not 0 < multiplier < float("inf"):
        raise ConfigError(
            f"{key}.lr_multiplier={format_value(multiplier)}: expected a finite number above 0"
        )
    settings = [one for one in entry if one not in KEYS]
    optimizer = entry.get("optimizer")
    if optimizer is None and not settings and "lr_multiplier" not in entry:
        raise ConfigError(
            f"{key}: expected a setting that differs: lr_multiplier, a setting of optim, or "
            "optimizer",
            _EXAMPLE,
        )
    if optimizer is not None and settings:
        raise ConfigError(
            f"{key}.{settings[0]}: expected the settings of an optimizer that is given by _target_ "
            "beside its _target_",
            f"set {key}.optimizer.{settings[0]}",
        )
