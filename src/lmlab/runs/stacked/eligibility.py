"""Which runs may train as one stack. Settings only: each is asked before anything is started."""

from __future__ import annotations

from typing import Any

from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError
from lmlab.storage.io import hash_json

# Nodes in which the runs of a stack may differ: each has its own optimizer, schedule and batches.
FREE = ("arm", "seed", "seeds", "optim", "schedule")
DEVICES = ("cpu", "cuda")
BITWISE = ("exact",)  # values of runtime.policy that promise the bits of a run alone
# Where a step waits for launches rather than for products, a stack of steps takes about as long
# as one; wider models fill a GPU by themselves, and on a CPU a core a run is faster.
AUTO_DEVICE, AUTO_D_MODEL = "cuda", 256
AUTO_MEMBERS = 8


def stack_key(config: RunConfig) -> str:
    """A hash that runs share when they can be stacked: everything but what may differ.

    Free are the learning rate and all else of the optimizer and its schedule, the initial weights
    (their scheme too), and the seeds.
    """
    content: dict[str, Any] = {k: v for k, v in config.as_dict().items() if k not in FREE}
    content["model"] = {k: v for k, v in content["model"].items() if k != "init"}
    return hash_json(content)


def obstacle(config: RunConfig, device_type: str) -> str | None:
    """What stands against stacking this run, for people; None where nothing does.

    Args:
        config: of the run.
        device_type: that it computes on.
    """
    if device_type not in DEVICES:
        return f"stacks run on {' and '.join(DEVICES)}, and this is {device_type}"
    policy = config.as_dict()["runtime"].get("policy")
    if policy in BITWISE:
        return f"runtime.policy={policy} promises the bits of a run by itself"
    return None


def may_stack(config: RunConfig, device_type: str) -> bool:
    """Whether this run may be part of a stack; its losses then differ in their last bits."""
    return obstacle(config, device_type) is None


def members_at_once(config: RunConfig, device_type: str, setting: int | str) -> int:
    """How many runs a stack of this sweep may hold; 1 where its runs train alone.

    Args:
        config: of any run.
        device_type: that it computes on.
        setting: ``hydra.launcher.stack``: ``auto``, ``off``, or a number.

    Raises:
        ConfigError: the setting is none of these, or asks for stacks where they are refused.
    """
    if isinstance(setting, bool):  # YAML's word for off
        setting = "off" if not setting else "on"
    if setting == "off":
        return 1
    if setting == "auto":
        pays = device_type == AUTO_DEVICE and config.model.d_model <= AUTO_D_MODEL
        return AUTO_MEMBERS if pays and may_stack(config, device_type) else 1
    if not isinstance(setting, int) or setting < 2:
        raise ConfigError(f"hydra.launcher.stack={setting}: accepted is auto, off, or 2 or more")
    problem = obstacle(config, device_type)
    if problem is not None:
        raise ConfigError(f"hydra.launcher.stack={setting}: {problem}; set it to auto or off")
    return setting
