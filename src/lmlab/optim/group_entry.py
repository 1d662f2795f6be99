"""Settings and optimizers of some parameters, by the patterns of ``optim.groups``. No torch."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lmlab.config.optimizer_groups import KEYS, group_entries
from lmlab.errors import ConfigError, suggestion
from lmlab.optim.groups import EMBEDDING, HIDDEN, VECTORS, GroupRule, Multipliers

# What ``kind`` selects: a kind of lmlab.optim.groups, and whether it is the head.
_KINDS = {
    "matrices": (HIDDEN, False), "embedding": (EMBEDDING, False), "head": (EMBEDDING, True),
    "gains": (VECTORS, False),
}  # fmt: skip
_HEAD = "head."


@dataclasses.dataclass(frozen=True)
class GroupEntry:
    """One entry of ``optim.groups``: which parameters, and what is different for them.

    Attributes:
        index: in the list; the first entry that matches a parameter applies to it.
        patterns: of names, such as ``blocks.*.ffn.*``, with the wildcards of a shell.
        kind: only parameters of this kind, one of
            :data:`lmlab.config.optimizer_groups.KINDS`; None for all.
        name: of its learning rate in rows of metrics.
        lr_multiplier: of the learning rate, that of the schedule and of a parametrization aside.
        settings: of the parameters' optimizer that differ for them, by name.
        optimizer: component of an optimizer of their own; None for that of ``optim``.
        rules: of the parametrization, for the optimizer of their own; None for those of the model.
    """

    index: int
    patterns: tuple[str, ...]
    kind: str | None
    name: str
    lr_multiplier: float
    settings: Mapping[str, Any]
    optimizer: Mapping[str, Any] | None
    rules: Sequence[GroupRule] | None = None

    @classmethod
    def parse(cls, index: int, entry: Mapping[str, Any]) -> GroupEntry:
        """Read a checked entry of the configuration, as plain values."""
        patterns, kind = entry.get("match", "*"), entry.get("kind")
        return cls(
            index=index,
            patterns=(patterns,) if isinstance(patterns, str) else tuple(patterns),
            kind=kind,
            name=str(entry.get("name") or kind or f"group{index}"),
            lr_multiplier=float(entry.get("lr_multiplier", 1.0)),
            settings={key: value for key, value in entry.items() if key not in KEYS},
            optimizer=entry.get("optimizer"),
        )

    @property
    def key(self) -> str:
        """Its key in the configuration."""
        return f"optim.groups[{self.index}]"

    @property
    def multipliers(self) -> Multipliers:
        """The multipliers of its parameters."""
        return Multipliers(lr=self.lr_multiplier)

    def matches(self, name: str, kind: str) -> bool:
        """Whether it applies to a parameter, by name and kind; earlier entries come first."""
        if self.kind is not None and _KINDS[self.kind] != (kind, self._is_head(name, kind)):
            return False
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)

    @staticmethod
    def _is_head(name: str, kind: str) -> bool:
        return kind == EMBEDDING and name.startswith(_HEAD)


def parse_entries(optim: Mapping[str, Any]) -> tuple[GroupEntry, ...]:
    """Return the entries of a node ``optim`` as plain values; none where it has no groups."""
    return tuple(GroupEntry.parse(i, entry) for i, entry in enumerate(group_entries(optim)))


def assign(entries: Sequence[GroupEntry], parameters: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the index of the entry of each parameter that has one, by name.

    Args:
        entries: in order.
        parameters: name and kind of each parameter.
    """
    found = {}
    for name, kind in parameters:
        index = next((entry.index for entry in entries if entry.matches(name, kind)), None)
        if index is not None:
            found[name] = index
    return found


def check_assigned(entries: Sequence[GroupEntry], parameters: Iterable[tuple[str, str]]) -> None:
    """Check that every entry applies to a parameter of a model.

    Args:
        entries: in order.
        parameters: name and kind of each parameter.

    Raises:
        ConfigError: one applies to none; the message names similar parameters, or earlier entries
            that take those it matches.
    """
    pairs = list(parameters)
    assigned = assign(entries, pairs)
    for entry in entries:
        if entry.index in assigned.values():
            continue
        matched = {name for name, kind in pairs if entry.matches(name, kind)}
        if matched:
            earlier = sorted({f"optim.groups[{assigned[name]}]" for name in matched})
            raise ConfigError(
                f"{_shown(entry)}: expected a parameter that no earlier group takes; "
                f"{', '.join(earlier)} come{'s' if len(earlier) == 1 else ''} first",
                "put the more special group first",
            )
        names = [name for name, _ in pairs]
        near = next((found for one in entry.patterns if (found := suggestion(one, names))), None)
        some = ", ".join(names[:3])
        raise ConfigError(
            f"{_shown(entry)}: expected a pattern or kind of at least one parameter of the model",
            near or f"the names of parameters are such as {some}; * stands for any text",
        )


def _shown(entry: GroupEntry) -> str:
    parts = {"match": "+".join(entry.patterns), "kind": entry.kind}
    shown = [
        f"{entry.key}.{key}={value}" for key, value in parts.items() if value not in (None, "*")
    ]
    return " ".join(shown) or entry.key
