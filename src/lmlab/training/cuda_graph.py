"""Gradients as one CUDA graph: captured once, then replayed at each update.

The step of a small model consists of a few hundred kernels, each shorter than the launch of the
next. The graph contains the forward and backward passes over the batch. Clipping and the update,
a few kernels over all parameters, are launched as usual.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import nn

from lmlab.runtime.compile_policy import GPU_RATE

LAUNCH_BOUND_SECONDS = 0.1  # predicted time per step above which launches do not matter
NUM_WARM_UP_PASSES = 3  # libraries choose their kernels, Inductor compiles
log = logging.getLogger(__name__)

# Maps inputs and targets, each (B, T), to their loss; leaves its gradients in the parameters.
ComputeGradients = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def maybe_graphed(
    compute: ComputeGradients,
    parameters: Sequence[nn.Parameter],
    *,
    device: torch.device,
    step_flops: int,
    setting: str | bool,
) -> ComputeGradients:
    """Return ``compute``, captured as a graph if launches take longer than the kernels.

    Args:
        compute: see :class:`CudaGraphGradients`.
        parameters: see :class:`CudaGraphGradients`.
        device: device of the computation; only CUDA has graphs.
        step_flops: FLOPs per call.
        setting: ``runtime.cuda_graph``: ``auto``, or False for no graph.
    """
    is_small = step_flops < LAUNCH_BOUND_SECONDS * GPU_RATE
    if device.type == "cuda" and is_small and setting == "auto":
        return CudaGraphGradients(compute, parameters)
    return compute


class CudaGraphGradients:
    """Computes gradients by replaying a graph, for batches of one shape.

    Some operations cannot be captured. If capturing fails, a warning says so and every call runs
    ``compute`` itself.

    Args:
        compute: adds the gradients of the mean loss to the parameters and returns the loss.
        parameters: parameters with these gradients, which are cleared before each call.
    """

    def __init__(self, compute: ComputeGradients, parameters: Sequence[nn.Parameter]) -> None:
        self.compute = compute
        self.parameters = list(parameters)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._can_capture = True

    def __call__(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
        """Leave the batch's gradients in the parameters; return its loss, left on the device."""
        if self._graph is None and self._can_capture:
            try:
                self._capture(inputs_BT, targets_BT)
            except RuntimeError as error:
                self._graph, self._can_capture = None, False
                log.warning("the step cannot be captured as a CUDA graph: %s", error)
                self._clear_gradients()
        if self._graph is None:
            return self.compute(inputs_BT, targets_BT)
        self._inputs.copy_(inputs_BT)
        self._targets.copy_(targets_BT)
        self._graph.replay()
        for parameter, gradient in zip(self.parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._loss.clone()

    def _capture(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> None:
        self._inputs, self._targets = inputs_BT.clone(), targets_BT.clone()
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(NUM_WARM_UP_PASSES):
                self.compute(self._inputs, self._targets)
                self._clear_gradients()
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._loss = self.compute(self._inputs, self._targets)
        self._gradients = [parameter.grad for parameter in self.parameters]
        self._graph = graph

    def _clear_gradients(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None
