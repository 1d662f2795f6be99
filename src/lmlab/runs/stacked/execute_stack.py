"""Train several runs as one model: collect their batches, and hand out losses and gradients."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Sequence

import torch

from lmlab.build import factory
from lmlab.build.kernel_choice import choose_kernels
from lmlab.build.run_data import check_source, prepare_data
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError
from lmlab.nn.attention import naive_attention
from lmlab.nn.biased_attention import naive_biased_attention
from lmlab.nn.document_layout import Documents
from lmlab.nn.kernel_set import KernelSet
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.stacked.eligibility import obstacle, stack_key, undeclared_optimizer
from lmlab.runs.stacked.member import StackMember
from lmlab.runs.stacked.stacked_gradients import StackedGradients
from lmlab.runs.stacked.stacked_parameters import StackedParameters
from lmlab.runtime.device import Device
from lmlab.runtime.signals import SignalHandler
from lmlab.training.cuda_graph import ComputeGradients, maybe_graphed


def execute_stack(configs: Sequence[RunConfig]) -> list[StackMember]:
    """Train the runs of a stack to their ends, each from its last checkpoint.

    A resumed stack equals an undisturbed one only if number and order of the configurations are
    the same, so include those of finished runs.

    Returns:
        The members, with the exit codes that processes of their own would have had.

    Raises:
        UserError: the runs cannot be stacked, or the data or the machine does not allow them.
        Exception: the shared passes failed. No run is marked as failed, since the cause may be in
            any of them; each can still train alone.
    """
    if len({stack_key(config) for config in configs}) > 1:
        raise ConfigError(
            "the runs cannot be stacked: expected configurations that differ in seeds, initial "
            "weights, optimizer and schedule only"
        )
    specs = [resolve(config) for config in configs]
    first = specs[0]
    check_source(first.data)
    device = choose_device(first)
    problem = obstacle(first.device.policy, device.device.type, configs[0].model)
    problems = (undeclared_optimizer(spec.optimizers) for spec in specs)
    problem = problem or next((one for one in problems if one is not None), None)
    if problem is not None:
        raise ConfigError(f"the runs cannot be stacked: {problem}")
    device.apply()
    data = prepare_data(first.data)
    members = [StackMember(spec, index, data, device) for index, spec in enumerate(specs)]
    parameters, gradients = _build_shared(first, len(specs), device, data.documents)
    with SignalHandler().listen() as stop, contextlib.ExitStack() as cleanup:
        for member in members:
            cleanup.callback(member.leave)
            member.begin(parameters, len(specs), stop)
        _train(members, parameters, gradients)
    return members


def _build_shared(
    spec: RunSpec, size: int, device: Device, documents: Documents | None
) -> tuple[StackedParameters, ComputeGradients]:
    """Build the stacked weights and the passes that all members share."""
    # Torch's attention has no batching rule on a CPU; vmap loops over the members there.
    warnings.filterwarnings("ignore", message=".*batching rule")
    template = spec.network().to(device.device)
    template.documents = documents
    if device.device.type == "cuda":  # stacked, torch's fused attention has wrong gradients
        template.use(
            KernelSet(
                causal_attention=lambda d_head: naive_attention,
                biased_attention=naive_biased_attention,
            )
        )
    kernels = choose_kernels(device, spec.workload.context_length, spec.kernel_folder)
    # vmap has no rule for losses that compute their own gradients.
    template.use(dataclasses.replace(kernels, head_loss=None, apply_linears=None))
    parameters = StackedParameters(template, size, device.device)
    gradients = StackedGradients(
        template,
        parameters,
        micro_batch_size=spec.workload.pass_size,
        products=torch.bfloat16 if device.policy.precision == "bf16" else torch.float32,
        compiled=device.compile,
    )
    return parameters, maybe_graphed(
        gradients, list(parameters.tensors.values()),
        device=device.device, step_flops=size * factory.training_flops(template, spec.workload),
        setting=spec.device.cuda_graph,
    )  # fmt: skip


def _train(
    members: Sequence[StackMember], parameters: StackedParameters, gradients: ComputeGradients
) -> None:
    inputs_KBT: torch.Tensor | None = None
    while active := [(member, member.batch) for member in members if member.batch is not None]:
        if inputs_KBT is None:
            example = active[0][1][0]
            # Members without a run compute on zeros; the results are not used.
            inputs_KBT = example.new_zeros(len(members), *example.shape)
            targets_KBT = torch.zeros_like(inputs_KBT)
        for member, (inputs, targets) in active:
            inputs_KBT[member.index], targets_KBT[member.index] = inputs, targets
        losses = gradients(inputs_KBT, targets_KBT)
        for member, _ in active:
            parameters.assign_gradients(member.index)
            member.step({name: one[member.index] for name, one in losses.items()})
