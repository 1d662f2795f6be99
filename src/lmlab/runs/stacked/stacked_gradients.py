"""The gradients of an update of several models, from one forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lmlab.nn.transformer import Transformer
from lmlab.runs.stacked.stacked_parameters import StackedParameters
from lmlab.runtime.random_streams import host_positions
from lmlab.training.objective import LOSS, Losses, add_losses, training_objective


class StackedGradients:
    """Accumulates the gradients of K batches in stacked parameters, one micro-batch at a time.

    ``vmap`` runs the code of the model once for all K, so that its parts need no changes. No
    operation mixes the K: a NaN in one model stays there.

    Args:
        template: a model of the shape; its code and buffers are used, its weights are not.
        parameters: the weights.
        micro_batch_size: sequences per model in a forward pass.
        products: dtype of matrix products; the matrices are rounded to it at each pass, as by
            :class:`lmlab.training.mixed_precision.Bf16Weights` for a single model.
        compiled: whether the pass goes through ``torch.compile``.
    """

    def __init__(
        self,
        template: Transformer,
        parameters: StackedParameters,
        *,
        micro_batch_size: int,
        products: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> None:
        self.parameters, self.micro_batch_size = parameters, micro_batch_size
        self.template, self._is_checked = template, False

        owners = {id(weight): name for name, weight in template.named_parameters()}
        matrices = {  # by the name of the linear map: a tied head belongs to the embedding
            f"{name}.{kind}": owners[id(parameter)]
            for name, part in template.named_modules()
            if isinstance(part, nn.Linear)
            for kind, parameter in part.named_parameters(recurse=False)
        }

        objective = _ObjectiveModule(template)

        def losses_of(
            weights: dict[str, Tensor], inputs_BT: Tensor, targets_BT: Tensor
        ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
            rounded = {name: weights[owner].to(products) for name, owner in matrices.items()}
            named = {f"model.{name}": one for name, one in (weights | rounded).items()}
            losses = functional_call(objective, named, (inputs_BT, targets_BT), tie_weights=False)
            return tuple(losses)

        losses = vmap(losses_of)
        self._losses: Callable[..., Any] = torch.compile(losses) if compiled else losses

    def __call__(self, inputs_KBT: Tensor, targets_KBT: Tensor) -> dict[str, Tensor]:
        """Leave the gradients of each batch's training loss in the stack.

        Returns:
            The losses by name (:meth:`lmlab.training.objective.Losses.recorded`), each (K,).

        Raises:
            RuntimeError: at the first call, if a layer draws random numbers or keeps statistics,
                which the models would share.
        """
        self.parameters.clear_gradients()
        before = None if self._is_checked else self._shared_state()
        size, batch = inputs_KBT.shape[:2]
        totals = {LOSS: torch.zeros(size, device=inputs_KBT.device)}
        for inputs, targets in zip(
            inputs_KBT.split(self.micro_batch_size, dim=1),
            targets_KBT.split(self.micro_batch_size, dim=1),
            strict=True,
        ):
            losses = Losses(*self._losses(self.parameters.tensors, inputs, targets))
            share = inputs.shape[1] / batch
            total = losses.total() * share
            # Not their mean: each loss starts its own backward pass, independent of the others.
            total.backward(torch.ones_like(total))
            add_losses(totals, losses.recorded(), share)
        if before is not None and before != self._shared_state():
            raise RuntimeError(
                "a layer draws random numbers or changes a buffer, which the runs of a stack share"
            )
        self._is_checked = True
        return totals

    def _shared_state(self) -> tuple[Any, ...]:
        buffers = [(id(buffer), buffer._version) for buffer in self.template.buffers()]
        return buffers, host_positions()


class _ObjectiveModule(nn.Module):
    """The training objective of a model as a module, whose weights ``functional_call`` replaces."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model
        self.objective = training_objective(model)

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor) -> Losses:
        return self.objective(inputs_BT, targets_BT)
