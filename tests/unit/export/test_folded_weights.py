"""A model without factors, with folded weights, computes the logits of the model with them."""

from __future__ import annotations

import itertools

import pytest
import torch

from lmlab.build.factory import build_model
from lmlab.build.network import build_network
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.export.folded_weights import check_foldable, folded_weights

SHAPE = [
    "model.vocab_size=300", "model.context_length=16", "model.d_model=48", "model.num_layers=3",
    "model.num_heads=4", "model.d_ff=40", "model.init=normal", "model.init.std=0.2",
]  # fmt: skip
PARAM = [
    "model.param=completep", "model.param.base_d_model=20", "model.param.base_d_head=5",
    "model.param.base_num_layers=2", "model.param.alpha=0.8",
]  # fmt: skip
CASES = [
    [f"model.norm={norm}", f"model.tie_embeddings={tied}", f"model.attention.qk_norm={qk_norm}",
     f"model.pos={pos}", f"model.ffn={ffn}", f"model.attention.num_kv_heads={kv_heads}"]
    for (norm, tied, qk_norm), (pos, ffn, kv_heads) in zip(
        itertools.product(("rms", "layernorm", "post", "none"), *[("true", "false")] * 2),
        itertools.cycle([("rope", "swiglu", "null"), ("learned", "gelu", 2), ("nope", "relu2", 1)]),
    )
]  # fmt: skip


@pytest.mark.parametrize("parts", CASES, ids=",".join)
def test_folded_weights_give_equal_logits(parts: list[str]) -> None:
    config = compose([*SHAPE, *PARAM, *parts])
    model = build_model(resolve(config))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.copy_(torch.rand(weight.shape, generator=generator) + 0.5)
    if config.model.tie_embeddings and parts[0] == "model.norm=none":
        with pytest.raises(ConfigError, match=r"CompleteP: cannot be exported with model\.tie_emb"):
            check_foldable(config.model.as_dict())
        return
    check_foldable(config.model.as_dict())
    plain = build_network(compose([*SHAPE, *parts]).model)
    plain.load_state_dict(folded_weights(model))
    tokens = torch.randint(0, 300, (3, 16), generator=generator)
    with torch.inference_mode():
        logits, expected = plain(tokens), model(tokens)
    scale = float(expected.abs().max())
    assert float((logits - expected).abs().max()) < 1e-5 * max(1.0, scale)
    unfolded = build_network(compose([*SHAPE, *parts]).model)
    unfolded.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert float((unfolded(tokens) - expected).abs().max()) > 1e-2 * scale


def test_a_tied_model_without_norms_is_exported_at_the_base_width() -> None:
    parts = ["model.norm=none", "model.tie_embeddings=true", "model.param.base_d_model=48"]
    check_foldable(compose([*SHAPE, *PARAM, *parts]).model.as_dict())
    check_foldable(compose([*SHAPE, *parts[:2]]).model.as_dict())
