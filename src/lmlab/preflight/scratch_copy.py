"""A small copy of a run's network with the real optimizer, for trial steps before training."""

from __future__ import annotations

import contextlib
import dataclasses
import logging

import torch

from lmlab.accounting.memory import FLOAT32
from lmlab.accounting.model_counts import count_model, count_optimizer
from lmlab.accounting.target_counts import UnknownCostError
from lmlab.build import factory
from lmlab.build.instantiate import describe_failure
from lmlab.build.run_spec import RunSpec
from lmlab.distributed.state_layout import tensors_in
from lmlab.errors import ConfigError, UserError
from lmlab.nn.transformer import Transformer
from lmlab.optim.clip import clip_gradients
from lmlab.optim.groups import HIDDEN, group_kind
from lmlab.optim.modes import has_modes
from lmlab.optim.optimizer_counts import OptimizerCounts
from lmlab.runtime.random_streams import RandomStreams, preserved_generators
from lmlab.training.after_update import parts_after_update
from lmlab.training.gradient_accumulation import GradientAccumulator
from lmlab.training.objective import LOSS, training_objective
from lmlab.training.state import Progress, TrainState

MEASURED_PARAMETERS = 5_000_000  # a model of at most so many is measured as it is
SEQUENCES, LENGTH, VOCABULARY, HEAD_WIDTH = 2, 16, 300, 8
log = logging.getLogger("lmlab.preflight")


@dataclasses.dataclass
class ScratchCopy:
    """A training state on a small copy of the network, and the steps of the training loop.

    Attributes:
        spec: of the run.
        state: weights, optimizer and progress.
        losses: of the steps so far.
    """

    spec: RunSpec
    state: TrainState
    losses: list[torch.Tensor] = dataclasses.field(default_factory=list)

    @classmethod
    def build(cls, spec: RunSpec, device: torch.device) -> ScratchCopy:
        """Build the copy on ``device``. Raises :class:`ConfigError` if the optimizer cannot be."""
        model = _small_network(spec).to(device)
        optimizer = factory.build_optimizer(spec, model, is_whole=False)
        return cls(spec, TrainState(model, optimizer, Progress()))

    def step(self) -> None:
        """Take a step of training on random tokens.

        Raises:
            ConfigError: the optimizer cannot update this model.
        """
        model, optimizer = self.state.model, self.state.optimizer
        assert isinstance(model, Transformer)
        device = model.device
        number, streams = self.state.progress.step, RandomStreams(0, device)
        tokens = _tokens(model, number).to(device)
        optimizer.zero_grad(set_to_none=True)
        streams.begin("gradients", number)
        gradients = GradientAccumulator(training_objective(model), micro_batch_size=SEQUENCES)
        self.losses.append(gradients(tokens[:, :-1], tokens[:, 1:])[LOSS])
        clip_gradients(model.parameters(), self.spec.workload.grad_clip_norm)
        streams.begin("update", number)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        try:
            optimizer.step()
        except UserError:
            raise
        except Exception as error:
            raise ConfigError(
                describe_failure("optim", self.spec.optimizer.target, "update this model", error),
                "change the parameters of optim, or choose another optimizer",
            ) from error
        for part in parts_after_update(model):
            part.after_update()
        self.state.progress.step += 1


def _small_network(spec: RunSpec) -> Transformer:
    """Build the network with small sizes; with its own if a component does not take small ones."""
    model = spec.workload.model
    heads, layers = int(model["num_heads"]), min(2, int(model["num_layers"]))
    sizes = {"num_layers": layers, "vocab_size": min(VOCABULARY, spec.workload.vocab_size)}
    small = {"d_model": min(HEAD_WIDTH * heads, int(model["d_model"]))}
    if model["d_ff"] != "auto":
        small["d_ff"] = min(2 * small["d_model"], int(model["d_ff"]))
    try:
        network = spec.network(**sizes, **small)
        with torch.no_grad(), preserved_generators():
            network(_tokens(network, 0)[:, :-1])
        return spec.network(**sizes, **small)  # the pass may have changed what it keeps
    except Exception:
        return spec.network(**sizes)


def _tokens(model: Transformer, number: int) -> torch.Tensor:
    shape = (SEQUENCES, min(LENGTH, model.context_length) + 1)
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, model.vocab_size, shape, generator=generator)


def measure_optimizer(spec: RunSpec) -> OptimizerCounts | None:
    """Measure the state of an optimizer that has no counts; None if the model has none either.

    The optimizer takes a step on tensors of the real shapes without memory. Where it needs their
    values, it takes one on the model itself or, where that is large, on a small copy. The state of
    the copy is scaled to the model, separately for matrices in the blocks and all other parameters.

    Raises:
        ConfigError: the optimizer cannot update this model.
    """
    try:
        model = count_model(spec.workload.model)
    except UnknownCostError:
        return None
    with contextlib.suppress(UnknownCostError):
        return count_optimizer(spec.workload.optim, model)
    has_others = has_modes(factory.build_optimizer(spec, _small_network(spec), is_whole=False))
    evaluated = model.parameters if has_others else 0
    try:
        with torch.device("meta"):
            network = spec.network()
        sizes = _state_bytes(spec, network)
        state = sum(state for state, _ in sizes) // FLOAT32
        return OptimizerCounts(state, flops=None, evaluated=evaluated)
    except Exception as error:
        log.debug("the optimizer cannot be counted without values: %r", error)
    is_small = model.parameters <= MEASURED_PARAMETERS
    sizes = _state_bytes(spec, spec.network() if is_small else _small_network(spec))
    hidden = model.stored_hidden_parameters
    needed = [
        count * state / weights if weights else 0.0
        for count, (state, weights) in zip((hidden, model.parameters - hidden), sizes, strict=True)
    ]
    return OptimizerCounts(round(sum(needed) / FLOAT32), flops=None, evaluated=evaluated)


def _state_bytes(spec: RunSpec, network: torch.nn.Module) -> list[tuple[int, int]]:
    """Take a step; return the bytes of state and the weights, of hidden and of other groups."""
    optimizer = factory.build_optimizer(spec, network, is_whole=False)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    with preserved_generators():
        optimizer.step()
    sizes = [[0, 0], [0, 0]]
    for group in optimizer.param_groups:
        size = sizes[0 if group_kind(group) == HIDDEN else 1]
        for parameter in group["params"]:
            size[0] += sum(tensor.nbytes for tensor in tensors_in(optimizer.state.get(parameter)))
            size[1] += parameter.numel()
    further = [value for group in optimizer.param_groups for key, value in group.items()
               if key != "params"]  # fmt: skip
    sizes[1][0] += sum(tensor.nbytes for tensor in tensors_in(further))
    return [(state, weights) for state, weights in sizes]
