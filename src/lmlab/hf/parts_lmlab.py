# SPDX-License-Identifier: MIT
"""The parts of the model in ``modeling_lmlab.py``, which describes their settings.

This file leaves with exported weights, too, and needs only torch and transformers.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PretrainedConfig


class Norm(nn.Module):
    """RMSNorm, LayerNorm or dynamic tanh, without bias, in float32."""

    def __init__(self, kind: str, width: int, eps: float, alpha: float = 0.5) -> None:
        super().__init__()
        self.kind, self.eps = kind, eps
        if kind == "dyt":
            self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, y = self.weight.float(), x.float()
        if self.kind == "dyt":
            return (torch.tanh(self.alpha.float() * y) * weight).to(x.dtype)
        if self.kind == "layer":
            return F.layer_norm(y, weight.shape, weight, None, self.eps).to(x.dtype)
        return (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps) * weight).to(x.dtype)


class Attention(nn.Module):
    """Causal attention with H query heads that share G key/value heads, and maybe a gate."""

    def __init__(self, config: PretrainedConfig, layer: int) -> None:
        super().__init__()
        width, d_head = config.hidden_size, config.head_dim
        self.layer, self.d_head = layer, d_head
        self.groups = config.num_attention_heads // config.num_key_value_heads
        has_window = config.window is not None and config.window_layers[layer]
        self.window = config.window if has_window else None
        self.q = nn.Linear(width, config.num_attention_heads * d_head, bias=False)
        self.k = nn.Linear(width, config.num_key_value_heads * d_head, bias=False)
        self.v = nn.Linear(width, config.num_key_value_heads * d_head, bias=False)
        self.out = nn.Linear(config.num_attention_heads * d_head, width, bias=False)
        for name in ("q_norm", "k_norm"):
            eps = config.qk_norm_eps
            setattr(self, name, Norm("rms", d_head, eps) if config.qk_norm else nn.Identity())
        self.is_gated = config.attention == "gated"
        if self.is_gated:
            self.output_gate = nn.Linear(width, config.num_attention_heads * d_head, bias=False)

    def forward(self, x, angles, mask, cache=None, positions=None, weights=None):
        """Return the output (B, T, D); append attention probabilities to ``weights`` if given."""
        q, k, v = (
            part(x).unflatten(-1, (-1, self.d_head)).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        q, k = rotate(self.q_norm(q), angles), rotate(self.k_norm(k), angles)
        if cache is not None:
            k, v = cache.update(k, v, self.layer, {"cache_position": positions})
        k, v = (part.repeat_interleave(self.groups, dim=1) for part in (k, v))
        if self.window is not None:
            mask = restrict(mask, self.window, x.shape[1], positions)
        output = attend(q, k, v, mask, weights).transpose(1, 2).flatten(2)
        if self.is_gated:
            output = output * torch.sigmoid(self.output_gate(x))
        return self.out(output)


class LatentAttention(nn.Module):
    """Attention whose keys and values come from one latent per token, which alone is cached."""

    def __init__(self, config: PretrainedConfig, layer: int) -> None:
        super().__init__()
        width, heads, eps = config.hidden_size, config.num_attention_heads, config.latent_norm_eps
        self.layer, self.heads = layer, heads
        self.d_nope, self.d_rope = config.qk_nope_head_dim, config.qk_rope_head_dim
        d_key, d_value = self.d_nope + self.d_rope, config.v_head_dim
        self.has_query_latent = config.q_lora_rank is not None
        if self.has_query_latent:
            self.q_down = nn.Linear(width, config.q_lora_rank, bias=False)
            self.q_latent_norm = Norm("rms", config.q_lora_rank, eps)
            self.q_up = nn.Linear(config.q_lora_rank, heads * d_key, bias=False)
        else:
            self.q = nn.Linear(width, heads * d_key, bias=False)
        self.kv_down = nn.Linear(width, config.kv_lora_rank, bias=False)
        self.kv_latent_norm = Norm("rms", config.kv_lora_rank, eps)
        self.k_rope = nn.Linear(width, self.d_rope, bias=False)
        self.k_up = nn.Linear(config.kv_lora_rank, heads * self.d_nope, bias=False)
        self.v_up = nn.Linear(config.kv_lora_rank, heads * d_value, bias=False)
        self.out = nn.Linear(heads * d_value, width, bias=False)

    def forward(self, x, angles, mask, cache=None, positions=None, weights=None):
        """Return the output (B, T, D); append attention probabilities to ``weights`` if given."""
        q = self.q_up(self.q_latent_norm(self.q_down(x))) if self.has_query_latent else self.q(x)
        q_nope, q_rope = self._by_head(q).split([self.d_nope, self.d_rope], dim=-1)
        latent, k_rope = self.kv_latent_norm(self.kv_down(x))[:, None], self.k_rope(x)[:, None]
        k_rope = rotate(k_rope, angles)
        if cache is not None:
            latent, k_rope = cache.update(latent, k_rope, self.layer, {"cache_position": positions})
        k_nope, v = self._by_head(self.k_up(latent[:, 0])), self._by_head(self.v_up(latent[:, 0]))
        q = torch.cat([q_nope, rotate(q_rope, angles)], dim=-1)
        k = torch.cat([k_nope, k_rope.expand(-1, self.heads, -1, -1)], dim=-1)
        output = attend(q, k, v, mask, weights)
        return self.out(output.transpose(1, 2).flatten(2))

    def _by_head(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def attend(q, k, v, mask, weights=None):
    """Return softmax(q k / sqrt(K)) v; append attention probabilities to ``weights`` if given."""
    if mask.shape[-1] < k.shape[-2]:  # a static cache returns its unused positions too
        hidden = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        mask = F.pad(mask, (0, k.shape[-2] - mask.shape[-1]), value=hidden)
    v = v.to(q.dtype)
    if weights is not None:
        scores = (q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
        if mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, -torch.inf)
        else:
            scores = scores + mask
        weights.append(scores.softmax(-1).to(q.dtype))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def restrict(mask, window, count, positions=None):
    """Hide keys before the last ``window`` ones of each of ``count`` queries, its own included.

    ``positions`` are those of the queries among the keys; None for the first ones.
    """
    keys = torch.arange(mask.shape[-1], device=mask.device)
    queries = keys[:count] if positions is None else positions
    hidden = keys[None, :] <= queries[:, None] - window
    lowest = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    return mask.masked_fill(hidden, lowest)


def rotate(x: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
    """Rotate feature i with feature i + R/2 by the angles of each position (B, 1, T, R/2)."""
    if angles is None:
        return x
    half = angles.shape[-1]
    a, b, still = x.float().tensor_split([half, 2 * half], dim=-1)
    cos, sin = angles.cos().float(), angles.sin().float()
    return torch.cat([a * cos - b * sin, b * cos + a * sin, still], dim=-1).to(x.dtype)


def alibi_bias(num_heads: int, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Return minus slope times distance of positions (B, T) and (B, S): (B, H, T, S)."""
    power = 2 ** (num_heads.bit_length() - 1)
    slopes = [2.0 ** (-8 * i / power) for i in range(1, power + 1)]
    slopes += [2.0 ** (-4 * i / power) for i in range(1, 2 * power, 2)][: num_heads - power]
    factors = torch.tensor(slopes, device=queries.device)[:, None, None]
    return -factors * (queries[:, None, :, None] - keys[:, None, None, :])


class FeedForward(nn.Module):
    """``down(activation(gate(x)) * up(x))``, or ``down(activation(up(x)))``."""

    gates = {"swiglu": F.silu, "geglu": F.gelu, "reglu": F.relu}

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.kind = config.ffn
        if self.kind in self.gates:
            self.gate = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = self.up(x)
        if self.kind in self.gates:
            return self.down(self.gates[self.kind](self.gate(x)) * up)
        if self.kind == "relu2":
            return self.down(F.relu(up).square())
        return self.down({"silu": F.silu, "gelu": F.gelu}[self.kind](up))


class Branch(nn.Module):
    """A residual branch, normalised around the sublayer, after the sum, or not at all."""

    def __init__(self, config: PretrainedConfig, sublayer: nn.Module) -> None:
        super().__init__()
        self.norm_position, _, kind = config.norm.partition("_")
        if kind:
            self.norm = Norm(kind, config.hidden_size, config.norm_eps, config.norm_alpha)
        if self.norm_position == "sandwich":
            self.last = Norm(kind, config.hidden_size, config.norm_eps, config.norm_alpha)
        self.sublayer = sublayer

    def forward(self, x: torch.Tensor, *context: object) -> torch.Tensor:
        if self.norm_position == "pre":
            return x + self.sublayer(self.norm(x), *context)
        if self.norm_position == "sandwich":
            return x + self.last(self.sublayer(self.norm(x), *context))
        total = x + self.sublayer(x, *context)
        return self.norm(total) if self.norm_position == "post" else total


class Block(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, config: PretrainedConfig, layer: int) -> None:
        super().__init__()
        attention = LatentAttention if config.attention == "latent" else Attention
        self.attention = Branch(config, attention(config, layer))
        self.ffn = Branch(config, FeedForward(config))

    def forward(self, x: torch.Tensor, *context: object) -> torch.Tensor:
        return self.ffn(self.attention(x, *context))


class Learned(nn.Module):
    """A learned vector per position."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(config.max_position_embeddings, config.hidden_size))
