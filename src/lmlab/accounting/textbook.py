"""Peak memory of training with AdamW, as an expression derived on paper, and its value.

Activations are those of norms, queries, keys and values, scores, softmax, weighted values, output
projection, first feed-forward matrix, SiLU, second matrix, final norm, head and cross-entropy. All
are float32; the feed-forward layer has two matrices and F = 4D.
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
    """The sizes in the expression, and its values.

    Attributes:
        V: vocabulary size.
        T: context length.
        L: number of layers.
        D: model width.
        H: number of heads.
        block_terms: activations of size B T D per layer; 16 by the list above.
    """

    V: int
    T: int
    L: int
    D: int
    H: int
    block_terms: int = 16

    @classmethod
    def of(cls, model: ModelCounts) -> Textbook:
        """Take the sizes of a model; its components do not matter."""
        return cls(
            model.vocab_size, model.context, model.num_layers, model.d_model, model.num_heads
        )

    @property
    def parameters(self) -> int:
        """P, with untied embedding and head."""
        return 2 * self.V * self.D + self.L * (12 * self.D**2 + 2 * self.D) + self.D

    @property
    def fixed_bytes(self) -> int:
        """Bytes of parameters, gradients and both moments."""
        return 16 * self.parameters

    @property
    def bytes_per_sequence(self) -> int:
        """Bytes of the activations of one sequence."""
        wide = (self.block_terms * self.L + 1) * self.T * self.D
        return 4 * (wide + 2 * self.L * self.H * self.T**2 + self.T * self.V + self.T)

    def peak_bytes(self, batch: int) -> int:
        """Return the value of the expression at batch size B."""
        return self.fixed_bytes + batch * self.bytes_per_sequence

    def largest_batch(self, available: int) -> int:
        """Return the largest number of sequences within ``available`` bytes."""
        return max(0, (available - self.fixed_bytes) // self.bytes_per_sequence)

    def evaluated(self) -> str:
        """Return the expression with numbers in place of the sizes."""
        fixed, each = (format_bytes(n, ".2f") for n in (self.fixed_bytes, self.bytes_per_sequence))
        return f"peak(B) = {fixed} + {each} x B"
