"""One layer of the Transformer."""

from __future__ import annotations

from torch import Tensor, nn

from lmlab.nn.dropout import OutputDropout
from lmlab.nn.kv_cache import KVCache
from lmlab.nn.norm import NormStrategy
from lmlab.nn.output_factor import OutputFactor


class Block(nn.Module):
    """Attention, then feed-forward, each in a residual branch built by the norm strategy.

    A block, an attention or a feed-forward layer names in ``wants`` what it needs besides its
    input, and gets it as further positional arguments in this order. There are

    - ``tokens``: ids (B, T).
    - ``first``: input of the first block (B, T, D).
    - ``earlier``: outputs of all earlier blocks, a tuple of (B, T, D).
    - ``values``: what the embedding adds to this layer's values (B, T, G K), or None.
    - ``terms``: a :class:`lmlab.nn.loss_terms.LossTerms` in training, otherwise None.

    Args:
        layer: number of the block, counted from 0.
        num_layers: number of blocks.
        attention: the first sublayer.
        ffn: the second sublayer.
        norm: builds the branches.
        d_model: D.
        dropout: probability of each value that a sublayer adds to be dropped in training.
        residual_factor: multiplies what a sublayer adds.

    Attributes:
        wants: what its two sublayers want.
    """

    def __init__(
        self,
        *,
        layer: int,
        num_layers: int,
        attention: nn.Module,
        ffn: nn.Module,
        norm: NormStrategy,
        d_model: int,
        dropout: float = 0.0,
        residual_factor: float = 1.0,
    ) -> None:
        super().__init__()
        del layer, num_layers
        of_attention, of_ffn = wants_of(attention), wants_of(ffn)
        self.wants = of_attention + tuple(name for name in of_ffn if name not in of_attention)
        self._of_attention = len(of_attention)
        self._of_ffn = [self.wants.index(name) for name in of_ffn]
        self.attention = residual_branch(attention, norm, d_model, dropout, residual_factor)
        self.ffn = residual_branch(ffn, norm, d_model, dropout, residual_factor)

    def forward(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor | None,
        cache: KVCache | None,
        mask_BTS: Tensor | None,
        *wanted: object,
    ) -> Tensor:
        """Return (B, T, D)."""
        x = self.attention(x_BTD, positions_BT, cache, mask_BTS, *wanted[: self._of_attention])
        x = self.ffn(x, *(wanted[index] for index in self._of_ffn))
        assert isinstance(x, Tensor)
        return x


def residual_branch(
    sublayer: nn.Module,
    norm: NormStrategy,
    d_model: int,
    dropout: float = 0.0,
    residual_factor: float = 1.0,
) -> nn.Module:
    """Wrap a sublayer in its residual branch.

    Args:
        sublayer: attention or a feed-forward layer.
        norm: builds the branch.
        d_model: D.
        dropout: probability of each value that the branch adds to be dropped in training.
        residual_factor: multiplies what the branch adds. Where the norm strategy puts a module
            between the sublayer and the sum, the branch names it ``last``.
    """
    branch = norm.wrap(sublayer, d_model)
    last = getattr(branch, "last", sublayer)
    if dropout:
        last.register_forward_hook(OutputDropout(dropout))
    if residual_factor != 1:
        last.register_forward_hook(OutputFactor(residual_factor))
    return branch


def wants_of(part: nn.Module) -> tuple[str, ...]:
    """Return what a block or a sublayer needs besides its input; see :class:`Block`."""
    return tuple(getattr(part, "wants", ()))
