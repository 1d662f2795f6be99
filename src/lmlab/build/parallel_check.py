"""Which settings ranks that share the state of a model do not support."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.build.instantiate import BoundTarget
from lmlab.distributed.communicator import Communicator
from lmlab.errors import ConfigError
from lmlab.optim.update_unit import MODEL, TENSOR, update_unit
from lmlab.runtime.device import Device

_HELP = "set runtime.parallel=zero1, which shards the optimizer state and has no such limit"


_DDP = "set runtime.parallel=ddp, under which every rank updates the whole model"


def check_parallel(
    optimizers: Sequence[BoundTarget],
    device: Device,
    comm: Communicator,
    ema: float | None = None,
) -> None:
    """Refuse settings that cannot be combined with how the ranks share the model.

    Raises:
        ConfigError: FSDP does not support a setting, or the ranks would divide the work of an
            optimizer that needs more than its part or does not declare what it needs.
    """
    if comm.shards_model or comm.parallel == "zero1":
        for optimizer in optimizers:
            _check_unit(optimizer, comm)
    if not comm.shards_model:
        return
    where = "with runtime.parallel=fsdp"
    if ema is not None:
        raise ConfigError(
            f"training.ema={ema:g}: expected null {where}; the average would be full on every rank",
            _HELP,
        )
    if device.policy.precision == "bf16":
        raise ConfigError(
            f"runtime.policy=bf16: expected fast or exact {where}; the bfloat16 copy of the "
            "matrices would be full on every rank",
            _HELP,
        )
    if device.compile:
        raise ConfigError(f"runtime.compile=true: expected false {where}", _HELP)


def _check_unit(optimizer: BoundTarget, comm: Communicator) -> None:
    """Refuse an optimizer that needs more of the model than a rank has."""
    unit = optimizer_unit(optimizer)
    key, where = f"optim._target_={optimizer.target}", f"with runtime.parallel={comm.parallel}"
    if unit is None:
        raise undeclared_unit(optimizer, where, _DDP)
    if unit == MODEL:
        raise ConfigError(
            f"{key}: expected an optimizer that updates each tensor by itself, {where}; the update "
            "of this one depends on all of them",
            _DDP,
        )
    if unit == TENSOR and comm.shards_model:
        raise ConfigError(
            f"{key}: expected an optimizer that updates shards of a matrix, {where}; this one "
            "needs full matrices",
            _HELP,
        )


def optimizer_unit(optimizer: BoundTarget) -> str | None:
    """Return what the update of an optimizer depends on; None where it does not declare it.

    Raises:
        ConfigError: its declaration is not valid.
    """
    return update_unit(optimizer.load().func, optimizer.target)


def undeclared_unit(optimizer: BoundTarget, where: str, instead: str) -> ConfigError:
    """Return the error for an optimizer that does not declare what its update depends on.

    Args:
        optimizer: of the run.
        where: what divides its work, for the message.
        instead: the setting that does not.
    """
    return ConfigError(
        f"optim._target_={optimizer.target}: expected an optimizer that declares what its update "
        f"depends on, {where}, which may leave it only a part of the model",
        'if each element changes by its own gradient and state alone, set update_unit = "element" '
        f'in its class; if each tensor does, "tensor" (see docs/extending.md); or {instead}',
    )
