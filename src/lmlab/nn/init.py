"""Initial weights.

Each parameter is drawn on the CPU from its own generator, seeded by the run's seed and the
parameter's name. Two models with a parameter of the same name and shape start it from the same
values, however much else differs between them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lmlab.runtime.random_streams import derive_seed

# Projections that write into the residual stream, unless a part names its own.
_WRITERS = (".out.weight", ".down.weight")


@dataclasses.dataclass(frozen=True)
class DrawnWeight:
    """What the standard deviation of an initial weight depends on.

    Sizes are real numbers, because those of a base shape need not exist.

    Attributes:
        name: of the parameter.
        rows: size of the first axis.
        columns: size of the second axis.
        is_embedding: whether it is looked up or added, not multiplied by.
        num_writers: number of the model's branches that write into the residual stream.
        writes: whether it is the output projection of such a branch; see
            :func:`output_projections`.
    """

    name: str
    rows: float
    columns: float
    is_embedding: bool
    num_writers: float
    writes: bool = False


class TruncatedNormal:
    """Normal distribution truncated at three standard deviations.

    Matrices have std sqrt(2 / (d_in + d_out)) (Glorot and Bengio 2010, equation 12, as a normal
    distribution). Embeddings have std 1, also when tied to the output head.
    """

    def __call__(self, model: nn.Module, seed: int) -> None:
        """Overwrite the weights of ``model`` in place."""
        for weight, drawn in drawn_weights(model):
            std, generator = self.std(drawn), _generator(seed, drawn.name)
            if std == 0:
                nn.init.zeros_(weight)
            else:
                nn.init.trunc_normal_(weight, 0.0, std, -3 * std, 3 * std, generator=generator)

    def std(self, weight: DrawnWeight) -> float:
        """Return the standard deviation before the truncation."""
        return 1.0 if weight.is_embedding else math.sqrt(2 / (weight.rows + weight.columns))


class ZeroOut(TruncatedNormal):
    """:class:`TruncatedNormal`, with the output projection of each branch at zero.

    Each branch then adds nothing at first, so that the network starts as the identity on the
    residual stream: Zhang et al. 2019 (Fixup), section 3, for the last layer of each branch.
    """

    def std(self, weight: DrawnWeight) -> float:
        """Return the standard deviation before the truncation; 0 for output projections."""
        return 0.0 if weight.writes else super().std(weight)


class DepthScaled(TruncatedNormal):
    """:class:`TruncatedNormal`, with output projections of branches divided by sqrt(N).

    N is their number, two per layer: Radford et al. 2019, section 2.3. :class:`Normal` does the
    same with the one standard deviation that GPT-2 has for all other weights.
    """

    def std(self, weight: DrawnWeight) -> float:
        """Return the standard deviation before the truncation."""
        return super().std(weight) / (math.sqrt(weight.num_writers) if weight.writes else 1.0)


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
        if weight.writes:
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
    writers = output_projections(model)
    branches = {name.partition(".sublayer.")[0] if ".sublayer." in name else name
                for name in writers}  # fmt: skip
    for name, one in matrices.items():
        columns = one.numel() // len(one)
        yield (
            one,
            DrawnWeight(
                name, len(one), columns, id(one) not in linear, len(branches), name in writers
            ),
        )


def output_projections(model: nn.Module) -> set[str]:
    """Return the names of the matrices that write into the residual stream.

    They are those called ``out.weight`` or ``down.weight``. A part whose projections have other
    names lists them in an attribute ``output_projections``, relative to itself; the names of its
    own parts then say nothing.
    """
    declared: dict[str, set[str]] = {}
    for name, part in model.named_modules():
        listed: Any = getattr(part, "output_projections", None)
        if listed is not None:
            prefix = f"{name}." if name else ""
            declared[prefix] = {prefix + one for one in listed}
    by_name = {
        name
        for name, one in model.named_parameters()
        if one.ndim >= 2 and name.endswith(_WRITERS) and not name.startswith(tuple(declared))
    }
    return by_name.union(*declared.values())


def _generator(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, name))
