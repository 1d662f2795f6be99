"""Refuse state that checkpoints would not hold: a resumed run would compute other numbers.

A scratch copy of the network takes a few steps, is saved and restored into a new copy, and both
take the same further steps. Every bit must agree. lmlab's own components are tested in this way by
its test suite; the check runs where a configuration names any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lmlab.build.factory import build_schedule
from lmlab.build.instantiate import describe_failure
from lmlab.build.run_spec import RunSpec
from lmlab.distributed.comparable import comparable
from lmlab.errors import ConfigError, UserError
from lmlab.preflight.scratch_copy import ScratchCopy
from lmlab.runtime.device import Device
from lmlab.runtime.random_streams import preserved_generators
from lmlab.training.state import Snapshot

STEPS_BEFORE, STEPS_AFTER = 3, 2
_OWN = "lmlab."
_MODULE_INTERNALS = frozenset(vars(torch.nn.Module()))
_OPTIMIZER_INTERNALS = frozenset(vars(torch.optim.SGD([torch.zeros(1)]))) | {"optimizer"}
_ANYWAY = "or set runtime.preflight=warn to train anyway, without an exact resume"


def check_state(spec: RunSpec, device: Device) -> None:
    """Refuse a run that would not resume exactly.

    Raises:
        ConfigError: the schedule depends on more than the step, the optimizer cannot update the
            model, or something that changes during training is not part of a checkpoint.
    """
    if not spec.schedule.target.startswith(_OWN):
        _check_schedule(spec)
    model = spec.workload.model
    parts = [value["_target_"] for value in model.values() if isinstance(value, dict)]
    optimizers = [optimizer.target for optimizer in spec.optimizers]
    if all(target.startswith(_OWN) for target in [*optimizers, *parts]):
        return
    with preserved_generators():
        _check_round_trip(spec, device)


def _check_schedule(spec: RunSpec) -> None:
    """Check that the schedule is a function of the step alone, with numbers as values."""
    steps = sorted({*range(min(20, spec.workload.steps)), max(0, spec.workload.steps - 1)})
    key = f"schedule._target_={spec.schedule.target}"
    schedule, again = build_schedule(spec), build_schedule(spec)
    try:
        values = [schedule(step) for step in steps]
        repeated = [again(step) for step in reversed(steps)][::-1]
    except UserError:
        raise
    except Exception as error:
        raise ConfigError(
            describe_failure("schedule", spec.schedule.target, "be called", error),
            "a schedule takes step and total_steps, and returns the factor of the peak rate",
        ) from error
    for step, value in zip(steps, values, strict=True):
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ConfigError(
                f"{key}: expected a finite number as the factor of the peak rate, found {value!r} "
                f"at step {step}",
                "a schedule takes step and total_steps, and returns the factor of the peak rate",
            )
    if values != repeated:
        raise ConfigError(
            f"{key}: expected a function of the step alone; called again, it returns other values, "
            "and a checkpoint would not hold what it remembers",
            "compute the factor from step and total_steps only",
        )


def _check_round_trip(spec: RunSpec, device: Device) -> None:
    original = ScratchCopy.build(spec, device.device)
    if not _take_steps(original, STEPS_BEFORE):
        return
    snapshot = Snapshot.capture(original.state)
    record = json.loads(json.dumps(snapshot.record))
    resumed, control = (_restored(spec, device, snapshot, record) for _ in range(2))
    lost = sorted(_differences(original, resumed))
    if not _take_steps(original, STEPS_AFTER):
        return
    try:
        for copy in (resumed, control):
            for _ in range(STEPS_AFTER):
                copy.step()
    except Exception as error:  # the same steps of the original succeeded
        raise _problem(spec, lost, error.__cause__ or error) from error
    same = _bits(original) == _bits(resumed)
    lost = sorted(_differences(original, resumed))
    if same and not lost:
        return
    if device.device.type != "cpu" and _bits(resumed) != _bits(control):
        return  # this device does not repeat its own sums
    raise _problem(spec, lost)


def _take_steps(copy: ScratchCopy, number: int) -> bool:
    """Return whether the steps succeed: the run meets errors of a model with their traceback."""
    try:
        for _ in range(number):
            copy.step()
    except UserError:
        raise
    except Exception:
        return False
    return True


def _restored(
    spec: RunSpec, device: Device, snapshot: Snapshot, record: dict[str, Any]
) -> ScratchCopy:
    fresh = ScratchCopy.build(spec, device.device)
    # The optimizer keeps the tensors that it loads, and there are two copies.
    training = {name: tensor.clone() for name, tensor in snapshot.training.items()}
    Snapshot(snapshot.weights, training, record).restore(fresh.state, Path("preflight"))
    return fresh


def _bits(copy: ScratchCopy) -> dict[str, Any]:
    """Return the last losses, the weights and the optimizer's tensors, in comparable form."""
    snapshot = Snapshot.capture(copy.state)
    tensors = {f"loss {number}": loss for number, loss in enumerate(copy.losses[-STEPS_AFTER:])}
    tensors |= {f"weights {name}": tensor for name, tensor in snapshot.weights.items()}
    tensors |= {n: t for n, t in snapshot.training.items() if not n.startswith("random.")}
    return {name: comparable(tensor) for name, tensor in tensors.items()}


def _differences(left: ScratchCopy, right: ScratchCopy) -> Iterator[str]:
    """Yield the names of attributes with other values on the right."""
    optimizers = vars(left.state.optimizer), vars(right.state.optimizer)
    for name in _different(*optimizers, _OPTIMIZER_INTERNALS):
        yield f"optim: {name}"
    modules = dict(right.state.model.named_modules())
    for path, module in left.state.model.named_modules():
        other = modules.get(path)
        if other is None or type(module).__module__.startswith(_OWN):
            continue
        pairs = (module._buffers, other._buffers), (vars(module), vars(other))
        for mine, yours in pairs:
            for name in _different(dict(mine), dict(yours), _MODULE_INTERNALS):
                yield f"{path}.{name}"


def _different(mine: dict[str, Any], yours: dict[str, Any], skip: frozenset[str]) -> list[str]:
    names = [name for name in mine if name not in skip]
    return [name for name in names if comparable(mine[name]) != comparable(yours.get(name))]


def _problem(spec: RunSpec, lost: list[str], failure: BaseException | None = None) -> ConfigError:
    """Describe state that is lost, by what differs after a restore and how a step fails."""
    in_optimizer = [name.removeprefix("optim: ") for name in lost if name.startswith("optim: ")]
    in_model = [name for name in lost if not name.startswith("optim: ")]
    target = spec.optimizer.target
    if in_model:
        shown = ", ".join(in_model[:3]) + (", ..." if len(in_model) > 3 else "")
        return ConfigError(
            f"model: {shown} changes during training and is not part of a checkpoint, so a resumed "
            "run may compute other numbers",
            f"hold it in a buffer: self.register_buffer(name, tensor), persistent; {_ANYWAY}",
        )
    if in_optimizer:
        return ConfigError(
            f"optim._target_={target}: {', '.join(in_optimizer[:3])} changes during training and "
            "is not part of a checkpoint, so a resumed run may compute other numbers",
            "hold it in the optimizer's state, in its parameter groups, or as a number or tensor "
            f"in an attribute; {_ANYWAY}",
        )
    parts = [f"model.{key}" for key, value in spec.workload.model.items()
             if isinstance(value, dict) and not value["_target_"].startswith(_OWN)]  # fmt: skip
    names = [*parts, *([] if target.startswith(_OWN) else [f"optim._target_={target}"])]
    effect = "compute other numbers"
    if failure is not None:
        effect = f"fail ({type(failure).__name__}: {failure})".splitlines()[0]
    return ConfigError(
        f"{' or '.join(names)}: after a save and a restore, the next steps {effect}: "
        "something that changes during training is not part of a checkpoint",
        "keep all state in parameters, persistent buffers and the optimizer's state, and draw "
        f"random numbers from torch's, NumPy's or Python's default generator; {_ANYWAY}",
    )
