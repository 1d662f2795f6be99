# SPDX-License-Identifier: MIT
"""A Transformer exported by lmlab whose architecture transformers does not include.

``AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)`` loads this file from the
folder of the weights. It needs only torch and transformers. Weights keep their names in lmlab.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast


class LMLabConfig(PretrainedConfig):
    """Sizes and components.

    Args:
        norm: ``pre_rms``, ``pre_layer`` (before each sublayer and before the head), ``post_rms``
            (after each residual sum) or ``none``.
        position: ``rope``, ``learned`` (added to the embeddings) or ``none``.
        ffn: ``swiglu``, ``silu``, ``gelu`` or ``relu2``.
        qk_norm: RMS-normalise queries and keys of each head before rotation.
    """

    model_type = "lmlab"
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(
        self,
        vocab_size: int = 257,
        hidden_size: int = 64,
        intermediate_size: int = 256,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        num_key_value_heads: int | None = None,
        max_position_embeddings: int = 128,
        norm: str = "pre_rms",
        norm_eps: float = 1e-5,
        position: str = "rope",
        rope_theta: float = 10000.0,
        ffn: str = "swiglu",
        qk_norm: bool = False,
        qk_norm_eps: float = 1e-5,
        **more: object,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads or num_attention_heads
        self.head_dim = hidden_size // num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.norm = norm
        self.norm_eps = norm_eps
        self.position = position
        self.rope_theta = rope_theta
        self.ffn = ffn
        self.qk_norm = qk_norm
        self.qk_norm_eps = qk_norm_eps
        more.setdefault("tie_word_embeddings", False)
        super().__init__(**more)


class Norm(nn.Module):
    """RMSNorm or LayerNorm without bias, in float32."""

    def __init__(self, kind: str, width: int, eps: float) -> None:
        super().__init__()
        self.kind, self.eps = kind, eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, y = self.weight.float(), x.float()
        if self.kind == "layer":
            return F.layer_norm(y, weight.shape, weight, None, self.eps).to(x.dtype)
        return (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps) * weight).to(x.dtype)


class Attention(nn.Module):
    """Causal attention with H query heads that share G key/value heads."""

    def __init__(self, config: LMLabConfig, layer: int) -> None:
        super().__init__()
        width, d_head = config.hidden_size, config.head_dim
        self.layer, self.d_head = layer, d_head
        self.groups = config.num_attention_heads // config.num_key_value_heads
        self.q = nn.Linear(width, config.num_attention_heads * d_head, bias=False)
        self.k = nn.Linear(width, config.num_key_value_heads * d_head, bias=False)
        self.v = nn.Linear(width, config.num_key_value_heads * d_head, bias=False)
        self.out = nn.Linear(config.num_attention_heads * d_head, width, bias=False)
        for name in ("q_norm", "k_norm"):
            eps = config.qk_norm_eps
            setattr(self, name, Norm("rms", d_head, eps) if config.qk_norm else nn.Identity())

    def forward(self, x, angles, mask, cache):
        q, k, v = (
            part(x).unflatten(-1, (-1, self.d_head)).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        q, k = rotate(self.q_norm(q), angles), rotate(self.k_norm(k), angles)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        k, v = (part.repeat_interleave(self.groups, dim=1) for part in (k, v))
        output = F.scaled_dot_product_attention(q, k, v.to(q.dtype), attn_mask=mask)
        return self.out(output.transpose(1, 2).flatten(2))


def rotate(x: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
    """Rotate feature i with feature i + K/2 by the angles of each position (B, 1, T, K/2)."""
    if angles is None:
        return x
    a, b = x.float().chunk(2, dim=-1)
    cos, sin = angles.cos().float(), angles.sin().float()
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)


class FeedForward(nn.Module):
    """``down(silu(gate(x)) * up(x))``, or ``down(activation(up(x)))``."""

    def __init__(self, config: LMLabConfig) -> None:
        super().__init__()
        self.kind = config.ffn
        if self.kind == "swiglu":
            self.gate = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = self.up(x)
        if self.kind == "swiglu":
            return self.down(F.silu(self.gate(x)) * up)
        if self.kind == "relu2":
            return self.down(F.relu(up).square())
        return self.down({"silu": F.silu, "gelu": F.gelu}[self.kind](up))


class Branch(nn.Module):
    """A residual branch, normalised before the sublayer, after the sum, or not at all."""

    def __init__(self, config: LMLabConfig, sublayer: nn.Module) -> None:
        super().__init__()
        self.norm_position, _, kind = config.norm.partition("_")
        if kind:
            self.norm = Norm(kind, config.hidden_size, config.norm_eps)
        self.sublayer = sublayer

    def forward(self, x: torch.Tensor, *context: object) -> torch.Tensor:
        if self.norm_position == "pre":
            return x + self.sublayer(self.norm(x), *context)
        total = x + self.sublayer(x, *context)
        return self.norm(total) if self.norm_position == "post" else total


class Block(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, config: LMLabConfig, layer: int) -> None:
        super().__init__()
        self.attention = Branch(config, Attention(config, layer))
        self.ffn = Branch(config, FeedForward(config))

    def forward(self, x: torch.Tensor, *context: object) -> torch.Tensor:
        return self.ffn(self.attention(x, *context))


class Learned(nn.Module):
    """A learned vector per position."""

    def __init__(self, config: LMLabConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(config.max_position_embeddings, config.hidden_size))


class LMLabForCausalLM(PreTrainedModel, GenerationMixin):
    """The language model; returns the logits of each next token."""

    config_class = LMLabConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = False
    _supports_sdpa = True
    _no_split_modules = ["Block"]
    _tied_weights_keys = {"head.weight": "embedding.weight"}

    def __init__(self, config: LMLabConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        if config.position == "learned":
            self.pos = Learned(config)
        self.blocks = nn.ModuleList(
            Block(config, layer) for layer in range(config.num_hidden_layers)
        )
        if config.norm.startswith("pre_"):
            kind = config.norm.removeprefix("pre_")
            self.final_norm = Norm(kind, config.hidden_size, config.norm_eps)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embedding = value

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.head = value

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: object | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **unused: object,
    ) -> CausalLMOutputWithPast:
        x = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        count = x.shape[1]
        if position_ids is None:
            position_ids = torch.arange(past, past + count, device=x.device)[None]
            if attention_mask is not None and attention_mask.ndim == 2:
                position_ids = (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, -count:]
        if self.config.position == "learned":
            x = x + self.pos.weight[position_ids]
        angles, mask = self._angles(position_ids), _mask(x, past, attention_mask)
        for block in self.blocks:
            x = block(x, angles, mask, past_key_values)
        if self.config.norm.startswith("pre_"):
            x = self.final_norm(x)
        logits = self.head(x[:, -logits_to_keep:] if logits_to_keep else x)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    def _angles(self, position_ids: torch.Tensor) -> torch.Tensor | None:
        """Return rotation angles (B, 1, T, K/2), in float64 as in lmlab if the device has it."""
        if self.config.position != "rope":
            return None
        dtype = torch.float32 if position_ids.device.type == "mps" else torch.float64
        d_head = self.config.head_dim
        exponents = torch.arange(0, d_head, 2, dtype=dtype, device=position_ids.device) / d_head
        turns = float(self.config.rope_theta) ** -exponents
        return position_ids[:, None, :, None].to(dtype) * turns


def _mask(x: torch.Tensor, past: int, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """True where a query may attend to a key, (B or 1, 1, T, S): no later key, no padding."""
    queries = torch.arange(past, past + x.shape[1], device=x.device)[:, None]
    keys = torch.arange(past + x.shape[1], device=x.device)[None]
    mask = (keys <= queries)[None, None]
    if attention_mask is not None and attention_mask.ndim == 2:
        mask = mask & attention_mask[:, None, None].bool()
        # A padded query attends to itself, because softmax of only -inf would be NaN.
        mask = mask | (keys == queries)[None, None]
    return mask
