"""From the settings of ``runtime`` to a :class:`Device`: what is left to ``auto`` is chosen here.

What is measured or predicted for a choice may come out otherwise another time, and the choice
changes a run's last bits. So it is made once for a shape and kept below ``output_root/cache``; and
a run that was begun goes on as it was begun, whatever became of that folder.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import torch

from lmlab.accounting.model_counts import update_flops
from lmlab.build import factory
from lmlab.build.identity import NUMERICS_VERSIONS
from lmlab.config.compose import from_dict
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.preflight.forecast import costs_of
from lmlab.preflight.machine_resources import free_memory
from lmlab.run_folder import RunFolder
from lmlab.runtime.compile_policy import Workload, should_compile
from lmlab.runtime.device import Device, resolve_device
from lmlab.runtime.precision import FULL_PRECISION, time_matmuls
from lmlab.storage.io import get_or_create_json, hash_json
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.objective import chunked_loss

# What a timed pass of one layer may take: a tenth of a second on a core of about this speed.
PROBE_FLOPS = 2e10
# Of the plain product's time: a smaller gain is within the noise of a busy machine, and would make
# runs of the same settings differ in their last bits for nothing.
WORTHWHILE_SHARE = 0.95
# Of an update: below, products are a small part of a step, and their choice is left alone.
LEAST_FLOPS = 1e9


def build_device(config: RunConfig) -> Device:
    """Resolve ``runtime``, for this very configuration: its shape and length decide too.

    Raises:
        ConfigError: the device is not here, or cannot carry out the policy.
    """
    runtime = config.runtime
    device = _on_this_machine(runtime.device, runtime.policy, runtime.threads)
    begun = _as_begun(config, device)
    if device.policy.matmul_precision != FULL_PRECISION and device.device.type == "cpu":
        products = begun["products"] if begun else _faster_products(config, device)
        policy = dataclasses.replace(device.policy, matmul_precision=products)
        device = dataclasses.replace(device, policy=policy)
    compiled = runtime.compile
    if compiled == "auto":
        compiled = begun["compile"] if begun else _pays_to_compile(config, device)
    return dataclasses.replace(device, compile=compiled)


@functools.lru_cache
def _on_this_machine(device: str, policy: str, threads: int | str) -> Device:
    return resolve_device(device=device, policy=policy, compile=False, threads=threads)


def _as_begun(config: RunConfig, device: Device) -> dict[str, Any] | None:
    """How the run, or the one that it goes on from, computes; None where neither was begun."""
    for folder in filter(None, (config.parent, str(config.named_folder))):
        identity = RunFolder(Path(folder)).meta().get("identity")
        if identity is None:
            continue
        begun: dict[str, Any] = identity["device"]
        chosen = {key: begun.get(key) for key in ("products", "compile")}
        same_device = begun == device.identity() | chosen
        if config.parent or (same_device and identity["config"] == identity_settings(config)):
            return begun
    return None


def _faster_products(config: RunConfig, device: Device) -> str:
    """The faster of the float32 products that are exact enough, for this shape."""
    if (update_flops(config.as_dict()) or LEAST_FLOPS) < LEAST_FLOPS:
        return FULL_PRECISION
    shape = _shape(config, device)
    path = config.cache_folder / "products" / f"{hash_json(shape)[:24]}.json"
    if not path.exists() and not _can_be_timed(config, device):
        return FULL_PRECISION
    return str(get_or_create_json(path, lambda: _time_products(config, device))["products"])


def _can_be_timed(config: RunConfig, device: Device) -> bool:
    """Whether memory holds what is timed; where it does not, preflight refuses the run."""
    costs, free = costs_of(_probe(config), device), free_memory(device.device)
    if costs is None or free is None:
        return True
    return costs.memory.training - costs.memory.optimizer <= free


def _probe(config: RunConfig) -> RunConfig:
    """One layer, and as much of a batch as a timed pass may take."""
    content = config.as_dict()
    model, training = content["model"], content["training"]
    model["num_layers"] = 1
    whole = training["batch_size"]
    sequences = PROBE_FLOPS * whole / (update_flops(content) or PROBE_FLOPS)
    micro = training["micro_batch_size"] or whole
    model["context_length"] = max(1, int(model["context_length"] * min(1.0, sequences)))
    training |= {"batch_size": max(1, min(micro, int(sequences))), "micro_batch_size": None}
    return from_dict(content)


def _time_products(config: RunConfig, device: Device) -> dict[str, Any]:
    probe = _probe(config)
    sequences, length = probe.training.batch_size, probe.model.context_length
    network = factory.build_scratch_network(probe, device)
    gradients = GradientAccumulator(chunked_loss(network), micro_batch_size=sequences)
    tokens = torch.arange(sequences * length).reshape(sequences, length) % config.model.vocab_size
    former = torch.get_num_threads()
    torch.set_num_threads(device.threads)
    try:
        seconds = time_matmuls(
            lambda: gradients(tokens, tokens), (FULL_PRECISION, device.policy.matmul_precision)
        )
    finally:
        torch.set_num_threads(former)
    least = WORTHWHILE_SHARE * seconds[FULL_PRECISION]
    faster = (
        device.policy.matmul_precision
        if seconds[device.policy.matmul_precision] < least
        else FULL_PRECISION
    )
    return {"products": faster, "seconds": seconds}


def _pays_to_compile(config: RunConfig, device: Device) -> bool:
    if device.policy.is_exact:  # its bits are to be the equations' own
        return False
    work = Workload(
        shape=_shape(config, device), steps=config.training.steps,
        step_flops=update_flops(config.as_dict()), device_type=device.device.type,
        precision=device.policy.precision, threads=device.threads,
    )  # fmt: skip
    return should_compile(work, config.cache_folder)


def _shape(config: RunConfig, device: Device) -> dict[str, Any]:
    """Everything that the time of a step depends on."""
    training, model = config.training, config.model.as_dict()
    return {
        "torch": torch.__version__,
        "numerics": NUMERICS_VERSIONS[device.device.type],
        "model": {key: value for key, value in model.items() if key != "init"},
        "micro_batch": training.micro_batch_size or training.batch_size,
        "batch": training.batch_size,
        "device": device.identity() | {"name": device.name()},
    }
