"""Keys, values and positions of earlier tokens, for generation."""

from __future__ import annotations

import torch
from torch import Tensor


class KVCache:
    """Preallocated keys and values of one attention layer.

    Args:
        batch_size: B.
        num_kv_heads: G.
        max_length: capacity in tokens, the largest S.
        d_head: K.
        device: device of the model.
        dtype: dtype of keys and values.
    """

    def __init__(
        self,
        *,
        batch_size: int,
        num_kv_heads: int,
        max_length: int,
        d_head: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (batch_size, num_kv_heads, max_length, d_head)
        self.k_BGSK = torch.zeros(shape, device=device, dtype=dtype)
        self.v_BGSK = torch.zeros(shape, device=device, dtype=dtype)
        self.positions_BS: Tensor | None = None
        self.length = 0

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Append T tokens and return the keys and values of all S tokens.

        Raises:
            IndexError: the cache would exceed ``max_length`` tokens.
        """
        end = self.length + k_BGTK.shape[2]
        self._check_end(end)
        self.k_BGSK[:, :, self.length : end] = k_BGTK
        self.v_BGSK[:, :, self.length : end] = v_BGTK
        self.length = end
        return self.k_BGSK[:, :, :end], self.v_BGSK[:, :, :end]

    def append_positions(self, positions_BT: Tensor) -> Tensor:
        """Append the positions of T tokens and return those of all S tokens.

        Call it before every :meth:`append`, or never: position encodings that add nothing to the
        scores do not need the positions of earlier keys.

        Raises:
            IndexError: the cache would exceed ``max_length`` tokens.
        """
        end = self.length + positions_BT.shape[1]
        self._check_end(end)
        if self.positions_BS is None:
            rows, length = self.k_BGSK.shape[0], self.k_BGSK.shape[2]
            self.positions_BS = positions_BT.new_zeros(rows, length)
        self.positions_BS[:, self.length : end] = positions_BT
        return self.positions_BS[:, :end]

    def keep_rows(self, rows: Tensor) -> None:
        """Keep only the sequences of the batch with these indices."""
        self.k_BGSK, self.v_BGSK = self.k_BGSK[rows], self.v_BGSK[rows]
        if self.positions_BS is not None:
            self.positions_BS = self.positions_BS[rows]

    def _check_end(self, end: int) -> None:
        if end > self.k_BGSK.shape[2]:
            raise IndexError(f"cache of {self.k_BGSK.shape[2]} tokens: cannot hold {end} tokens")
