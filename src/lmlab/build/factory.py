"""Build the objects of a run from its :class:`lmlab.build.run_spec.RunSpec`.

The spec holds what the configuration says. What only the rest of the run can know (parameters,
folders, the comm) is supplied here.
"""

from __future__ import annotations

import functools
import logging
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmlab.build.callbacks import build_callbacks
from lmlab.build.initial_weights import scale_initial_weights
from lmlab.build.instantiate import BoundTarget
from lmlab.build.kernel_choice import choose_kernels, describe_kernels
from lmlab.build.optimizers import OptimizerPlan, plan_entries
from lmlab.build.run_data import RunData
from lmlab.build.run_spec import RunSpec
from lmlab.build.task_scores import KeepItems, build_task_scores
from lmlab.build.workload import RunWorkload
from lmlab.config.shared_parameters import DOCUMENT
from lmlab.data.batches import Batches
from lmlab.data.mixed_batches import MixedBatches
from lmlab.data.mixed_tokens import Part, Windows, evaluated_parts, parts_of
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.distributed.data_parallel import DataParallelGradients
from lmlab.distributed.fsdp import FSDPOptimizer, unsharded
from lmlab.distributed.zero1 import Zero1Optimizer
from lmlab.nn.document_layout import Documents
from lmlab.nn.transformer import Transformer
from lmlab.optim.groups import rate_names
from lmlab.runtime.background import ThreadWorker
from lmlab.runtime.device import Device
from lmlab.runtime.inductor_cache import set_inductor_cache
from lmlab.runtime.random_streams import RandomStreams, derive_seed, seeded
from lmlab.runtime.signals import SignalHandler
from lmlab.tracking import RunInfo
from lmlab.tracking.guarded_tracker import GuardedTracker
from lmlab.tracking.several import SeveralTrackers
from lmlab.training.checkpoint import Checkpoints
from lmlab.training.cuda_graph import ComputeGradients, maybe_graphed
from lmlab.training.device_batches import DeviceBatches, fits_on_device
from lmlab.training.diagnostics import Diagnostics
from lmlab.training.evaluator import Evaluator, ValidationResult
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.mixed_evaluator import MeasuredSource, MixedEvaluator
from lmlab.training.mixed_precision import Bf16Weights
from lmlab.training.objective import compile_objective, training_objective
from lmlab.training.state import Progress, TrainState
from lmlab.training.trainer import LoopSettings, Trainer
from lmlab.training.weight_average import WeightAverage

log = logging.getLogger(__name__)


def build_model(spec: RunSpec) -> Transformer:
    """Build the model with its initial weights, on the CPU."""
    model = spec.network()
    with seeded(derive_seed(spec.init_seed, "initialization")):
        initializer = spec.initializer()
        initializer(model, seed=spec.init_seed)
    scale_initial_weights(model, initializer, spec.param.init_rules())
    return model


def build_scratch_network(
    spec: RunSpec, device: Device, sizes: Mapping[str, int] | None = None
) -> Transformer:
    """Build the model on its device with random weights, to measure its speed.

    Args:
        spec: of the run.
        device: where the model is built.
        sizes: replaces sizes of the model, by name.
    """
    with torch.device(device.device):
        network = spec.network(**(sizes or {}))
    generator = torch.Generator(device.device).manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.02, generator=generator)
    if spec.workload.windows == DOCUMENT:  # which id ends them makes no difference to the time
        network.documents = Documents(end_id=0)
    network.use(choose_kernels(device, network.context_length, spec.kernel_folder))
    return network


def build_optimizer(
    spec: RunSpec, model: nn.Module, *, is_whole: bool = True
) -> torch.optim.Optimizer:
    """Build the optimizer; each parameter group has its peak learning rate as ``initial_lr``.

    Args:
        spec: of the run.
        model: whose parameters it updates.
        is_whole: False for a smaller copy of the network, which groups may find no parameter in.

    Raises:
        ConfigError: see :meth:`lmlab.build.optimizers.OptimizerPlan.build`.
    """
    optim, rules_of = spec.workload.optim, spec.param.group_rules
    plan = OptimizerPlan(
        spec.optimizer, plan_entries(optim, rules_of), rules_of(optim), spec.workload.ema
    )
    with seeded(derive_seed(spec.init_seed, "optimizer")):
        return plan.build(model, is_whole=is_whole)


def build_state(
    spec: RunSpec,
    device: Device,
    comm: Communicator = SINGLE_PROCESS,
    documents: Documents | None = None,
) -> TrainState:
    """Build model, optimizer and progress before the first step, as this rank holds them.

    Args:
        spec: of the run.
        device: where the model is.
        comm: the ranks that share it.
        documents: what its attention must not cross; see :class:`lmlab.build.run_data.RunData`.
    """
    model = build_model(spec).to(device.device)
    model.documents = documents
    optimizer = build_optimizer(spec, model)
    average = build_average(spec, model)
    if comm.shards_model:  # without an average: see check_parallel
        sharded = FSDPOptimizer(model, lambda: build_optimizer(spec, model), comm)
        return TrainState(model, sharded, Progress())
    if comm.parallel == "zero1":
        return TrainState(model, Zero1Optimizer(optimizer, comm), Progress(), average)
    return TrainState(model, optimizer, Progress(), average)


def build_average(spec: RunSpec, model: nn.Module) -> WeightAverage | None:
    """Build the average of the weights, which starts from the current ones; None without one."""
    ema = spec.workload.ema
    return None if ema is None else WeightAverage(model, ema)


def build_gradients(
    spec: RunSpec,
    model: Transformer,
    device: Device,
    workload: RunWorkload | None = None,
    comm: Communicator = SINGLE_PROCESS,
    announce: bool = False,
) -> ComputeGradients:
    """Build the function that computes the gradients of an update.

    Args:
        spec: of the run.
        model: whose gradients are computed.
        device: where the model is.
        workload: of this rank; that of the full run by default.
        comm: of the ranks that share a batch.
        announce: log which parts of the model compute with kernels.
    """
    workload = workload or spec.workload
    working = Bf16Weights(model) if device.policy.precision == "bf16" else None
    computing = model if working is None else working.model
    kernels = choose_kernels(device, workload.context_length, spec.kernel_folder)
    used = computing.use(kernels)
    if announce:
        log.info("%s", describe_kernels(kernels, used))
    objective = training_objective(computing)
    if device.compile:
        set_inductor_cache(spec.cache_folder)
        objective = compile_objective(objective, device.device)
    gradients = GradientAccumulator(
        objective, micro_batch_size=workload.pass_size, bf16_weights=working
    )
    if comm.shards_model:
        return gradients  # FSDP's hooks cannot be recorded in a CUDA graph
    return maybe_graphed(
        gradients, list(model.parameters()),
        device=device.device, step_flops=training_flops(model, workload),
        setting=spec.device.cuda_graph, buffers=model.buffers, parts=model.modules(),
    )  # fmt: skip


def training_flops(model: Transformer, workload: RunWorkload) -> int:
    """FLOPs of the passes of an update; a backward pass takes two for each forward one."""
    num_tokens = workload.batch_size * model.context_length
    return 3 * model.forward_flops_per_token() * num_tokens


def build_schedule(spec: RunSpec) -> Callable[[int], float]:
    """Build the learning-rate schedule: the factor of the peak rate, by step."""
    workload = spec.workload
    tokens_per_step = workload.batch_size * workload.context_length
    schedule = spec.schedule.load(tokens_per_step=tokens_per_step)
    return functools.partial(schedule, total_steps=workload.steps)


def build_batches(
    spec: RunSpec,
    data: RunData,
    device: torch.device | None = None,
    comm: Communicator = SINGLE_PROCESS,
) -> Batches | DeviceBatches:
    """Build the training batches by step, of which this rank gets its part.

    They are gathered on ``device`` where that is a GPU with space for all training tokens.
    """
    batches = build_host_batches(spec, data, comm)
    if device is not None and fits_on_device(device, len(batches.tokens)):
        return DeviceBatches(batches, device)
    return batches


def build_host_batches(
    spec: RunSpec, data: RunData, comm: Communicator = SINGLE_PROCESS
) -> MixedBatches:
    """Build the training batches by step as arrays in the memory of the host."""
    return MixedBatches(
        data.train.tokens,
        parts_of(data.train),
        context_length=spec.workload.context_length,
        batch_size=spec.workload.batch_size,
        seed=spec.data_seed,
        part=comm.batch_slice(spec.workload.batch_size),
    )


def build_evaluator(
    workload: RunWorkload, data: RunData, device: Device, comm: Communicator = SINGLE_PROCESS
) -> MixedEvaluator:
    """Build the evaluator of the validation loss, of each source of the text and of all."""

    def measure(part: Part, windows: Windows) -> MeasuredSource:
        evaluator = Evaluator(
            part.split.tokens,
            windows,
            part.split.evaluated_bytes(data.tokenizer, windows),
            batch_size=workload.validation_batch_size,
            device=device.device,
            use_bf16=device.policy.precision == "bf16",
            comm=comm,
        )
        return MeasuredSource(part.name, part.share, evaluator)

    evaluated = evaluated_parts(
        data.valid,
        context_length=workload.context_length,
        max_tokens=workload.validation_max_tokens,
    )
    return MixedEvaluator([measure(*one) for one in evaluated])


def build_diagnostics(
    workload: RunWorkload, device: Device, comm: Communicator = SINGLE_PROCESS
) -> Diagnostics | None:
    """Build what measures norms per layer; None for a run without."""
    if not workload.diagnose_every:
        return None
    return Diagnostics(
        every=workload.diagnose_every,
        pass_size=workload.pass_size,
        use_bf16=device.policy.precision == "bf16",
        comm=comm,
    )


def build_checkpoints(workload: RunWorkload, folder: Path) -> Checkpoints:
    """Build the store of the run's checkpoints, which writes in the background."""
    return Checkpoints(
        folder,
        keep_last=workload.keep_last,
        keep_steps=workload.keep_steps,
        worker=ThreadWorker("checkpoint"),
    )


def build_tracker(spec: RunSpec, info: RunInfo) -> SeveralTrackers:
    """Build what receives metrics in addition to ``metrics.jsonl``.

    Raises:
        ConfigError: settings of a tracker are not valid; no other error of one ends a run.
    """

    def start(tracker: BoundTarget) -> GuardedTracker:
        return GuardedTracker(
            lambda: tracker(run_info=info),
            name=f"the tracker {tracker.target}",
            remedy=f"send it later: python -m lmlab.outputs track {shlex.quote(str(info.folder))}",
            waits=not tracker.target.startswith("lmlab."),
        )

    return SeveralTrackers(
        {key: functools.partial(start, tracker) for key, tracker in spec.trackers.items()}
    )


def build_trainer(
    spec: RunSpec,
    device: Device,
    data: RunData,
    state: TrainState,
    comm: Communicator,
    *,
    checkpoints: Checkpoints,
    record: Callable[[dict[str, Any]], None],
    keep_items: KeepItems,
    stop: SignalHandler,
) -> Trainer:
    """Build the training loop of this process: of a full run, or of one of its ranks."""
    model, workload = state.model, spec.workload
    assert isinstance(model, Transformer)
    gradients = build_gradients(
        spec, model, device, workload.for_rank(comm.size), comm, comm.is_rank0
    )
    evaluator = build_evaluator(workload, data, device, comm)
    peak = device.peak_flops()

    def evaluate(model: nn.Module) -> ValidationResult:
        with unsharded(model):  # ranks may evaluate different numbers of batches
            return evaluator.evaluate(model)

    return Trainer(
        state=state,
        gradients=DataParallelGradients(gradients, model, comm),
        batches=build_batches(spec, data, device.device, comm),
        schedule=build_schedule(spec),
        streams=RandomStreams(spec.data_seed, device.device, comm.rank),
        evaluate=evaluate,
        score_tasks=build_task_scores(
            data, device, comm, batch_size=workload.validation_batch_size, keep_items=keep_items
        ),
        callbacks=build_callbacks(spec.callbacks, data.tokenizer),
        diagnostics=build_diagnostics(workload.for_rank(comm.size), device, comm),
        checkpoints=checkpoints,
        record=record,
        settings=LoopSettings(
            steps=workload.steps,
            grad_clip_norm=workload.grad_clip_norm,
            log_every=workload.log_every,
            validate_every=workload.validate_every,
            save_every=workload.save_every,
            divergence_margin=spec.divergence_margin,
            patience=spec.patience,
            # The backward pass takes two products for each one of the forward pass.
            flops_per_token=3 * model.forward_flops_per_token(),
            peak_flops=None if peak is None else peak * comm.size,
            show_progress=comm.is_rank0,
            num_ranks=comm.size,
            save_at=frozenset(workload.keep_steps),
            rate_names=rate_names(state.optimizer.param_groups, workload.optim),
            replicated_weights=not comm.shards_model,
        ),
        device=device.device,
        stop=stop,
    )
