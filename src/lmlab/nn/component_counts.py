"""Costs of a part of the model as plain numbers. No torch, so that accounting starts quickly.

The counts of a class have its name and live in a module with ``_counts`` appended:
``lmlab.nn.ffn_counts.SwiGLU`` counts ``lmlab.nn.ffn.SwiGLU``. They take the component's parameters
and the sizes that the class itself takes.
"""

from __future__ import annotations

import dataclasses
import enum


class Kind(enum.Enum):
    """Data type of a saved tensor, which determines its bytes per value.

    Attributes:
        FLOAT32: float32 at every precision of the run.
        COMPUTE: the precision of matrix products.
        INDEX: int64.
        MASK: of dropout: one byte on CUDA; elsewhere torch multiplies by a mask in the precision of
            matrix products.
    """

    FLOAT32 = "float32"
    COMPUTE = "compute"
    INDEX = "index"
    MASK = "mask"


@dataclasses.dataclass(frozen=True)
class SavedTensor:
    """A tensor that autograd saves for the backward pass.

    Attributes:
        name: name of the tensor.
        per_token: values per token of the batch.
        kind: data type.
        per_pair: values per pair of a query and a key of a sequence.
        cpu_only: saved only on a CPU, where torch composes the operation of simpler ones.
    """

    name: str
    per_token: int
    kind: Kind = Kind.COMPUTE
    per_pair: int = 0
    cpu_only: bool = False


@dataclasses.dataclass(frozen=True)
class ComponentCounts:
    """Costs of one instance of a component.

    Attributes:
        parameters: number of its own weights.
        matmul_weights: entries of the matrices that each token is multiplied by, including weights
            shared with another component.
        products_per_pair: multiplications per pair of a query and a key.
        saved: tensors that autograd saves.
        saved_unfused: the same with unfused attention; None if that makes no difference.
        textbook: the result of each operation in a derivation on paper.
        tables: float32 values of constants that are not parameters.
        d_ff: hidden width of a feed-forward layer; None for other components.
        d_values: width of the values of an attention, to which the embedding may add.
        loss_in_chunks: whether the loss of a head can be computed for some tokens at a time.
        stored_weights: entries of all its matrices, where a token is multiplied by only some of
            them; None where ``matmul_weights`` are all.
        shapes: of its own weights, for optimizers whose state depends on them; None if unknown.
        window: width of the sliding window of attention; None for all pairs. See
            :func:`lmlab.nn.window_layout.keys_per_query`.
        d_rotated: width of the features of a head that the position encoding rotates; None for
            that of the head.
    """

    parameters: int = 0
    matmul_weights: int = 0
    products_per_pair: int = 0
    saved: tuple[SavedTensor, ...] = ()
    saved_unfused: tuple[SavedTensor, ...] | None = None
    textbook: tuple[SavedTensor, ...] = ()
    tables: int = 0
    d_ff: int | None = None
    d_values: int | None = None
    loss_in_chunks: bool = False
    stored_weights: int | None = None
    shapes: tuple[tuple[int, ...], ...] | None = None
    window: int | None = None
    d_rotated: int | None = None

    @property
    def unused_weights(self) -> int:
        """Entries of the matrices that a token is not multiplied by."""
        return 0 if self.stored_weights is None else self.stored_weights - self.matmul_weights


@dataclasses.dataclass(frozen=True)
class BlockCounts:
    """Costs of a block apart from those of its attention and its feed-forward layer.

    Attributes:
        num_branches: residual branches that the norm strategy wraps.
        own: what the block adds to them.
    """

    num_branches: int
    own: ComponentCounts = ComponentCounts()
