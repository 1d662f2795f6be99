# SPDX-License-Identifier: MIT
"""A Transformer exported by lmlab whose architecture transformers does not include.

``AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)`` loads this file and
``parts_lmlab.py`` from the folder of the weights. They need only torch and transformers. Weights
keep their names in lmlab.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .parts_lmlab import Block, Learned, Norm, alibi_bias


class LMLabConfig(PretrainedConfig):
    """Sizes and components.

    Args:
        norm: ``pre_rms``, ``pre_layer``, ``pre_dyt`` (before each sublayer and before the head),
            ``sandwich_rms`` (after each sublayer, too), ``post_rms`` (after each residual sum) or
            ``none``.
        norm_alpha: initial scale of ``pre_dyt``.
        position: ``rope``, ``partial_rope``, ``alibi``, ``learned`` (added to the embeddings) or
            ``none``.
        rotary_fraction: of the features of each head, for ``partial_rope``.
        rotary_scaling: factors of Llama 3's scaling, and the context length that it starts from.
        ffn: ``swiglu``, ``geglu``, ``reglu``, ``silu``, ``gelu`` or ``relu2``.
        qk_norm: RMS-normalise queries and keys of each head before rotation.
        attention: ``causal``, ``gated`` (its output times a sigmoid) or ``latent`` (keys and values
            from a latent of ``kv_lora_rank``; the other sizes as in DeepSeek-V3).
        window: number of last tokens that a query sees in the layers of ``window_layers``.
        window_layers: whether each layer has the window.
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
        norm_alpha: float = 0.5,
        position: str = "rope",
        rope_theta: float = 10000.0,
        rotary_fraction: float = 1.0,
        rotary_scaling: dict | None = None,
        ffn: str = "swiglu",
        qk_norm: bool = False,
        qk_norm_eps: float = 1e-5,
        attention: str = "causal",
        window: int | None = None,
        window_layers: list | None = None,
        kv_lora_rank: int = 16,
        q_lora_rank: int | None = None,
        qk_nope_head_dim: int = 32,
        qk_rope_head_dim: int = 16,
        v_head_dim: int = 32,
        latent_norm_eps: float = 1e-6,
        initializer_range: float = 0.02,
        use_cache: bool = True,
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
        self.norm_alpha = norm_alpha
        self.position = position
        self.rope_theta = rope_theta
        self.rotary_fraction = rotary_fraction
        self.rotary_scaling = rotary_scaling
        self.ffn = ffn
        self.qk_norm = qk_norm
        self.qk_norm_eps = qk_norm_eps
        self.attention = attention
        self.window = window
        self.window_layers = window_layers
        self.kv_lora_rank = kv_lora_rank
        self.q_lora_rank = q_lora_rank
        self.qk_nope_head_dim = qk_nope_head_dim
        self.qk_rope_head_dim = qk_rope_head_dim
        self.v_head_dim = v_head_dim
        self.latent_norm_eps = latent_norm_eps
        self.initializer_range = initializer_range
        self.use_cache = use_cache
        more.setdefault("tie_word_embeddings", False)
        super().__init__(**more)


class LMLabForCausalLM(PreTrainedModel, GenerationMixin):
    """The language model; returns the logits of each next token."""

    config_class = LMLabConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True  # Trainer leaves the division by ``num_items_in_batch`` to the loss
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
        position, _, kind = config.norm.partition("_")
        if position in ("pre", "sandwich"):
            self.final_norm = Norm(kind, config.hidden_size, config.norm_eps, config.norm_alpha)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.gradient_checkpointing = False
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
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **loss_kwargs: object,
    ) -> CausalLMOutputWithPast | tuple:
        """Compute logits, and the loss where ``labels`` are given.

        ``labels`` (B, T) are not shifted, ``shift_labels`` are; -100 is ignored. The loss is the
        mean, or the sum divided by ``num_items_in_batch``. Hidden states are those of Llama.
        """
        more = loss_kwargs  # Trainer of 4.46 passes num_items_in_batch only under this name
        for name in _REFUSED_INPUTS:
            if more.get(name) is not None:
                raise ValueError(f"{name}: LMLabForCausalLM has no such input; leave it out")
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("expected exactly one of input_ids and inputs_embeds")
        config, checkpointing = self.config, self.gradient_checkpointing and self.training
        attentions = [] if _or_default(output_attentions, config, "output_attentions") else None
        states = [] if _or_default(output_hidden_states, config, "output_hidden_states") else None
        if use_cache is None:
            use_cache = config.use_cache and not self.training
        x = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        past_key_values = more.get("cache", past_key_values)  # its name from transformers 5.24 on
        if isinstance(past_key_values, (tuple, list)):
            raise ValueError("past_key_values: expected a Cache such as transformers.DynamicCache")
        creates_cache = past_key_values is None and use_cache and not checkpointing
        cache = DynamicCache() if creates_cache else past_key_values
        past = 0 if cache is None else int(cache.get_seq_length())
        mask = _mask(x, past, attention_mask)
        if position_ids is None:
            position_ids = _positions(x, past, attention_mask)
        if config.position == "learned":
            x = x + self._learned(position_ids)
        if config.position == "alibi":
            mask = self._biased(mask, x, past, position_ids, attention_mask)
        context = (self._angles(position_ids), mask)
        if cache is not None or attentions is not None:
            context += (cache, torch.arange(past, past + x.shape[1], device=x.device), attentions)
        for block in self.blocks:
            if states is not None:
                states.append(x)
            if checkpointing:
                x = self._gradient_checkpointing_func(block.__call__, x, *context)
            else:
                x = block(x, *context)
        if hasattr(self, "final_norm"):
            x = self.final_norm(x)
        if states is not None:
            states.append(x)
        logits_to_keep = more.get("num_logits_to_keep") or logits_to_keep  # its name in 4.45
        if isinstance(logits_to_keep, torch.Tensor):
            logits = self.head(x[:, logits_to_keep])
        else:
            logits = self.head(x[:, -logits_to_keep:] if logits_to_keep else x)
        output = CausalLMOutputWithPast(
            loss=_loss(logits, labels, more.get("shift_labels"), more.get("num_items_in_batch")),
            logits=logits,
            past_key_values=cache,
            hidden_states=None if states is None else tuple(states),
            attentions=None if attentions is None else tuple(attentions),
        )
        return output.to_tuple() if return_dict is False else output

    def prepare_inputs_for_generation(
        self, input_ids, past_key_values=None, attention_mask=None, inputs_embeds=None, **more
    ):
        given = {"past_key_values": past_key_values, "attention_mask": attention_mask}
        more |= {name: value for name, value in given.items() if value is not None}
        try:
            return super().prepare_inputs_for_generation(
                input_ids, inputs_embeds=inputs_embeds, **more
            )
        except NotImplementedError:  # transformers 4.45 leaves this to each model
            past = 0 if past_key_values is None else past_key_values.get_seq_length()
            if inputs_embeds is not None and past == 0:
                return {"input_ids": None, "inputs_embeds": inputs_embeds, **more}
            return {"input_ids": input_ids[:, min(past, input_ids.shape[1] - 1) :], **more}

    def _learned(self, position_ids: torch.Tensor) -> torch.Tensor:
        limit = len(self.pos.weight)
        is_traced = torch.compiler.is_compiling() or torch.jit.is_tracing() or position_ids.is_meta
        if not is_traced and position_ids.max() >= limit:
            raise ValueError(
                f"position {int(position_ids.max())}: this model has learned positions up to "
                f"{limit - 1}; shorten the text or max_new_tokens"
            )
        return self.pos.weight[position_ids]

    def _angles(self, position_ids: torch.Tensor) -> torch.Tensor | None:
        """Return rotation angles (B, 1, T, R/2), in float64 as in lmlab if the device has it."""
        config, device = self.config, position_ids.device
        if config.position not in ("rope", "partial_rope"):
            return None
        dtype = torch.float32 if device.type == "mps" else torch.float64
        fraction = config.rotary_fraction if config.position == "partial_rope" else 1.0
        whole = config.qk_rope_head_dim if config.attention == "latent" else config.head_dim
        width = 2 * int(whole * fraction / 2)
        exponents = torch.arange(0, width, 2, dtype=dtype, device=device) / width
        angles = float(config.rope_theta) ** -exponents
        if (scaling := config.rotary_scaling) is not None:
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            turns = scaling["original_context_length"] * angles / (2 * math.pi)
            kept = ((turns - low) / (high - low)).clamp(0, 1)
            angles = angles * (kept + (1 - kept) / scaling["factor"])
        return position_ids[:, None, :, None].to(dtype) * angles

    def _biased(self, mask, x, past, position_ids, attention_mask):
        """Return the mask as a term of the scores (B, H, T, S), with the bias of each distance."""
        keys = position_ids
        if past:
            whole = x.new_empty(x.shape[0], past + x.shape[1])
            keys = _positions(whole, 0, attention_mask)
        bias = alibi_bias(self.config.num_attention_heads, position_ids, keys).to(x.dtype)
        if mask.dtype == torch.bool:
            return bias.masked_fill(~mask, torch.finfo(x.dtype).min)
        return (bias + mask[..., : bias.shape[-1]]).clamp(min=torch.finfo(x.dtype).min)


# Inputs of other models: passing them on would give a result that does not depend on them.
_REFUSED_INPUTS = ("token_type_ids", "head_mask", "encoder_hidden_states", "encoder_attention_mask")


def _or_default(value: bool | None, config: LMLabConfig, name: str) -> bool:
    return bool(getattr(config, name, False) if value is None else value)


def _positions(x: torch.Tensor, past: int, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """Positions (B or 1, T) that count from the first token of each row that is no padding."""
    count = x.shape[1]
    if attention_mask is None or attention_mask.ndim != 2:
        return torch.arange(past, past + count, device=x.device)[None]
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, past : past + count]


def _mask(x: torch.Tensor, past: int, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """Return which keys a query may attend to, (B or 1, 1, T, S): no later key, no padding.

    A mask (B, 1, T, S) is complete: True, or 0 if it is added to the scores, where allowed.
    """
    end = past + x.shape[1]
    if attention_mask is not None and attention_mask.ndim == 4:
        if not attention_mask.is_floating_point():
            return attention_mask.bool()
        return attention_mask.clamp(min=torch.finfo(x.dtype).min).to(x.dtype)  # finite in bfloat16
    queries = torch.arange(past, end, device=x.device)[:, None]
    keys = torch.arange(end, device=x.device)[None]
    mask = (keys <= queries)[None, None]
    if attention_mask is None:
        return mask
    if attention_mask.ndim != 2 or attention_mask.shape[-1] < end:
        raise ValueError(
            f"attention_mask of shape {tuple(attention_mask.shape)}: expected (batch, {end}), "
            "one column per token, cached ones included"
        )
    mask = mask & attention_mask[:, None, None, :end].bool()
    # A padded query attends to itself, because softmax of only -inf would be NaN.
    return mask | (keys == queries)[None, None]


def _loss(
    logits: torch.Tensor,
    labels: torch.Tensor | None,
    shift_labels: torch.Tensor | None,
    num_items: torch.Tensor | int | None,
) -> torch.Tensor | None:
    """Mean loss per predicted token, or the sum divided by ``num_items``."""
    if labels is None and shift_labels is None:
        return None
    if shift_labels is None:
        shift_labels = F.pad(labels, (0, 1), value=-100)[:, 1:]
    targets = shift_labels.to(logits.device)
    if logits.shape[1] != targets.shape[1]:
        raise ValueError("labels: expected logits of all tokens; leave logits_to_keep at 0")
    reduction = "mean" if num_items is None else "sum"
    loss = F.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100, reduction=reduction
    )
    return loss if num_items is None else loss / torch.as_tensor(num_items, device=loss.device)
