"""Norms per layer, every few updates: of the residual stream, the gradients and the weights.

They show where a run becomes unstable before its loss does: in the residual stream of which layer,
and in the gradient of which. Nothing here changes the run: the norms are those of gradients that
the update uses anyway, and of a further forward pass over the same batch, which records no
gradient.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.distributed.fsdp import unsharded
from lmlab.distributed.full_tensor import full_tensor
from lmlab.nn.transformer import Transformer
from lmlab.runtime.random_streams import RandomStreams, preserved_generators
from lmlab.training.callbacks import evaluating
from lmlab.training.mixed_precision import Bf16Weights

EMBEDDING = "embedding"


class Diagnostics:
    """Measures a model between the gradients of an update and the update.

    Args:
        every: updates between two measurements.
        pass_size: sequences per forward pass.
        use_bf16: compute the forward pass in the bf16 policy.
        comm: the ranks that share a batch; all of them measure, and get the same numbers.
    """

    def __init__(
        self,
        *,
        every: int,
        pass_size: int,
        use_bf16: bool = False,
        comm: Communicator = SINGLE_PROCESS,
    ) -> None:
        self.every, self._pass_size, self._use_bf16, self._comm = every, pass_size, use_bf16, comm

    def measure(
        self, model: nn.Module, inputs_BT: Tensor, streams: RandomStreams, step: int
    ) -> dict[str, float]:
        """Return the norms by name.

        Args:
            model: whose parameters hold the gradients of the batch, before clipping.
            inputs_BT: token ids of this rank's part of the batch.
            streams: what a layer of your own may draw from in the forward pass.
            step: number of the update.

        Returns:
            ``activation_rms/embedding``, the root mean square over tokens and channels of the
            residual stream before the first block, and ``activation_rms/block_<i>`` of the stream
            that block i returns; ``grad_norm/<layer>`` and ``weight_norm/<layer>``, the L2 norms
            of the gradients and of the weights of a layer. A layer is a block, or a part of the
            model outside the blocks. Tied weights count in the first layer that has them, so that
            the squares of ``grad_norm`` over all layers add up to that of the training row.
        """
        norms = _norms_per_layer(model)
        with preserved_generators():
            streams.begin("diagnostics", step)
            return self._activations(model, inputs_BT) | norms

    @torch.no_grad()
    def _activations(self, model: nn.Module, inputs_BT: Tensor) -> dict[str, float]:
        assert isinstance(model, Transformer)
        with unsharded(model), evaluating(model):
            network = Bf16Weights(model).model if self._use_bf16 else model
            squares: dict[str, list[Tensor]] = {}
            with _watching_stream(network, lambda name, x: _add_square(squares, name, x)):
                for part_BT in inputs_BT.split(self._pass_size):
                    network.hidden(part_BT)
        names = list(squares)
        means = torch.stack([torch.stack(squares[name]).mean() for name in names])
        # The parts of a batch are equal, and so are those of the ranks.
        sums = self._comm.all_reduce_sum(means.cpu().double().numpy())
        values = np.sqrt(sums / self._comm.size)
        return {f"activation_rms/{name}": float(v) for name, v in zip(names, values, strict=True)}


def _add_square(squares: dict[str, list[Tensor]], name: str, stream_BTD: Tensor) -> None:
    squares.setdefault(name, []).append(stream_BTD.float().square().mean())


@contextlib.contextmanager
def _watching_stream(model: Transformer, see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call ``see`` with the residual stream (B, T, D) before the blocks and after each."""

    def enters(module: nn.Module, args: tuple[Any, ...]) -> None:
        see(EMBEDDING, args[0])

    def leaves(index: int) -> Callable[..., None]:
        return lambda module, args, output: see(block_name(index), output)

    blocks = list(model.blocks)
    handles = [block.register_forward_hook(leaves(index)) for index, block in enumerate(blocks)]
    handles += [block.register_forward_pre_hook(enters) for block in blocks[:1]]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def block_name(index: int) -> str:
    """Return the name of block ``index``, from 0."""
    return f"block_{index}"


def layer_of(parameter_name: str) -> str:
    """Return the layer of a parameter: ``block_3`` of ``blocks.3.attention.qkv.weight``."""
    first, _, rest = parameter_name.partition(".")
    return block_name(int(rest.partition(".")[0])) if first == "blocks" else first


@torch.no_grad()
def _norms_per_layer(model: nn.Module) -> dict[str, float]:
    """Return the norms of the gradients and the weights of each layer; all ranks take part."""
    layers: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        layers.setdefault(layer_of(name), []).append(parameter)
    found: dict[str, Tensor] = {}
    for layer, parameters in layers.items():
        gradients = [one.grad for one in parameters if one.grad is not None]
        if gradients:
            found[f"grad_norm/{layer}"] = _norm(gradients)
    for layer, parameters in layers.items():
        found[f"weight_norm/{layer}"] = _norm([one.detach() for one in parameters])
    values = torch.stack(list(found.values())).tolist()  # the host waits once
    return dict(zip(found, values, strict=True))


def _norm(tensors: list[Tensor]) -> Tensor:
    """Return the L2 norm over all entries, in float32."""
    return full_tensor(torch.linalg.vector_norm(torch.stack(list(torch._foreach_norm(tensors)))))
