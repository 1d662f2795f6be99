"""Gradients as one CUDA graph: recorded once, then started as a whole at each update.

A small model's step is a few hundred kernels, each done sooner than the host can start the next.
What is recorded are the forward and backward passes over the batch; clipping and the update follow
as they are, a few kernels over all parameters at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import nn

from lmlab.runtime.compile_policy import GPU_RATE

LAUNCH_BOUND_SECONDS = 0.1  # of predicted work a step: longer ones keep the device busy anyway
WARM_UP = 3  # passes before recording: libraries choose their kernels, Inductor compiles
log = logging.getLogger(__name__)

ComputeGradients = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def maybe_graphed(
    compute: ComputeGradients,
    parameters: Sequence[nn.Parameter],
    *,
    device: torch.device,
    step_flops: int,
    setting: str | bool,
) -> ComputeGradients:
    """``compute``, recorded as a graph where launches take longer than the work.

    Args:
        compute: see :class:`CudaGraphGradients`.
        parameters: see :class:`CudaGraphGradients`.
        device: that it computes on; there are graphs on CUDA alone.
        step_flops: FLOPs of a call.
        setting: ``runtime.cuda_graph``: ``auto``, or False for no graph.
    """
    is_small = step_flops < LAUNCH_BOUND_SECONDS * GPU_RATE
    if device.type == "cuda" and is_small and setting == "auto":
        return CudaGraphGradients(compute, parameters)
    return compute


class CudaGraphGradients:
    """Called as :class:`lmlab.training.gradient_accumulation.GradientAccumulator` is, for batches of one shape.

    Where recording fails, which some operations do not allow, it says so once and computes as
    before.

    Args:
        compute: adds the gradients of the mean loss to the parameters and returns the loss.
        parameters: whose gradients it leaves; they have none at each call.
    """

    def __init__(self, compute: ComputeGradients, parameters: Sequence[nn.Parameter]) -> None:
        self.compute = compute
        self.parameters = list(parameters)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._may_record = True

    def __call__(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        """Leave the batch's gradients in the parameters; return its loss, left on the device."""
        if self._graph is None and self._may_record:
            try:
                self._record(inputs_BT, targets_BT)
            except RuntimeError as error:
                self._graph, self._may_record = None, False
                log.warning("the step is not recorded as a CUDA graph: %s", error)
                self._forget()
        if self._graph is None:
            return self.compute(inputs_BT, targets_BT)
        self._inputs.copy_(inputs_BT)
        self._targets.copy_(targets_BT)
        self._graph.replay()
        for parameter, gradient in zip(self.parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._loss.clone()

    def _record(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> None:
        self._inputs, self._targets = inputs_BT.clone(), targets_BT.clone()
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                self.compute(self._inputs, self._targets)
                self._forget()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._loss = self.compute(self._inputs, self._targets)
        self._gradients = [parameter.grad for parameter in self.parameters]
        self._graph = graph

    def _forget(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None
