"""A small model of any parts, with random weights in all of them."""

from __future__ import annotations

from typing import Any

import torch
from small_models import build, leaf

from lmlab.nn.transformer import Transformer

SHAPE = {
    "vocab_size": 300, "context_length": 12, "d_model": 16, "num_layers": 3, "num_heads": 4,
    "d_ff": 20, "tie_embeddings": False, "norm": leaf("model/norm", "rms"),
    "pos": leaf("model/pos", "rope"), "ffn": leaf("model/ffn", "swiglu"),
    "attention": leaf("model/attention", "causal") | {"num_kv_heads": 2},
}  # fmt: skip
TOKENS = torch.arange(24).reshape(2, 12) * 11 % 300


def model_of(**parts: Any) -> Transformer:
    network = build(SHAPE | parts)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network
