"""What a part of the model costs, as plain numbers. No torch: accounting answers without it.

The counts of a class stand in a file of the same name with ``_counts`` added, under the class's
own name: ``lmlab.nn.ffn.SwiGLU`` is counted by ``lmlab.nn.ffn_counts.SwiGLU``. They are called
with the knobs of the leaf and the sizes that the class itself is given.
"""

from __future__ import annotations

import dataclasses
import enum


class Kind(enum.Enum):
    """Where a kept tensor comes from, which tells its bytes a value.

    Attributes:
        FLOAT32: float32 whatever the precision of the run.
        COMPUTE: the precision that products are computed in.
        INDEX: int64.
    """

    FLOAT32 = "float32"
    COMPUTE = "compute"
    INDEX = "index"


@dataclasses.dataclass(frozen=True)
class SavedTensor:
    """Values kept from the forward to the backward pass.

    Attributes:
        name: of the tensor.
        a_token: values for each token of the batch.
        kind: tells the bytes of a value.
        a_pair: values for each pair of a query and a key of a sequence.
        unfused: kept on a CPU alone, where the operation is put together from simpler ones.
    """

    name: str
    per_token: int
    kind: Kind = Kind.COMPUTE
    per_pair: int = 0
    cpu_only: bool = False


@dataclasses.dataclass(frozen=True)
class Counts:
    """What one instance of a part costs.

    Attributes:
        parameters: weights that belong to it.
        matmul_weights: entries of the matrices that each token is multiplied by, shared weights too.
        products_per_pair: multiplications for each pair of a query and a key.
        saved: what autograd keeps of it.
        held_plain: the same where attention is written out as plain products; None where that
            makes no difference.
        textbook: what a list of its operations on paper names, each result once.
        tables: constants that are no parameters, in float32 values.
        d_ff: hidden width, of a feed-forward layer.
    """

    parameters: int = 0
    matmul_weights: int = 0
    products_per_pair: int = 0
    saved: tuple[SavedTensor, ...] = ()
    saved_unfused: tuple[SavedTensor, ...] | None = None
    textbook: tuple[SavedTensor, ...] = ()
    tables: int = 0
    d_ff: int | None = None
