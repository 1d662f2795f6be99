"""Latents of earlier tokens, for generation."""

from __future__ import annotations

import torch
from torch import Tensor


class LatentCache:
    """Preallocated latents and rotated key features of one layer of latent attention.

    Args:
        batch_size: B.
        max_length: capacity in tokens, the largest S.
        kv_rank: R, width of the latent.
        d_rope: P, rotated features of a key.
        device: device of the model.
        dtype: dtype of both.
    """

    def __init__(
        self,
        *,
        batch_size: int,
        max_length: int,
        kv_rank: int,
        d_rope: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.latent_BSR = torch.zeros(batch_size, max_length, kv_rank, device=device, dtype=dtype)
        self.k_rope_BSP = torch.zeros(batch_size, max_length, d_rope, device=device, dtype=dtype)
        self.length = 0

    def append(self, latent_BTR: Tensor, k_rope_BTP: Tensor) -> tuple[Tensor, Tensor]:
        """Append T tokens and return latents and rotated key features of all S tokens.

        Raises:
            IndexError: the cache would exceed ``max_length`` tokens.
        """
        end = self.length + latent_BTR.shape[1]
        if end > self.latent_BSR.shape[1]:
            raise IndexError(
                f"cache of {self.latent_BSR.shape[1]} tokens: cannot hold {end} tokens"
            )
        self.latent_BSR[:, self.length : end] = latent_BTR
        self.k_rope_BSP[:, self.length : end] = k_rope_BTP
        self.length = end
        return self.latent_BSR[:, :end], self.k_rope_BSP[:, :end]

    def keep_rows(self, rows: Tensor) -> None:
        """Keep only the sequences of the batch with these indices."""
        self.latent_BSR, self.k_rope_BSP = self.latent_BSR[rows], self.k_rope_BSP[rows]
