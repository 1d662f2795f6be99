"""Choose the settings of ``runtime`` that are ``auto``, and make a :class:`Device` of them all.

Choices that rest on a measurement or prediction could come out differently another time, and they
change the last bits of a run. Each is therefore made once per workload and kept in the cache
folder. A run that has started keeps its choices even where the cache folder is gone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lmlab.accounting.model_counts import update_flops
from lmlab.build import factory
from lmlab.build.equal_settings import mean_the_same
from lmlab.build.identity import NUMERICS_VERSIONS
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.build.workload import RunWorkload
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError
from lmlab.preflight.forecast import costs_of
from lmlab.preflight.machine_resources import free_memory
from lmlab.run_folder import RunFolder
from lmlab.runtime.compile_policy import Workload, missing_to_compile, should_compile
from lmlab.runtime.device import Device, resolve_device
from lmlab.runtime.precision import FULL_PRECISION, time_matmuls
from lmlab.storage.io import hash_json
from lmlab.storage.sealed import get_or_create
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.objective import training_objective

# FLOPs of a timed pass of one layer: about a tenth of a second on a core of 200 GFLOP/s.
PROBE_FLOPS = 2e10
# Of the plain product's time. A smaller gain is within the noise of a busy machine, and would make
# the last bits of equal runs differ for nothing.
WORTHWHILE_FRACTION = 0.95
# Of an update. Below, products are a small part of a step, and the plain ones are kept.
MIN_UPDATE_FLOPS = 1e9
_ANSWER = frozenset({"products", "seconds"})
_CHOICES = frozenset({"products", "compile"})  # keys of a device's identity


def build_device(config: RunConfig) -> Device:
    """Choose the device of a configuration; see :func:`choose_device`."""
    return choose_device(resolve(config))


def choose_device(spec: RunSpec) -> Device:
    """Resolve the device settings for the workload of this run.

    Raises:
        ConfigError: the device does not exist here, or does not support the policy.
    """
    request = spec.device
    device = _on_this_machine(request.device, request.policy, request.threads)
    previous = _previous_choices(spec, device)
    if device.policy.matmul_precision != FULL_PRECISION and device.device.type == "cpu":
        products = previous["products"] if previous else _faster_products(spec, device)
        policy = dataclasses.replace(device.policy, matmul_precision=products)
        device = dataclasses.replace(device, policy=policy)
    compiled = request.compile
    if compiled == "auto":
        compiled = previous["compile"] if previous else _pays_to_compile(spec, device)
    elif compiled and (missing := missing_to_compile(device.device.type)) is not None:
        needed, fix = missing
        raise ConfigError(
            f"runtime.compile=true: expected {needed}", f"{fix}, or set runtime.compile=false"
        )
    return dataclasses.replace(device, compile=bool(compiled))


@functools.lru_cache
def _on_this_machine(device: str, policy: str, threads: int | str) -> Device:
    return resolve_device(device=device, policy=policy, compile=False, threads=threads)


def _previous_choices(spec: RunSpec, device: Device) -> dict[str, Any] | None:
    """The device identity of the run, or of its parent; None where neither has started."""
    for folder in filter(None, (spec.parent, str(spec.named_folder))):
        identity = RunFolder(Path(folder)).meta().get("identity")
        if not isinstance(identity, Mapping):
            continue  # of no run, or damaged
        previous = identity.get("device")
        if not isinstance(previous, Mapping) or not previous.keys() >= _CHOICES:
            continue
        if spec.parent:
            return dict(previous)
        chosen = {key: previous[key] for key in _CHOICES}
        is_same_device = previous == device.identity() | chosen
        if is_same_device and mean_the_same(spec.identity_settings, identity.get("config", {})):
            return dict(previous)
    return None


def _faster_products(spec: RunSpec, device: Device) -> str:
    """The fastest float32 products that are accurate enough, for this workload."""
    flops = update_flops(spec.workload.accounting_settings())
    if (flops or MIN_UPDATE_FLOPS) < MIN_UPDATE_FLOPS:
        return FULL_PRECISION
    shape = _shape(spec.workload, device)
    path = spec.cache_folder / "products" / f"{hash_json(shape)[:24]}.json"
    if not path.exists() and not _fits_in_memory(spec.workload, device):
        return FULL_PRECISION
    return str(get_or_create(path, lambda: _time_products(spec, device), _ANSWER)["products"])


def _fits_in_memory(workload: RunWorkload, device: Device) -> bool:
    """Whether memory holds the timed pass; where it does not, preflight refuses the run."""
    costs, free = costs_of(_probe(workload), device), free_memory(device.device)
    if costs is None or free is None:
        return True
    return costs.memory.training - costs.memory.optimizer <= free


def _probe(workload: RunWorkload) -> RunWorkload:
    """One layer of the model, with as much of a batch as a timed pass may take."""
    single = dataclasses.replace(workload, model={**workload.model, "num_layers": 1})
    flops = update_flops(single.accounting_settings()) or PROBE_FLOPS
    sequences = PROBE_FLOPS * workload.batch_size / flops
    context_length = max(1, int(workload.context_length * min(1.0, sequences)))
    return dataclasses.replace(
        single,
        model={**single.model, "context_length": context_length},
        batch_size=max(1, min(workload.pass_size, int(sequences))),
        micro_batch_size=None,
    )


def _time_products(spec: RunSpec, device: Device) -> dict[str, Any]:
    probe = _probe(spec.workload)
    sequences, length = probe.batch_size, probe.context_length
    network = factory.build_scratch_network(
        spec, device, {"num_layers": 1, "context_length": length}
    )
    gradients = GradientAccumulator(training_objective(network), micro_batch_size=sequences)
    tokens = torch.arange(sequences * length).reshape(sequences, length) % probe.vocab_size
    former = torch.get_num_threads()
    torch.set_num_threads(device.threads)
    try:
        seconds = time_matmuls(
            lambda: gradients(tokens, tokens), (FULL_PRECISION, device.policy.matmul_precision)
        )
    finally:
        torch.set_num_threads(former)
    bound = WORTHWHILE_FRACTION * seconds[FULL_PRECISION]
    other = device.policy.matmul_precision
    products = other if seconds[other] < bound else FULL_PRECISION
    return {"products": products, "seconds": seconds}


def _pays_to_compile(spec: RunSpec, device: Device) -> bool:
    if device.policy.is_exact:  # its bits are those of the plain equations
        return False
    work = Workload(
        shape=_shape(spec.workload, device), steps=spec.workload.steps,
        step_flops=update_flops(spec.workload.accounting_settings()),
        device_type=device.device.type, precision=device.policy.precision, threads=device.threads,
    )  # fmt: skip
    return should_compile(work, spec.cache_folder)


def _shape(workload: RunWorkload, device: Device) -> dict[str, Any]:
    """Everything that the time of a step depends on."""
    return {
        "torch": torch.__version__,
        "numerics": NUMERICS_VERSIONS[device.device.type],
        "model": {key: value for key, value in workload.model.items() if key != "init"},
        "micro_batch": workload.pass_size,
        "batch": workload.batch_size,
        "device": device.identity() | {"name": device.name()},
    }
