"""Initial weights.

Each parameter is drawn on the CPU from its own generator, seeded by the run's seed and the
parameter's name. Two models with a parameter of the same name and shape start it from the same
values, however much else differs between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lmlab.runtime.random_streams import derive_seed


class TruncatedNormal:
    """Normal distribution truncated at three standard deviations.

    Matrices have std sqrt(2 / (d_in + d_out)) (Glorot and Bengio 2010, equation 12, as a normal
    distribution). Embeddings have std 1, also when tied to the output head.
    """

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place."""
        for name, weight, is_embedding in _weights(model):
            std = 1.0 if is_embedding else math.sqrt(2 / sum(weight.shape))
            generator = _generator(seed, name)
            nn.init.trunc_normal_(weight, 0.0, std, -3 * std, 3 * std, generator=generator)


class Normal:
    """GPT-2's scheme: a normal distribution with one standard deviation.

    Projections that write into the residual stream are divided by sqrt(N), where N is their number:
    two per layer (Radford et al. 2019, section 2.3).

    Args:
        std: standard deviation of all other weights.
    """

    def __init__(self, *, std: float) -> None:
        self.std = std

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place."""
        writes_residual = (".out.weight", ".down.weight")
        count = sum(name.endswith(writes_residual) for name, _, _ in _weights(model))
        for name, weight, _ in _weights(model):
            std = self.std / math.sqrt(count) if name.endswith(writes_residual) else self.std
            nn.init.normal_(weight, 0.0, std, generator=_generator(seed, name))


class XavierUniform:
    """Uniform within sqrt(6 / (d_in + d_out)) of 0: Glorot and Bengio 2010, equation 16."""

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place."""
        for name, weight, _ in _weights(model):
            nn.init.xavier_uniform_(weight, generator=_generator(seed, name))


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """Yield name, weight and whether it is an embedding, for each parameter with two axes.

    Vectors (norm gains) keep their initial ones. A weight tied between embedding and head is
    yielded once, under the embedding's name.
    """
    linear = {id(part.weight) for part in model.modules() if isinstance(part, nn.Linear)}
    linear -= {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            yield name, parameter, id(parameter) not in linear


def _generator(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, name))
