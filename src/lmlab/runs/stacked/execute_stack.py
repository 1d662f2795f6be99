"""Trains several runs as one: asks each for its batch, and gives each its loss and gradients."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import torch

from lmlab.build import factory
from lmlab.build.kernel_choice import choose_kernels
from lmlab.build.run_data import check_source, prepare_data
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError
from lmlab.nn.attention import naive_attention
from lmlab.runs import auto_settings
from lmlab.runs.stacked.eligibility import obstacle, stack_key
from lmlab.runs.stacked.member import Member
from lmlab.runs.stacked.stacked_gradients import StackedGradients
from lmlab.runs.stacked.stacked_parameters import StackedParameters
from lmlab.runtime.device import Device
from lmlab.runtime.signals import SignalHandler
from lmlab.training.cuda_graph import ComputeGradients, maybe_graphed


def execute_all(configs: Sequence[RunConfig]) -> list[Member]:
    """Bring the runs of a stack to their ends, each from wherever it stands.

    Their number and order are those of the places, and belong to what makes a resumed stack equal
    to an undisturbed one: the runs that are done are named too.

    Returns:
        The members, with the exit codes that processes of their own would have had.

    Raises:
        UserError: the runs cannot be stacked, or the data or the machine does not allow them.
        Exception: whatever the shared passes raise. No run is marked as failed then, because
            nobody knows which of them is the cause; each can go on by itself.
    """
    first = configs[0]
    check_source(first)
    device = auto_settings.build_device(first)
    _check(configs, device)
    device.apply()
    texts = prepare_data(first)
    members = [Member(config, place, texts, device) for place, config in enumerate(configs)]
    parameters, gradients = _shared(first, len(configs), device)
    with SignalHandler().listen() as stop, contextlib.ExitStack() as leaving:
        for member in members:
            leaving.callback(member.leave)
            member.begin(parameters, len(configs), stop)
        _train(members, parameters, gradients)
    return members


def _check(configs: Sequence[RunConfig], device: Device) -> None:
    problem = obstacle(configs[0], device.device.type)
    if problem is not None:
        raise ConfigError(f"these runs cannot be stacked: {problem}")
    if len({stack_key(config) for config in configs}) > 1:
        raise ConfigError(
            "these runs cannot be stacked: they differ in more than seeds, initial weights, "
            "optimizer and schedule"
        )


def _shared(
    config: RunConfig, size: int, device: Device
) -> tuple[StackedParameters, ComputeGradients]:
    """What the runs have in common: the weights' memory, and the passes."""
    # Torch's attention has no stacked form on a CPU: one place after the other, where it is used.
    warnings.filterwarnings("ignore", message=".*batching rule")
    template = factory.build_network(config.model).to(device.device)
    if device.device.type == "cuda":  # where stacked, torch's fused one gives other gradients
        template.use_causal_attention(naive_attention)
    choose_kernels(config, device).install(template)
    parameters = StackedParameters(template, size, device.device)
    gradients = StackedGradients(
        template,
        parameters,
        micro_batch_size=config.training.micro_batch_size or config.training.batch_size,
        products=torch.bfloat16 if device.policy.precision == "bf16" else torch.float32,
        compiled=device.compile,
    )
    return parameters, maybe_graphed(
        gradients, list(parameters.tensors.values()),
        device=device.device, step_flops=size * factory.training_flops(config, template),
        setting=config.runtime.cuda_graph,
    )  # fmt: skip


def _train(
    members: Sequence[Member], parameters: StackedParameters, gradients: ComputeGradients
) -> None:
    inputs_KBT: torch.Tensor | None = None
    while going := [(member, member.batch) for member in members if member.batch is not None]:
        if inputs_KBT is None:
            example = going[0][1][0]
            # Empty places compute on zeros; nobody reads what comes of it.
            inputs_KBT = example.new_zeros(len(members), *example.shape)
            targets_KBT = torch.zeros_like(inputs_KBT)
        for member, (inputs, targets) in going:
            inputs_KBT[member.place], targets_KBT[member.place] = inputs, targets
        losses = gradients(inputs_KBT, targets_KBT)
        for member, _ in going:
            parameters.hand_out_gradients(member.place)
            member.go_on(losses[member.place])
