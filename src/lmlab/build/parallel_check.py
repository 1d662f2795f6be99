"""Which settings FSDP does not support."""

from __future__ import annotations

from lmlab.build.instantiate import BoundTarget
from lmlab.distributed.communicator import Communicator
from lmlab.errors import ConfigError
from lmlab.runtime.device import Device

_HELP = "set runtime.parallel=zero1, which shards the optimizer state and has no such limit"


def check_parallel(
    optimizer: BoundTarget, device: Device, comm: Communicator, ema: float | None = None
) -> None:
    """Refuse settings that cannot be combined with FSDP. Raises :class:`ConfigError`."""
    if not comm.shards_model:
        return
    where = "with runtime.parallel=fsdp"
    if getattr(optimizer.load().func, "needs_full_matrices", False):
        raise ConfigError(
            f"optim._target_={optimizer.target}: expected an optimizer that updates shards of a "
            f"matrix, {where}; this one needs full matrices",
            _HELP,
        )
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
