"""Decide which runs may train as one stack, from their settings alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from lmlab.build.instantiate import BoundTarget
from lmlab.build.optimizers import bind_optimizers
from lmlab.build.parallel_check import optimizer_unit
from lmlab.config.class_constants import class_constant
from lmlab.config.run_config import Component, Model, RunConfig
from lmlab.errors import ConfigError
from lmlab.storage.io import hash_json

# Nodes in which the runs of a stack may differ: each has its own optimizer, schedule and batches.
FREE_NODES = ("arm", "seed", "seeds", "optim", "schedule")
DEVICE_TYPES = ("cpu", "cuda")
BITWISE_POLICIES = ("exact",)  # these promise the bits of a run that trains alone
# Small models on a GPU wait for kernel launches, so that a stacked step takes about as long as a
# single one. Wider models fill a GPU alone, and on a CPU one run per core is faster.
AUTO_DEVICE_TYPE, AUTO_D_MODEL = "cuda", 256
AUTO_MEMBERS = 8


def stack_key(config: RunConfig) -> str:
    """Return a hash of all settings that the runs of a stack must share.

    The optimizer, its schedule, the scheme of the initial weights and the seeds are free.
    """
    content: dict[str, Any] = {k: v for k, v in config.as_dict().items() if k not in FREE_NODES}
    content["model"] = {k: v for k, v in content["model"].items() if k != "init"}
    return hash_json(content)


def obstacle(policy: str, device_type: str, model: Model) -> str | None:
    """Explain why runs cannot be stacked; None where they can.

    Args:
        policy: ``runtime.policy`` of the runs.
        device_type: where they compute.
        model: ``model`` of the runs. The class of a part whose passes cannot be computed for
            several models at once declares ``is_stackable = False``.
    """
    if device_type not in DEVICE_TYPES:
        return f"stacks need a device of type {' or '.join(DEVICE_TYPES)}, not {device_type}"
    if policy in BITWISE_POLICIES:
        return f"runtime.policy={policy} promises the bits of a run that trains alone"
    if model.dropout:
        return f"model.dropout={model.dropout:g} draws numbers that the runs of a stack would share"
    for field in dataclasses.fields(model):
        part = getattr(model, field.name)
        if isinstance(part, Component) and class_constant(part.target, "is_stackable") is False:
            return f"model.{field.name}._target_={part.target} computes one model at a time"
    return None


def undeclared_optimizer(optimizers: Sequence[BoundTarget]) -> str | None:
    """Explain why runs with these optimizers cannot be stacked; None where they can.

    The weights of a run are parts of larger tensors, which an optimizer must update in place.

    Raises:
        ConfigError: the declaration of the optimizer is not valid.
    """
    unknown = next((one for one in optimizers if optimizer_unit(one) is None), None)
    if unknown is None:
        return None
    return (
        f"optim._target_={unknown.target} does not declare update_unit (see docs/extending.md), "
        "and may not update weights that are parts of larger tensors"
    )


def members_at_once(config: RunConfig, device_type: str, setting: int | str) -> int:
    """Return how many runs a stack of a sweep may hold; 1 where its runs train alone.

    Args:
        config: of any run of the sweep.
        device_type: where the runs compute.
        setting: ``hydra.launcher.stack``: ``auto``, ``off``, or a number.

    Raises:
        ConfigError: the setting is none of these, or requests stacks that are not possible.
    """
    if isinstance(setting, bool):  # YAML reads off as False
        setting = "on" if setting else "off"
    if setting == "off":
        return 1
    problem = obstacle(config.runtime.policy, device_type, config.model)
    if config.training.minutes is not None:
        problem = "expected off with training.minutes, whose steps are those of a run alone"
    if setting == "auto":
        pays = device_type == AUTO_DEVICE_TYPE and config.model.d_model <= AUTO_D_MODEL
        stacks = (
            pays and problem is None and undeclared_optimizer(bind_optimizers(config.optim)) is None
        )
        return AUTO_MEMBERS if stacks else 1
    if not isinstance(setting, int) or setting < 2:
        raise ConfigError(
            f"hydra.launcher.stack={setting}: expected auto, off, or an integer of at least 2"
        )
    problem = problem or undeclared_optimizer(bind_optimizers(config.optim))
    if problem is not None:
        raise ConfigError(
            f"hydra.launcher.stack={setting}: {problem}", "set hydra.launcher.stack=auto or off"
        )
    return setting
