"""Position encodings.

Each variant may add to the embeddings (``embed``), rotate queries and keys (``rotate``), and add to
the attention scores (``score_bias``). Positions are (B, T) integers, or None for 0 .. T-1 in every
sequence, as in training.

Attention and its kernels ask a position encoding what it does. Two methods are optional:

- ``score_bias``: see :func:`score_bias`. An encoding without it adds nothing to the scores.
- ``rotary_tables``: see :func:`rotary_tables`. An encoding without it is rotated by its ``rotate``
  before a kernel is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from lmlab.errors import ConfigError

# (q_BHTK, k_BGSK, positions_BT, key_positions_BS) -> what is added to the scores, (B or 1, H, T, S)
ScoreBias = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


class Positions(Protocol):
    """Interface of a position encoding."""

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Encode positions in the embeddings (B, T, D)."""
        ...

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Encode positions in queries or keys (B, heads, T, K)."""
        ...


class RotaryTables(NamedTuple):
    """Cosines and sines (T, K) of a rotation; None where nothing is rotated.

    ``rotate(x, None)`` equals ``x * cos_TK + swapped * sin_TK``, where ``swapped`` is ``x`` with
    the halves of its features exchanged. The second half of the cosines repeats the first; that of
    the sines is the first, negated.
    """

    cos_TK: Tensor | None = None
    sin_TK: Tensor | None = None


def score_bias(pos: Positions) -> ScoreBias | None:
    """Return what an encoding adds to the attention scores; None if it adds nothing.

    The method is called with rotated queries (B, H, T, K), keys (B, G, S, K), and the positions of
    both, where None stands for 0 .. T-1 and 0 .. S-1. It returns (B, H, T, S) or (1, H, T, S),
    which is added to the products of queries and keys divided by sqrt(K). It must be -inf where a
    key comes after its query, so that a table which holds both need not be copied.
    """
    found: ScoreBias | None = getattr(pos, "score_bias", None)
    return found


def refuse_score_bias(pos: Positions, setting: str, fix: str) -> None:
    """Refuse an encoding that adds to the attention scores.

    Args:
        pos: the encoding.
        setting: what cannot be combined with it, ``key=value``.
        fix: how to do without.

    Raises:
        ConfigError: it adds to the scores.
    """
    if score_bias(pos) is not None:
        raise ConfigError(
            f"{setting}: expected a position encoding that adds nothing to the attention scores",
            f"{fix}, or choose another model.pos",
        )


def rotary_tables(pos: Positions, num_tokens: int) -> RotaryTables | None:
    """Return the tables of an encoding for positions 0 .. ``num_tokens - 1``.

    None if the encoding has none, so that its ``rotate`` must be called.
    """
    find: Callable[[int], RotaryTables] | None = getattr(pos, "rotary_tables", None)
    return None if find is None else find(num_tokens)


class TabulatedRotation(nn.Module):
    """Base of encodings with ``rotary_tables``.

    A subclass that replaces ``rotate`` and not the tables has none: they would not describe it.
    """

    rotary_tables: Callable[[int], RotaryTables] | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "rotate" in vars(cls) and "rotary_tables" not in vars(cls):
            cls.rotary_tables = None


def inverse_wavelengths(
    width: int, theta: float, scaling: dict[str, float] | None = None
) -> Tensor:
    """Return the angle per position of each pair of features, float64 (width / 2).

    Without scaling, ``theta^(-2i/width)``: Su et al. 2021, section 3.2.2. Scaling is that of the
    code released with Llama 3.1 (Grattafiori et al. 2024): with C for ``original_context_length``,
    wavelengths above C / ``low_freq_factor`` grow by ``factor``, those below C /
    ``high_freq_factor`` stay, and those between are interpolated linearly in the number of turns
    within C.

    Args:
        width: number of rotated features, even.
        theta: base of the wavelengths.
        scaling: ``factor``, ``low_freq_factor``, ``high_freq_factor`` and
            ``original_context_length``; None for no scaling.
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    angles = theta**-exponents
    if scaling is None:
        return angles
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_context_length"] * angles / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return angles * (kept + (1 - kept) / scaling["factor"])


class RoPE(TabulatedRotation):
    """Rotary position embedding: Su et al. 2021, section 3.2.2 and equation 34.

    Feature i is rotated with feature i + K/2 by the angle ``position * theta^(-2i/K)``. This is
    Llama's layout; the paper rotates neighbours, which is the same up to a permutation of the
    features. Angles are computed in float64; their cosines and sines are stored in float32.

    Args:
        d_model: unused; every position encoding receives it.
        d_head: K, even.
        context_length: number of tabulated positions.
        theta: base of the wavelengths.
        scaling: longer wavelengths for contexts longer than those that a model was trained on, see
            :func:`inverse_wavelengths`; None for no scaling.
    """

    cos_SK: Tensor
    sin_SK: Tensor

    def __init__(
        self,
        *,
        d_model: int,
        d_head: int,
        context_length: int,
        theta: float,
        scaling: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        del d_model
        cos_SK, sin_SK = _tabulate(context_length, d_head, d_head, theta, scaling)
        self.register_buffer("cos_SK", cos_SK, persistent=False)
        self.register_buffer("sin_SK", sin_SK, persistent=False)

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BTD

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Rotate queries or keys by their positions, preserving norms."""
        cos, sin = (_rows(table, x_BHTK, positions_BT) for table in (self.cos_SK, self.sin_SK))
        first, second = x_BHTK.float().chunk(2, dim=-1)
        partner = torch.cat([second, first], dim=-1)
        return (x_BHTK * cos + partner * sin).to(x_BHTK.dtype)

    def rotary_tables(self, num_tokens: int) -> RotaryTables:
        """Return the cosines and sines of the first positions."""
        return RotaryTables(self.cos_SK[:num_tokens], self.sin_SK[:num_tokens])


class PartialRoPE(nn.Module):  # without tables: those of kernels rotate halves of whole heads
    """RoPE on the first features of each head; the others carry no position.

    Introduced with GPT-J and GPT-NeoX (Black et al. 2022, section 2.1.1), which rotate a quarter of
    each head. The layout within the rotated features is that of :class:`RoPE`, as in transformers,
    where ``fraction`` is ``partial_rotary_factor``.

    Args:
        d_model: unused; every position encoding receives it.
        d_head: K.
        context_length: number of tabulated positions.
        theta: base of the wavelengths.
        fraction: share of the features of a head that is rotated, rounded down to pairs.
        scaling: as in :class:`RoPE`.
    """

    cos_SK: Tensor
    sin_SK: Tensor

    def __init__(
        self,
        *,
        d_model: int,
        d_head: int,
        context_length: int,
        theta: float,
        fraction: float,
        scaling: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        del d_model
        self.num_pairs = int(d_head * fraction / 2)
        cos_SK, sin_SK = _tabulate(context_length, d_head, 2 * self.num_pairs, theta, scaling)
        self.register_buffer("cos_SK", cos_SK, persistent=False)
        self.register_buffer("sin_SK", sin_SK, persistent=False)

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BTD

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Rotate the first features of queries or keys by their positions, preserving norms."""
        cos, sin = (_rows(table, x_BHTK, positions_BT) for table in (self.cos_SK, self.sin_SK))
        first, second, still = x_BHTK.float().tensor_split(
            [self.num_pairs, 2 * self.num_pairs], dim=-1
        )
        partner = torch.cat([second, first, still], dim=-1)
        return (x_BHTK * cos + partner * sin).to(x_BHTK.dtype)


def _tabulate(
    num_positions: int, d_head: int, width: int, theta: float, scaling: dict[str, float] | None
) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (S, K) in float32; after ``width`` features those of no rotation."""
    positions = torch.arange(num_positions, dtype=torch.float64)
    angles = torch.outer(positions, inverse_wavelengths(width, theta, scaling))
    cos, sin = angles.cos(), angles.sin()
    still = torch.zeros(num_positions, d_head - width, dtype=torch.float64)
    # The sine of the first half is negated: (a cos - b sin, b cos + a sin).
    return (
        torch.cat([cos, cos, still + 1], -1).float(),
        torch.cat([-sin, sin, still], -1).float(),
    )


def _rows(table_SK: Tensor, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
    """Return the rows of a table for the positions of ``x``: (T, K) or (B, 1, T, K)."""
    if positions_BT is None:
        return table_SK[: x_BHTK.shape[2]]
    return table_SK[positions_BT][:, None]


class NoPE(TabulatedRotation):
    """No position encoding other than the causal mask: Kazemnejad et al. 2023."""

    def __init__(self, *, d_model: int, d_head: int, context_length: int) -> None:
        super().__init__()
        del d_model, d_head, context_length

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BTD

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BHTK

    def rotary_tables(self, num_tokens: int) -> RotaryTables:
        """Return no tables: nothing is rotated."""
        return RotaryTables()


class ALiBi(TabulatedRotation):
    """Attention with linear biases: Press et al. 2022, section 3.

    Each head subtracts its slope times the distance of query and key from the score, after the
    division by sqrt(K). The slopes of H heads, where H is a power of two, are the powers 1 .. H of
    2^(-8/H). For other H, those of the largest power of two below H are followed by every other
    slope of twice as many heads, as in the code released with the paper.

    The biases of all pairs of positions are tabulated once for all layers, (H, S, S) in float32.

    Args:
        d_model: D; with ``d_head`` the number of heads.
        d_head: K.
        context_length: number of tabulated positions.
    """

    slopes_H: Tensor
    bias_HSS: Tensor

    def __init__(self, *, d_model: int, d_head: int, context_length: int) -> None:
        super().__init__()
        slopes = torch.tensor(alibi_slopes(d_model // d_head), dtype=torch.float32)
        self.register_buffer("slopes_H", slopes, persistent=False)
        places = torch.arange(context_length)[None]
        table = self._bias(slopes, places, places)[0]
        self.register_buffer("bias_HSS", table, persistent=False)

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BTD

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BHTK

    def rotary_tables(self, num_tokens: int) -> RotaryTables:
        """Return no tables: nothing is rotated."""
        return RotaryTables()

    def score_bias(
        self,
        q_BHTK: Tensor,
        k_BGSK: Tensor,
        positions_BT: Tensor | None,
        key_positions_BS: Tensor | None,
    ) -> Tensor:
        """Return minus slope times distance, -inf for keys after their query: (B or 1, H, T, S)."""
        if positions_BT is None or key_positions_BS is None:
            return self.bias_HSS[None, :, : q_BHTK.shape[2], : k_BGSK.shape[2]]
        return self._bias(self.slopes_H, positions_BT, key_positions_BS)

    @staticmethod
    def _bias(slopes_H: Tensor, positions_BT: Tensor, key_positions_BS: Tensor) -> Tensor:
        distances_B1TS = (positions_BT[:, :, None] - key_positions_BS[:, None, :])[:, None]
        bias = -slopes_H[:, None, None] * distances_B1TS
        return bias.masked_fill(distances_B1TS < 0, -math.inf)


def alibi_slopes(num_heads: int) -> list[float]:
    """Return the slope of each head; see :class:`ALiBi`."""
    power = 2 ** (num_heads.bit_length() - 1)  # the largest that is at most H
    slopes = [2.0 ** (-8 * i / power) for i in range(1, power + 1)]
    between = [2.0 ** (-8 * i / (2 * power)) for i in range(1, 2 * power, 2)]
    return [*slopes, *between[: num_heads - power]]


class LearnedPositions(TabulatedRotation):
    """A learned vector per position, added to the embeddings: GPT-2, Radford et al. 2019.

    Args:
        d_model: D.
        d_head: unused; every position encoding receives it.
        context_length: number of positions.
    """

    def __init__(self, *, d_model: int, d_head: int, context_length: int) -> None:
        super().__init__()
        del d_head
        self.weight = nn.Parameter(torch.empty(context_length, d_model))

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Add the vector of each position to ``x``."""
        if positions_BT is None:
            return x_BTD + self.weight[: x_BTD.shape[1]]
        return x_BTD + self.weight[positions_BT]

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BHTK

    def rotary_tables(self, num_tokens: int) -> RotaryTables:
        """Return no tables: nothing is rotated."""
        return RotaryTables()
