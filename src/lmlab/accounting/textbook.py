"""AdamW's memory on paper: the expression, its value, and what an earlier write-up had in it.

The list of activations is that of the assignment: norms, queries, keys and values, scores, softmax,
mixed values, output projection, first feed-forward matrix, SiLU, second matrix, final norm, head,
cross-entropy; all float32, a feed-forward layer of two matrices, F = 4D.
"""

from __future__ import annotations

import dataclasses

from lmlab.accounting.model_counts import ModelCounts
from lmlab.console.formatting import format_bytes

GIGABYTE = 10**9
EXPRESSION = (
    "P = 2 V D + L (12 D^2 + 2 D) + D",
    "parameters 4 P, gradients 4 P, AdamW's moments 8 P: 16 P bytes",
    "activations 4 [(16 L + 1) B T D + 2 L B H T^2 + B T V + B T] bytes",
    "peak(B) = 16 P + 4 B [(16 L + 1) T D + 2 L H T^2 + T V + T] bytes",
)


@dataclasses.dataclass(frozen=True)
class Textbook:
    """The sizes that the expression depends on, and its values.

    Attributes:
        V: vocabulary.
        T: context.
        L: layers.
        D: width.
        H: heads.
        block_terms: activations of B T D a layer; 16 by the list above.
    """

    V: int
    T: int
    L: int
    D: int
    H: int
    block_terms: int = 16

    @classmethod
    def of(cls, model: ModelCounts) -> Textbook:
        """The sizes of a model, whatever its variants are."""
        return cls(
            model.vocab_size, model.context, model.num_layers, model.d_model, model.num_heads
        )

    @property
    def parameters(self) -> int:
        """P, with an embedding and a head of their own."""
        return 2 * self.V * self.D + self.L * (12 * self.D**2 + 2 * self.D) + self.D

    @property
    def fixed_bytes(self) -> int:
        """Parameters, gradients and both moments."""
        return 16 * self.parameters

    @property
    def bytes_per_sequence(self) -> int:
        """Activations of one sequence."""
        wide = (self.block_terms * self.L + 1) * self.T * self.D
        return 4 * (wide + 2 * self.L * self.H * self.T**2 + self.T * self.V + self.T)

    def peak_bytes(self, batch: int) -> int:
        """The expression at B."""
        return self.fixed_bytes + batch * self.bytes_per_sequence

    def largest_batch(self, available: int) -> int:
        """The most sequences whose peak fits into ``available`` bytes."""
        return max(0, (available - self.fixed_bytes) // self.bytes_per_sequence)

    def evaluated(self) -> str:
        """The expression with its numbers, each in a unit of its size."""
        fixed, each = (format_bytes(n, ".2f") for n in (self.fixed_bytes, self.bytes_per_sequence))
        return f"peak(B) = {fixed} + {each} x B"
