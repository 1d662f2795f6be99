"""Parameter groups of the optimizer, and multipliers of their settings by name of the parameter."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lmlab.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

HIDDEN, EMBEDDING, VECTORS = "hidden", "embedding", "vectors"
_OF_LMLAB = frozenset({"params", "names", "name", "kind", "entry"})
ENTRY = "entry"  # key of a group's entry of optim.groups


@dataclasses.dataclass(frozen=True)
class Multipliers:
    """What the settings of the optimizer are multiplied by for some parameters.

    Attributes:
        lr: of the learning rate.
        weight_decay: of the weight decay.
        eps: of the epsilon in the denominator of Adam.
    """

    lr: float = 1.0
    weight_decay: float = 1.0
    eps: float = 1.0

    def __mul__(self, other: Multipliers) -> Multipliers:
        return Multipliers(
            self.lr * other.lr, self.weight_decay * other.weight_decay, self.eps * other.eps
        )

    def settings(self) -> dict[str, float]:
        """Return the multipliers that are not 1, by setting."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value != 1}


@dataclasses.dataclass(frozen=True)
class GroupRule:
    """Multipliers of the parameters whose names match a pattern.

    Attributes:
        pattern: of the full name, such as ``blocks.*.ffn.*``, with the wildcards of a shell.
        multipliers: of these parameters.
        kind: apply only to parameters of this kind; see :func:`parameter_groups`.
    """

    pattern: str
    multipliers: Multipliers
    kind: str | None = None

    def matches(self, name: str, kind: str) -> bool:
        """Whether the rule applies to a parameter."""
        return self.kind in (None, kind) and fnmatch.fnmatchcase(name, self.pattern)


def parameter_kind(name: str, num_axes: int) -> str:
    """Return ``hidden``, ``embedding`` or ``vectors``; see :func:`parameter_groups`."""
    if num_axes < 2:
        return VECTORS
    return HIDDEN if name.startswith("blocks.") else EMBEDDING


class Entry(Protocol):
    """An entry of ``optim.groups``; see :class:`lmlab.optim.group_entry.GroupEntry`."""

    @property
    def name(self) -> str:
        """The name of its groups."""
        ...

    @property
    def multipliers(self) -> Multipliers:
        """The multipliers of its parameters."""
        ...

    @property
    def rules(self) -> Sequence[GroupRule] | None:
        """The rules of its parameters; None for those of the model."""
        ...

    def matches(self, name: str, kind: str) -> bool:
        """Whether it applies to a parameter."""
        ...


def parameter_groups(
    model: nn.Module, *rule_sets: Sequence[GroupRule], entries: Sequence[Entry] = ()
) -> list[dict[str, Any]]:
    """Split the parameters of a model into groups for a torch optimizer.

    Each parameter is of one kind:

    - ``hidden``: matrices inside the blocks.
    - ``embedding``: the embedding, the head and learned positions.
    - ``vectors``: norm gains. Their ``weight_decay`` is 0, because a smaller gain does not make a
      smaller map. Loshchilov and Hutter 2019 decay all parameters; GPT-2 and Llama decay matrices
      only.

    A kind whose parameters have different multipliers makes several groups.

    Args:
        model: the model.
        rule_sets: in each, the first rule that matches a parameter applies to it; the multipliers
            of several sets are multiplied.
        entries: the first that matches a parameter puts it into groups of its own, and has its
            multipliers in addition.

    Returns:
        Non-empty groups with the keys ``params``, ``names`` and ``name``. Groups with multipliers
        have them under the key of :func:`multiplier_key`, for :func:`apply_multipliers`. The name
        is that of the kind or of the entry; further groups of the same name have a number in
        theirs. Where the name is not the kind, it is there as ``kind``. Groups of an entry have its
        index as :data:`ENTRY`.
    """
    groups: dict[tuple[str, Multipliers, int | None], dict[str, Any]] = {}
    names: list[str] = []
    for name, parameter in model.named_parameters():
        kind = parameter_kind(name, parameter.ndim)
        index = next((i for i, entry in enumerate(entries) if entry.matches(name, kind)), None)
        if index is None:
            multipliers, base = multipliers_of(name, kind, rule_sets), kind
        else:
            own = entries[index].rules
            multipliers = multipliers_of(name, kind, rule_sets if own is None else [own])
            multipliers, base = multipliers * entries[index].multipliers, entries[index].name
        group = groups.get((kind, multipliers, index))
        if group is None:
            group = _new_group(kind, multipliers, base, 1 + names.count(base))
            if index is not None:
                group[ENTRY] = index
            groups[kind, multipliers, index] = group
            names.append(base)
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def multipliers_of(name: str, kind: str, rule_sets: Sequence[Sequence[GroupRule]]) -> Multipliers:
    """Return the multipliers of a parameter; see :func:`parameter_groups`."""
    total = Multipliers()
    for rules in rule_sets:
        found = next((rule.multipliers for rule in rules if rule.matches(name, kind)), None)
        total = total if found is None else total * found
    return total


def multiplier_key(setting: str) -> str:
    """Return the key under which a group has the multiplier of a setting, such as ``lr``."""
    return f"{setting}_multiplier"


def _new_group(kind: str, multipliers: Multipliers, base: str, number: int) -> dict[str, Any]:
    name = base if number == 1 else f"{base}_{number}"
    group: dict[str, Any] = {"params": [], "names": [], "name": name}
    if name != kind:
        group["kind"] = kind
    if kind == VECTORS:
        group["weight_decay"] = 0.0
    return group | {multiplier_key(key): value for key, value in multipliers.settings().items()}


def group_kind(group: Mapping[str, Any]) -> str:
    """Return the kind of the parameters of a group of :func:`parameter_groups`."""
    return str(group.get("kind", group.get("name")))


def apply_multipliers(
    optimizer: torch.optim.Optimizer, groups: Sequence[Mapping[str, Any]], target: str
) -> None:
    """Multiply the settings of a new optimizer's groups by the multipliers of their parameters.

    Args:
        optimizer: built from ``groups``; it may have divided them further.
        groups: of :func:`parameter_groups`.
        target: dotted path of the optimizer, for messages.

    Raises:
        ConfigError: the optimizer has joined groups of different multipliers, or has no setting of
            that name.
    """
    wanted = {id(one): _multipliers_in(group) for group in groups for one in group["params"]}
    if not any(wanted.values()):
        return
    for group in optimizer.param_groups:
        found = [wanted.get(id(one), {}) for one in group["params"]]
        if any(multipliers != found[0] for multipliers in found):
            raise ConfigError(
                f"optim._target_={target}: expected an optimizer that keeps the parameter groups "
                "it is given, because their multipliers differ",
                "choose another optimizer, or set model.param=standard",
            )
        for setting, multiplier in found[0].items() if found else ():
            if setting not in group:
                raise ConfigError(
                    f"optim._target_={target}: expected an optimizer whose parameter groups have "
                    f"{setting}, which has a multiplier of {multiplier:g} for "
                    f"{', '.join(_names(groups, setting))}",
                    "choose another optimizer, or set model.param=standard",
                )
            group[setting] = group[setting] * multiplier
            group[multiplier_key(setting)] = multiplier


def apply_settings(
    optimizer: torch.optim.Optimizer,
    groups: Sequence[Mapping[str, Any]],
    settings: Mapping[int, Mapping[str, Any]],
    target: str,
) -> None:
    """Give a new optimizer's groups the settings of their entries of ``optim.groups``.

    Args:
        optimizer: built from ``groups``; it may have divided them further.
        groups: of :func:`parameter_groups`.
        settings: by index of the entry.
        target: dotted path of the optimizer, for messages.

    Raises:
        ConfigError: the optimizer has joined groups of different entries, or a setting is not one
            that it keeps for each group.
    """
    entries = {id(one): group.get(ENTRY) for group in groups for one in group["params"]}
    if not any(settings.values()):
        return
    for group in optimizer.param_groups:
        found = {entries.get(id(one)) for one in group["params"]}
        if len(found) > 1:
            raise ConfigError(
                f"optim._target_={target}: expected an optimizer that keeps the parameter groups "
                "it is given, because their settings differ",
                "choose another optimizer, or remove optim.groups",
            )
        index = next(iter(found), None)
        for key, value in settings.get(index, {}).items() if index is not None else ():
            if key not in group:
                kept = sorted(set(group) - _OF_LMLAB - {"initial_lr"})
                raise ConfigError(
                    f"optim.groups[{index}].{key}: expected a setting that {target} keeps for each "
                    f"group of parameters: {', '.join(kept)}",
                    "remove it, or give the group an optimizer of its own",
                )
            group[key] = tuple(value) if isinstance(group[key], tuple) else value


def _multipliers_in(group: Mapping[str, Any]) -> dict[str, float]:
    settings = (field.name for field in dataclasses.fields(Multipliers))
    return {key: group[multiplier_key(key)] for key in settings if multiplier_key(key) in group}


def _names(groups: Sequence[Mapping[str, Any]], setting: str) -> Iterator[str]:
    return (str(group["name"]) for group in groups if multiplier_key(setting) in group)


def rate_names(groups: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the learning rate of each group in rows of metrics.

    Args:
        groups: parameter groups, each with its peak rate as ``initial_lr``.
        settings: the node ``optim`` of the configuration as plain values.

    Returns:
        For each group ``lr`` if ``optim.lr`` sets its rate, otherwise the setting of this value
        that ends in ``lr``, and ``lr_`` with the name of the group where there is none or it has a
        multiplier. Where no group has the rate of ``optim.lr``, with or without a multiplier, the
        first group's is ``lr``.
    """
    others = {key: value for key, value in settings.items() if key != "lr" and key.endswith("lr")}
    rates = [float(group["initial_lr"]) for group in groups]
    factors = [float(group.get(multiplier_key("lr"), 1.0)) for group in groups]
    main = None if settings.get("lr") is None else float(settings["lr"])
    pairs = list(zip(rates, factors, strict=True))
    if main is None or all(rate != main * factor for rate, factor in pairs):
        main = rates[0]
    names = []
    for group, rate, factor in zip(groups, rates, factors, strict=True):
        setting = next((key for key, value in others.items() if value == rate), None)
        own = f"lr_{group.get('name', 'other')}"
        if factor != 1:
            names.append(own)
        else:
            names.append("lr" if rate == main else setting or own)
    return tuple(names)
