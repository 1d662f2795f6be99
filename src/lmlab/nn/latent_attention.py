"""Multi-head latent attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmlab.nn.attention import causal_attention
from lmlab.nn.biased_attention import bias_of, biased_attention
from lmlab.nn.fused_linear import ApplyLinears, separate_linears
from lmlab.nn.kernel_set import BiasedAttention, CausalAttention, KernelSet
from lmlab.nn.latent_cache import LatentCache
from lmlab.nn.latent_widths import latent_widths, rotated_width_of_latent
from lmlab.nn.norm import RMSNorm
from lmlab.nn.pos import Positions, refuse_score_bias


class LatentAttention(nn.Module):
    """Multi-head latent attention: DeepSeek-AI 2024 (DeepSeek-V2), section 2.1.

    Keys and values of all heads are computed from one latent per token (equations 9 to 11), and
    queries from another where ``q_lora_rank`` is set (equations 12 and 13). The position encoding
    rotates further features beside these: those of the queries are per head, those of the key are
    shared by all heads (equations 14 to 19). Latents are normalised by RMSNorm (section 3.1.2).
    Scores are divided by the square root of the width of a key. No biases.

    In generation, the cache holds the latents and the rotated features of the keys alone. Queries
    are then multiplied into the space of the latents, so that no keys and values of earlier tokens
    are computed (section 2.1.2).

    Without a cache, values are padded with zeros to the width of the keys, so that kernels for one
    width serve them.

    Args:
        d_model: D.
        num_heads: H; divides D.
        pos: rotates the features for positions.
        kv_lora_rank: R, width of the latent of keys and values; None for D / 4.
        q_lora_rank: width of the latent of queries; None for no latent.
        d_nope: features of a query or key head without position; None for D / H.
        d_rope: features that are rotated; None for half of D / H, rounded up to an even number.
        d_value: width of a value head, at most ``d_nope + d_rope``; None for D / H.
        latent_norm_eps: epsilon of the norms of the latents, added to the mean square.

    Raises:
        ConfigError: ``pos`` adds to the scores.

    Attributes:
        query_factor: multiplies the queries, and so the scores; 1 unless
            :class:`lmlab.nn.transformer.Transformer` sets it.
        score_products: multiplications per pair of a query and a key.
    """

    def __init__(
        self,
        *,
        d_model: int,
        num_heads: int,
        pos: Positions,
        kv_lora_rank: int | None = None,
        q_lora_rank: int | None = None,
        d_nope: int | None = None,
        d_rope: int | None = None,
        d_value: int | None = None,
        latent_norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        refuse_score_bias(pos, "model.attention=mla", "set model.attention=causal")
        self.widths = widths = latent_widths(
            d_model=d_model, num_heads=num_heads, kv_lora_rank=kv_lora_rank,
            q_lora_rank=q_lora_rank, d_nope=d_nope, d_rope=d_rope, d_value=d_value,
        )  # fmt: skip
        self.num_heads = num_heads
        if widths.q_rank is None:
            self.q = nn.Linear(d_model, num_heads * widths.d_key, bias=False)
        else:
            self.q_down = nn.Linear(d_model, widths.q_rank, bias=False)
            self.q_latent_norm = RMSNorm(widths.q_rank, latent_norm_eps)
            self.q_up = nn.Linear(widths.q_rank, num_heads * widths.d_key, bias=False)
        self.kv_down = nn.Linear(d_model, widths.kv_rank, bias=False)
        self.kv_latent_norm = RMSNorm(widths.kv_rank, latent_norm_eps)
        self.k_rope = nn.Linear(d_model, widths.d_rope, bias=False)
        self.k_up = nn.Linear(widths.kv_rank, num_heads * widths.d_nope, bias=False)
        self.v_up = nn.Linear(widths.kv_rank, num_heads * widths.d_value, bias=False)
        self.out = nn.Linear(num_heads * widths.d_value, d_model, bias=False)
        self.apply_linears: ApplyLinears = separate_linears
        self.causal_attention: CausalAttention = causal_attention
        self.biased_attention: BiasedAttention = biased_attention
        self.query_factor = 1.0
        self.score_products = 2 * num_heads * widths.d_key
        # All layers share one object, which belongs to the model. The list keeps it out of this
        # module's children, so that its parameters appear once.
        self._pos = [pos]

    @staticmethod
    def rotated_width(*, d_model: int, num_heads: int, d_rope: int | None = None) -> int:
        """Return the width of the features that the position encoding rotates."""
        return rotated_width_of_latent(d_model // num_heads, d_rope)

    def forward(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor | None = None,
        cache: LatentCache | None = None,
        mask_BTS: Tensor | None = None,
    ) -> Tensor:
        """Return (B, T, D).

        Args:
            x_BTD: input of the layer.
            positions_BT: position of each token; None for 0 .. T-1.
            cache: latents of earlier tokens; the new ones are appended.
            mask_BTS: True where query t may attend to key s; required with a cache. None for the
                causal mask.
        """
        (pos,) = self._pos
        widths = self.widths
        first = self.q if widths.q_rank is None else self.q_down
        q, latent, k_rope = self.apply_linears(x_BTD, (first, self.kv_down, self.k_rope))
        if widths.q_rank is not None:
            q = self.q_up(self.q_latent_norm(q))
        q = self._split_heads(q, widths.d_key)
        if self.query_factor != 1:
            q = q * self.query_factor
        q_nope, q_rope = q.split([widths.d_nope, widths.d_rope], dim=-1)
        q_rope = pos.rotate(q_rope, positions_BT)
        k_rope_B1TP = pos.rotate(k_rope[:, None], positions_BT)
        latent = self.kv_latent_norm(latent)
        if cache is None:
            output = self._attend(q_nope, q_rope, latent, k_rope_B1TP, mask_BTS)
        else:
            assert mask_BTS is not None
            kept = cache.append(
                latent.to(cache.latent_BSR.dtype), k_rope_B1TP[:, 0].to(cache.k_rope_BSP.dtype)
            )
            output = self._attend_to_latents(q_nope, q_rope, *kept, mask_BTS)
        update: Tensor = self.out(output.transpose(1, 2).flatten(2))
        return update

    def use(self, kernels: KernelSet) -> set[str]:
        """Take kernels of attention and of linear maps."""
        taken: set[str] = set()
        if kernels.apply_linears is not None:
            self.apply_linears = kernels.apply_linears
            taken.add("apply_linears")
        if kernels.causal_attention is not None:
            self.causal_attention = kernels.causal_attention(self.widths.d_key)
            taken.add("causal_attention")
        if kernels.biased_attention is not None:
            self.biased_attention = kernels.biased_attention
            taken.add("biased_attention")
        return taken

    def make_cache(
        self, *, batch_size: int, max_length: int, device: torch.device, dtype: torch.dtype
    ) -> LatentCache:
        """Return an empty cache for generation.

        Args:
            batch_size: B.
            max_length: capacity in tokens.
            device: of the model.
            dtype: of the latents.
        """
        return LatentCache(
            batch_size=batch_size,
            max_length=max_length,
            kv_rank=self.widths.kv_rank,
            d_rope=self.widths.d_rope,
            device=device,
            dtype=dtype,
        )

    def _attend(
        self,
        q_nope_BHTK: Tensor,
        q_rope_BHTP: Tensor,
        latent_BTR: Tensor,
        k_rope_B1TP: Tensor,
        mask_BTS: Tensor | None,
    ) -> Tensor:
        """Return the weighted sums of values that are computed from the latents."""
        widths = self.widths
        k_nope, v = self.apply_linears(latent_BTR, (self.k_up, self.v_up))
        k_nope, v = self._split_heads(k_nope, widths.d_nope), self._split_heads(v, widths.d_value)
        q = torch.cat([q_nope_BHTK, q_rope_BHTP], dim=-1)
        k = torch.cat([k_nope, k_rope_B1TP.expand(-1, self.num_heads, -1, -1)], dim=-1)
        v = F.pad(v, (0, widths.d_key - widths.d_value))
        if mask_BTS is None:
            output = self.causal_attention(q, k, v, None)
        else:
            output = self.biased_attention(q, k, v, bias_of(mask_BTS[:, None]))
        return output[..., : widths.d_value]

    def _attend_to_latents(
        self,
        q_nope_BHTK: Tensor,
        q_rope_BHTP: Tensor,
        latent_BSR: Tensor,
        k_rope_BSP: Tensor,
        mask_BTS: Tensor,
    ) -> Tensor:
        """Compute :meth:`_attend` with the latents as the keys and values of a single head.

        The matrix of keys is multiplied into the queries, and that of values into the output.
        """
        k_up_HKR, v_up_HKR = (
            matrix.unflatten(0, (self.num_heads, -1))
            for matrix in (self.k_up.weight, self.v_up.weight)
        )
        q = torch.cat([q_nope_BHTK @ k_up_HKR, q_rope_BHTP], dim=-1)
        latent_BSR, k_rope_BSP = latent_BSR.to(q.dtype), k_rope_BSP.to(q.dtype)
        k = torch.cat([latent_BSR, k_rope_BSP], dim=-1)
        mixed_BHTR = F.scaled_dot_product_attention(
            q,
            k[:, None],
            latent_BSR[:, None],
            attn_mask=mask_BTS[:, None],
            scale=self.widths.d_key**-0.5,
            enable_gqa=True,
        )
        return mixed_BHTR @ v_up_HKR.mT

    def _split_heads(self, x_BTJ: Tensor, width: int) -> Tensor:
        """Give each head its own axis: (B, H, T, K)."""
        return x_BTJ.unflatten(-1, (self.num_heads, width)).transpose(1, 2)
