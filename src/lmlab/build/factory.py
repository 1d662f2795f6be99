"""From a frozen configuration to objects: the one place that knows both.

Every leaf of the configuration names its class or function by ``_target_`` and holds its knobs;
what only the rest of the run can know (sizes, parameters, folders) is supplied here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import torch

from lmlab.build.instantiate import instantiate, target_partial
from lmlab.build.kernel_choice import choose_kernels
from lmlab.build.run_data import RunData
from lmlab.config.run_config import Model, RunConfig
from lmlab.data.batches import Batches, validation_windows
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.distributed.fsdp import FSDPOptimizer
from lmlab.distributed.zero1 import Zero1Optimizer
from lmlab.errors import ConfigError
from lmlab.nn.transformer import Transformer
from lmlab.optim.groups import parameter_groups
from lmlab.runtime.background import ThreadWorker
from lmlab.runtime.compile_policy import set_inductor_cache
from lmlab.runtime.device import Device
from lmlab.tracking import RunInfo, Tracker
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.cuda_graph import ComputeGradients, maybe_graphed
from lmlab.training.device_batches import DeviceBatches, fits_on_device
from lmlab.training.evaluator import Evaluator
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import chunked_loss, compile_objective, full_logits_loss
from lmlab.training.state import Progress, TrainState


def check_parallel(config: RunConfig, device: Device, comm: Communicator) -> None:
    """Refuse a division of the model that its parts do not allow. Raises :class:`ConfigError`."""
    if not comm.shards_model:
        return
    where = "runtime.parallel=fsdp"
    instead = "runtime.parallel=zero1 divides the optimizer's state and has no such bound"
    optimizer = target_partial(config.optim).func
    if getattr(optimizer, "needs_full_matrices", False):
        raise ConfigError(
            f"optim._target_={config.optim.target}: it needs whole matrices, which {where} cuts; "
            f"{instead}"
        )
    if device.policy.precision == "bf16":
        raise ConfigError(
            f"runtime.policy=bf16: its rounded copy of the matrices would be whole on every rank; "
            f"accepted with {where} is fast or exact; {instead}"
        )
    if device.compile:
        raise ConfigError(f"runtime.compile=true: accepted with {where} is false; {instead}")


def build_model(config: RunConfig) -> Transformer:
    """The model with its initial weights, on the CPU."""
    network = build_network(config.model)
    instantiate(config.model.init)(network, seed=config.seeds.init)
    return network


def build_network(model: Model) -> Transformer:
    """The model's parts put together; its weights are whatever torch gives."""
    return Transformer(
        vocab_size=model.vocab_size,
        context_length=model.context_length,
        d_model=model.d_model,
        num_layers=model.num_layers,
        num_heads=model.num_heads,
        d_ff=None if model.d_ff == "auto" else int(model.d_ff),
        tie_embeddings=model.tie_embeddings,
        norm=instantiate(model.norm),
        pos=instantiate(
            model.pos,
            d_model=model.d_model,
            d_head=model.d_model // model.num_heads,
            context_length=model.context_length,
        ),
        ffn=target_partial(model.ffn),
        attention=target_partial(model.attention),
    )


def build_scratch_network(config: RunConfig, device: Device) -> Transformer:
    """The model on its device with weights that are fit for measuring its time alone."""
    with torch.device(device.device):
        network = build_network(config.model)
    generator = torch.Generator(device.device).manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.02, generator=generator)
    choose_kernels(config, device).install(network)
    return network


def build_optimizer(config: RunConfig, model: Transformer) -> torch.optim.Optimizer:
    """The optimizer over the model's groups, each with its peak rate as ``initial_lr``."""
    optimizer: torch.optim.Optimizer = instantiate(config.optim, params=parameter_groups(model))
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def build_gradients(
    config: RunConfig,
    model: Transformer,
    device: Device,
    micro_batch_size: int | None = None,
    comm: Communicator = SINGLE_PROCESS,
) -> ComputeGradients:
    """What computes an update's gradients; the micro-batch is the run's unless given."""
    training = config.training
    working = Bf16Weights(model) if device.policy.precision == "bf16" else None
    own = model if working is None else working.model
    kernels = choose_kernels(config, device)
    kernels.install(own)
    objective = full_logits_loss(own)
    if not device.policy.is_exact:
        objective = chunked_loss(own, kernels.head_loss())
    if device.compile:
        own.fuse_linears()  # eager, the parts of the joint result would stay in memory together
        set_inductor_cache(config.cache_folder)
        objective = compile_objective(objective, device.device)
    gradients = GradientAccumulator(
        objective,
        micro_batch_size=micro_batch_size or training.micro_batch_size or training.batch_size,
        working=working,
    )
    if comm.shards_model:
        return gradients  # what its hooks do cannot be recorded
    return maybe_graphed(
        gradients, list(model.parameters()),
        device=device.device, step_flops=training_flops(config, model),
        setting=config.runtime.cuda_graph,
    )  # fmt: skip


def training_flops(config: RunConfig, model: Transformer) -> int:
    """FLOPs of the passes of an update: a backward pass takes two of each forward one."""
    num_tokens: int = config.training.batch_size * model.context_length
    return 3 * model.forward_flops_per_token() * num_tokens


def build_schedule(config: RunConfig) -> Callable[[int], float]:
    """The factor of the peak learning rate by step."""
    return functools.partial(target_partial(config.schedule), total_steps=config.training.steps)


def build_batches(
    config: RunConfig,
    texts: RunData,
    place: torch.device | None = None,
    comm: Communicator = SINGLE_PROCESS,
) -> Batches | DeviceBatches:
    """Training batches by step, or this rank's part of them.

    They come from ``place``, where it is a GPU that holds the whole text.
    """
    batches = Batches(
        texts.train.tokens,
        context_length=config.model.context_length,
        batch_size=config.training.batch_size,
        seed=config.seeds.data,
        part=comm.batch_slice(config.training.batch_size),
    )
    if place is not None and fits_on_device(place, len(batches.tokens)):
        return DeviceBatches(batches, place)
    return batches


def build_evaluator(
    config: RunConfig, texts: RunData, device: Device, comm: Communicator = SINGLE_PROCESS
) -> Evaluator:
    """The measure of held-out loss."""
    windows = validation_windows(
        texts.valid.tokens,
        context_length=config.model.context_length,
        max_tokens=config.validation.max_tokens,
    )
    return Evaluator(
        texts.valid.tokens,
        windows,
        texts.tokenizer.token_byte_lengths,
        batch_size=config.validation.batch_size,
        device=device.device,
        in_bf16=device.policy.precision == "bf16",
        comm=comm,
    )


def build_state(
    config: RunConfig, device: Device, comm: Communicator = SINGLE_PROCESS
) -> TrainState:
    """Model, optimizer and progress of a run that has not begun, as one of its ranks has them."""
    model = build_model(config).to(device.device)
    optimizer = build_optimizer(config, model)
    if comm.shards_model:
        divided = FSDPOptimizer(model, lambda: build_optimizer(config, model), comm)
        return TrainState(model, divided, Progress())
    if comm.parallel == "zero1":
        return TrainState(model, Zero1Optimizer(optimizer, comm), Progress())
    return TrainState(model, optimizer, Progress())


def build_checkpoints(config: RunConfig, folder: Path) -> Checkpoints:
    """The keeper of the run's saved states, which are written in the background."""
    return Checkpoints(
        folder,
        keep_last=config.checkpoint.keep_last,
        keep_steps=config.checkpoint.keep_steps,
        worker=ThreadWorker("checkpoint"),
    )


def build_tracker(config: RunConfig, info: RunInfo) -> Tracker:
    """Where rows go besides ``metrics.jsonl``."""
    tracker: Tracker = instantiate(config.logger, run_info=info)
    return tracker
