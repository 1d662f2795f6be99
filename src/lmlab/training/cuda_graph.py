"""Gradients as one CUDA graph: captured once, then replayed at each update.

The step of a small model consists of a few hundred kernels, each shorter than the launch of the
next. The graph contains the forward and backward passes over the batch. Clipping and the update,
a few kernels over all parameters, are launched as usual.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import nn

from lmlab.runtime.compile_policy import GPU_RATE
from lmlab.runtime.random_streams import host_positions, preserved_generators

LAUNCH_BOUND_SECONDS = 0.1  # predicted time per step above which launches do not matter
NUM_WARM_UP_PASSES = 3  # libraries choose their kernels, Inductor compiles
log = logging.getLogger(__name__)

# Maps inputs and targets, each (B, T), to their losses by name; leaves the gradients of the
# training loss in the parameters.
ComputeGradients = Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]


def maybe_graphed(
    compute: ComputeGradients,
    parameters: Sequence[nn.Parameter],
    *,
    device: torch.device,
    step_flops: int,
    setting: str | bool,
    buffers: Callable[[], Iterable[torch.Tensor]] = tuple,
    parts: Iterable[nn.Module] = (),
) -> ComputeGradients:
    """Return ``compute``, captured as a graph if launches take longer than the kernels.

    Args:
        compute: see :class:`CudaGraphGradients`.
        parameters: see :class:`CudaGraphGradients`.
        device: device of the computation; only CUDA has graphs.
        step_flops: FLOPs per call.
        setting: ``runtime.cuda_graph``: ``auto``, or False for no graph.
        buffers: see :class:`CudaGraphGradients`.
        parts: of the model. One whose pass reads from the device declares
            ``is_capturable = False``, and there is no graph.
    """
    is_small = step_flops < LAUNCH_BOUND_SECONDS * GPU_RATE
    if device.type != "cuda" or not is_small or setting != "auto":
        return compute
    for part in parts:
        if not getattr(part, "is_capturable", True):
            log.info("no CUDA graph of the step: %s reads from the device", type(part).__name__)
            return compute
    return CudaGraphGradients(compute, parameters, buffers)


class CudaGraphGradients:
    """Computes gradients by replaying a graph, for batches of one shape.

    Some operations cannot be captured. If capturing fails, a warning says so and every call runs
    ``compute`` itself. The passes before the first replay leave no trace in random states or
    buffers, so a run that resumes, and captures again, computes the same numbers.

    Args:
        compute: adds the gradients of the mean loss to the parameters and returns the losses.
        parameters: parameters with these gradients, which are cleared before each call.
        buffers: returns the tensors that a pass may change, such as running statistics.
    """

    def __init__(
        self,
        compute: ComputeGradients,
        parameters: Sequence[nn.Parameter],
        buffers: Callable[[], Iterable[torch.Tensor]] = tuple,
    ) -> None:
        self.compute = compute
        self.parameters = list(parameters)
        self.buffers = buffers
        self._graph: torch.cuda.CUDAGraph | None = None
        self._can_capture = True

    def __call__(
        self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Leave the batch's gradients in the parameters; return its losses, left on the device."""
        if self._graph is None and self._can_capture:
            try:
                with preserved_generators(), self._preserved_buffers():
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
        return {name: one.clone() for name, one in self._losses.items()}

    def _capture(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> None:
        self._inputs, self._targets = inputs_BT.clone(), targets_BT.clone()
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(NUM_WARM_UP_PASSES):
                self.compute(self._inputs, self._targets)
                self._clear_gradients()
        torch.cuda.current_stream().wait_stream(side_stream)
        graph, drawn = torch.cuda.CUDAGraph(), host_positions()
        with torch.cuda.graph(graph):
            self._losses = self.compute(self._inputs, self._targets)
        if drawn != host_positions():
            raise RuntimeError("a layer draws from NumPy's or Python's generator")
        self._gradients = [parameter.grad for parameter in self.parameters]
        self._graph = graph

    @contextlib.contextmanager
    def _preserved_buffers(self) -> Iterator[None]:
        tensors = list(self.buffers())
        values = [tensor.clone() for tensor in tensors]
        try:
            yield
            if [id(tensor) for tensor in self.buffers()] != [id(tensor) for tensor in tensors]:
                raise RuntimeError("a layer replaces a buffer instead of changing it in place")
        finally:
            with torch.no_grad():
                for tensor, value in zip(self.buffers(), values, strict=True):
                    tensor.copy_(value)

    def _clear_gradients(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None
