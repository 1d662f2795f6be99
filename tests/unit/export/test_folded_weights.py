"""A model without factors, with folded weights, computes the logits of the model with them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import build, leaf

from lmlab.config.run_config import Model, build_tree
from lmlab.errors import ConfigError
from lmlab.export.folded_weights import check_foldable, folded_weights
from lmlab.nn.transformer import Transformer

PARAM = leaf("model/param", "completep") | {
    "base_d_model": 20, "base_d_head": 5, "base_num_layers": 2, "alpha": 0.8,
}  # fmt: skip
HALVED = """
from lmlab.optim.parametrization import Factors, Standard

class Halved(Standard):
    def factors(self, shape):
        return Factors(logits=0.5)
"""
PARTS = [("rope", "swiglu", None), ("learned", "gelu", 2), ("nope", "relu2", 1)]
NORMS = ("rms", "layernorm", "post", "none", "sandwich", "dyt", "rms_nogain")
CASES = [
    (norm, tied, qk_norm, *parts)
    for (norm, tied, qk_norm), parts in zip(
        itertools.product(NORMS, (True, False), (True, False)),
        itertools.cycle(PARTS),
    )
]


def node(
    norm: str, tied: bool, qk_norm: bool, pos: str, ffn: str, kv_heads: int | None
) -> dict[str, Any]:
    return {
        "vocab_size": 300, "context_length": 16, "d_model": 48, "num_layers": 3, "num_heads": 4,
        "d_ff": 40, "tie_embeddings": tied, "norm": leaf("model/norm", norm),
        "pos": leaf("model/pos", pos), "ffn": leaf("model/ffn", ffn),
        "attention": leaf("model/attention", "causal")
        | {"num_kv_heads": kv_heads, "qk_norm": qk_norm},
    }  # fmt: skip


def randomized(model: Transformer) -> Transformer:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            values = torch.randn(weight.shape, generator=generator)
            weight.copy_(0.2 * values if weight.ndim > 1 else values.abs() + 0.5)
    return model


def frozen(content: dict[str, Any]) -> Model:
    return build_tree(Model, {"init": leaf("model/init", "normal")} | content)


def assert_folded_logits_are_equal(
    model: Transformer, plain: Transformer, can_load: bool = True
) -> None:
    tokens = torch.randint(0, 300, (3, 16), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model(tokens)
        scale = max(1.0, float(expected.abs().max()))
        plain.load_state_dict(folded_weights(model))
        assert float((plain(tokens) - expected).abs().max()) < 1e-5 * scale
        plain.load_state_dict(model.state_dict(), strict=can_load)
        assert float((plain(tokens) - expected).abs().max()) > 1e-2 * scale, "factors matter"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_folded_weights_give_equal_logits(case: tuple[Any, ...]) -> None:
    content = node(*case)
    model = randomized(build(content | {"param": PARAM}))
    if case[:2] == ("none", True):
        with pytest.raises(ConfigError, match=r"CompleteP: cannot be exported with model\.tie_emb"):
            check_foldable(frozen(content | {"param": PARAM}))
        return
    check_foldable(frozen(content | {"param": PARAM}))
    if case[0] == "rms_nogain":  # exported with gains
        content |= {"norm": leaf("model/norm", "rms")}
        plain, state = build(content), folded_weights(model)
        assert plain.state_dict().keys() == state.keys()
        assert_folded_logits_are_equal(model, plain, can_load=False)
        return
    assert_folded_logits_are_equal(model, build(content))


def test_a_tied_model_without_norms_is_exported_at_the_base_width() -> None:
    """The factors of queries and of sublayers have their places all the same."""
    content = node("none", True, False, "rope", "swiglu", None)
    check_foldable(frozen(content))
    at_base_width = content | {"param": PARAM | {"base_d_model": 48}}
    check_foldable(frozen(at_base_width))
    assert_folded_logits_are_equal(randomized(build(at_base_width)), build(content))


def test_the_factor_of_your_own_parametrization_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no setting of the names that mup and completep have."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "halved_logits.py").write_text(HALVED)
    content = node("none", True, False, "rope", "swiglu", None)
    own = content | {"param": {"_target_": "halved_logits.Halved"}}
    with pytest.raises(ConfigError, match=r"Halved: cannot be exported"):
        check_foldable(frozen(own))
