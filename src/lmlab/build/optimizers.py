"""The optimizer of a run: that of ``optim``, and those of its groups, as the loop takes them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lmlab.build.instantiate import BoundTarget, bind, describe_failure
from lmlab.build.optimizer_check import check_optimizer
from lmlab.config.optimizer_groups import own_optimizers, without_groups
from lmlab.config.run_config import Component
from lmlab.errors import ConfigError, UserError
from lmlab.optim.group_entry import GroupEntry, check_assigned, parse_entries
from lmlab.optim.groups import (
    ENTRY,
    GroupRule,
    apply_multipliers,
    apply_settings,
    parameter_groups,
    parameter_kind,
)
from lmlab.optim.joint import JointOptimizer
from lmlab.optim.modes import set_training_mode

log = logging.getLogger(__name__)


def bind_optimizer(optim: Component) -> BoundTarget:
    """Bind the optimizer of a node ``optim``, without its groups and without importing it."""
    return bind(Component(without_groups(optim.as_dict())))


def bind_optimizers(optim: Component) -> tuple[BoundTarget, ...]:
    """Bind the optimizer of a node ``optim``, then those of its groups."""
    nodes = (node for _, node in own_optimizers(optim.as_dict()))
    return (bind_optimizer(optim), *(bind(Component(node)) for node in nodes))


def check_groups(optim: Mapping[str, Any], network: Callable[[], nn.Module]) -> None:
    """Check that each group of a node ``optim`` has a parameter, before any data is read.

    Args:
        optim: the node as plain values.
        network: builds the model, which takes no memory here. A component that cannot be built in
            this way leaves the check to :meth:`OptimizerPlan.build`.

    Raises:
        ConfigError: a group has no parameter.
    """
    entries = parse_entries(optim)
    if not entries:
        return
    try:
        with torch.device("meta"):
            model = network()
    except Exception as error:
        log.debug("the groups of optim cannot be checked before the model is built: %r", error)
        return
    check_assigned(entries, _names_and_kinds(model))


def _names_and_kinds(model: nn.Module) -> list[tuple[str, str]]:
    return [(name, parameter_kind(name, one.ndim)) for name, one in model.named_parameters()]


@dataclasses.dataclass(frozen=True)
class OptimizerPlan:
    """What updates which parameters of a model.

    Attributes:
        main: makes the optimizer of all parameters that no group takes to its own.
        entries: of ``optim.groups``, with the rules of the parametrization.
        rules: of the parametrization for the main optimizer.
        ema: ``training.ema`` of the run.
    """

    main: BoundTarget
    entries: tuple[GroupEntry, ...]
    rules: Sequence[GroupRule]
    ema: float | None = None

    def build(self, model: nn.Module, *, is_whole: bool = True) -> torch.optim.Optimizer:
        """Build the optimizer, in training mode; its groups have their peak rate as ``initial_lr``.

        Args:
            model: whose parameters it updates.
            is_whole: whether each group must have a parameter; a smaller copy of the network may
                lack some.

        Raises:
            ConfigError: a group has no parameter, or an optimizer refuses its parameters, has no
                learning rate, needs a closure, or evaluates weights of its own where the run
                averages them.
        """
        if is_whole and self.entries:
            check_assigned(self.entries, _names_and_kinds(model))
        groups = parameter_groups(model, self.rules, entries=self.entries)
        of_main: list[dict[str, Any]] = []
        of_others: dict[int, list[dict[str, Any]]] = {}
        for group in groups:
            entry = self.entries[group[ENTRY]] if ENTRY in group else None
            if entry is None or entry.optimizer is None:
                of_main.append(group)
            else:
                of_others.setdefault(entry.index, []).append(group)
        if not of_main:
            raise ConfigError(
                "optim.groups: expected a parameter that is left to the optimizer of optim; each "
                "is in a group with an optimizer of its own",
                "choose one of these optimizers as optim, and remove its group",
            )
        parts = [self._build_part(self.main, of_main)]
        for index, of_entry in of_others.items():
            node = self.entries[index].optimizer
            assert node is not None
            parts.append(self._build_part(bind(Component(node)), of_entry))
        optimizer = parts[0] if len(parts) == 1 else JointOptimizer(parts)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        set_training_mode(optimizer)
        return optimizer

    def _build_part(
        self, bound: BoundTarget, groups: list[dict[str, Any]]
    ) -> torch.optim.Optimizer:
        target = bound.target
        try:
            optimizer: torch.optim.Optimizer = bound(params=groups)
        except UserError:
            raise
        except Exception as error:
            raise ConfigError(
                describe_failure("optim", target, "be built for this model", error),
                "change the parameters of optim, or choose another optimizer",
            ) from error
        check_optimizer(optimizer, target, self.ema)
        settings = {entry.index: entry.settings for entry in self.entries}
        apply_settings(optimizer, groups, settings, target)
        apply_multipliers(optimizer, groups, target)
        return optimizer


def plan_entries(
    optim: Mapping[str, Any], rules_of: Callable[[Mapping[str, Any]], Sequence[GroupRule]]
) -> tuple[GroupEntry, ...]:
    """Return the entries of ``optim.groups``, with the rules of the parametrization.

    Args:
        optim: the node as plain values.
        rules_of: returns the rules of the parametrization for a node ``optim``.
    """
    return tuple(
        entry if entry.optimizer is None
        else dataclasses.replace(entry, rules=rules_of(entry.optimizer))
        for entry in parse_entries(optim)
    )  # fmt: skip
