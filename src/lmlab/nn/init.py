"""Initial weights.

Each parameter is drawn on the CPU from its own generator, seeded by the run's seed and the
parameter's name. Two models with a parameter of the same name and shape start it from the same
values, however much else differs between them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lmlab.runtime.random_streams import derive_seed

_WRITERS = (".out.weight", ".down.weight")  # projections that write into the residual stream


@dataclasses.dataclass(frozen=True)
class DrawnWeight:
    """What the standard deviation of an initial weight depends on.

    Sizes are real numbers, because those of a base shape need not exist.

    Attributes:
        name: of the parameter.
        rows: size of the first axis.
        columns: size of the second axis.
        is_embedding: whether it is looked up or added, not multiplied by.
        num_writers: number of the model's projections that write into the residual stream.
    """

    name: str
    rows: float
    columns: float
    is_embedding: bool
    num_writers: float


class TruncatedNormal:
    """Normal distribution truncated at three standard deviations.

    Matrices have std sqrt(2 / (d_in + d_out)) (Glorot and Bengio 2010, equation 12, as a normal
    distribution). Embeddings have std 1, also when tied to the output head.
    """

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place."""
        for weight, drawn in drawn_weights(model):
            std, generator = self.std(drawn), _generator(seed, drawn.name)
            nn.init.trunc_normal_(weight, 0.0, std, -3 * std, 3 * std, generator=generator)

    def std(self, weight: DrawnWeight) -> float:
        """Return the standard deviation before the truncation."""
        return 1.0 if weight.is_embedding else math.sqrt(2 / (weight.rows + weight.columns))


class Normal:
    """GPT-2's scheme: a normal distribution with one standard deviation.

    Projections that write into the residual stream are divided by sqrt(N), where N is their number:
    two per layer (Radford et al. 2019, section 2.3).

    Args:
        std: standard deviation of all other weights.
    """

    def __init__(self, *, std: float) -> None:
        self._std = std

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place."""
        for weight, drawn in drawn_weights(model):
            nn.init.normal_(weight, 0.0, self.std(drawn), generator=_generator(seed, drawn.name))

    def std(self, weight: DrawnWeight) -> float:
        """Return the standard deviation."""
        if weight.name.endswith(_WRITERS):
            return self._std / math.sqrt(weight.num_writers)
        return self._std


class XavierUniform:
    """Uniform within sqrt(6 / (d_in + d_out)) of 0: Glorot and Bengio 2010, equation 16."""

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place."""
        for weight, drawn in drawn_weights(model):
            nn.init.xavier_uniform_(weight, generator=_generator(seed, drawn.name))

    def std(self, weight: DrawnWeight) -> float:
        """Return the standard deviation."""
        return math.sqrt(2 / (weight.rows + weight.columns))


def drawn_weights(model: nn.Module) -> Iterator[tuple[Tensor, DrawnWeight]]:
    """Yield each parameter with two axes or more, and its description.

    Vectors (norm gains) keep their initial ones. A weight tied between embedding and head is
    yielded once, under the embedding's name.
    """
    linear = {id(part.weight) for part in model.modules() if isinstance(part, nn.Linear)}
    linear -= {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    matrices = {name: one for name, one in model.named_parameters() if one.ndim >= 2}
    num_writers = sum(name.endswith(_WRITERS) for name in matrices)
    for name, one in matrices.items():
        columns = one.numel() // len(one)
        yield one, DrawnWeight(name, len(one), columns, id(one) not in linear, num_writers)


def _generator(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, name))
