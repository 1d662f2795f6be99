"""Models with experts as Mixtral and Qwen3-MoE of transformers, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_to_export import SIZES, make_run

from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DataError
from lmlab.export.folder import export_run
from lmlab.hf.config_reader import config_from_hf
from lmlab.hf.config_writer import config_to_hf
from lmlab.hf.weights import weights_from_hf, weights_to_hf

EXPERTS = ["model.ffn=moe", "model.ffn.num_experts=4"]
QK_NORM = "model.attention.qk_norm=true"


def node(*overrides: str) -> dict[str, Any]:
    return compose([*EXPERTS, "model.num_heads=4", *overrides]).model.as_dict()


@pytest.mark.parametrize(
    ("overrides", "model_type"),
    [
        ([], "mixtral"),
        (["model.ffn.top_k=4", "model.attention.num_kv_heads=2"], "mixtral"),
        ([QK_NORM], "qwen3_moe"),
        ([QK_NORM, "model.ffn.top_k=1"], "qwen3_moe"),
        (["model.ffn.capacity_factor=1", "model.ffn.z_loss_coefficient=0.1"], "mixtral"),
    ],
)
def test_the_shape_is_read_as_it_was_written(overrides: list[str], model_type: str) -> None:
    model = node(*overrides)
    written = config_to_hf(model, d_ff=48)
    assert written["model_type"] == model_type
    read = config_from_hf(written)
    assert read["d_ff"] == 48
    keys = ("num_experts", "top_k", "num_shared_experts", "scores", "bias_update_rate")
    assert {key: read["ffn"][key] for key in keys} == {key: model["ffn"][key] for key in keys}
    assert read["attention"]["qk_norm"] == (model_type == "qwen3_moe")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.ffn.scores=sigmoid"], "model.ffn.scores=sigmoid: cannot be exported, expected s"),
        (["model.ffn.num_shared_experts=1"], "model.ffn.num_shared_experts=1: cannot be exported"),
        (["model.ffn.bias_update_rate=0.1"], "model.ffn.bias_update_rate=0.1: cannot be exported, "
         "expected null, as in Mixtral"),
        (["model.ffn.top_k=1"], "model.ffn.top_k=1: cannot be exported, expected 2 or more"),
        (["model.norm=post"], "cannot be exported with the other parts of this model"),
        ([QK_NORM, "model.norm.eps=0.1"], "cannot be exported with the other parts"),
    ],
)  # fmt: skip
def test_what_no_class_computes_is_refused_by_name(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        config_to_hf(node(*overrides), d_ff=48)
    assert message in str(error.value) and error.value.help


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_topk_prob": False}, "num_experts_per_tok=2: expected 1 without norm_topk_prob"),
        ({"num_experts_per_tok": 1}, "num_experts_per_tok=1: expected 2 or more"),
        ({"decoder_sparse_step": 2}, "decoder_sparse_step=2: lmlab supports only models with exp"),
        ({"mlp_only_layers": [0]}, r"mlp_only_layers=[0]: lmlab supports"),
    ],
)
def test_other_models_of_transformers_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        config_from_hf(config_to_hf(node(QK_NORM), d_ff=48) | change)
    assert message in str(error.value)


def test_a_mixtral_with_a_short_window_is_refused() -> None:
    written = config_to_hf(node(), d_ff=48) | {"sliding_window": 64}
    with pytest.raises(DataError, match="sliding_window=64"):
        config_from_hf(written)


@pytest.mark.parametrize("overrides", [[], [QK_NORM, "model.ffn.top_k=1"]], ids=str)
def test_an_export_computes_the_same_in_transformers(tmp_path: Path, overrides: list[str]) -> None:
    """The check of the export compares logits, batches and generation, in lmlab too."""
    pytest.importorskip("transformers")
    config = compose([*SIZES, *EXPERTS, *overrides])
    model, _ = make_run(tmp_path / "run", config)
    kind = "qwen3_moe" if overrides else "mixtral"
    there = weights_to_hf(kind, model.state_dict())
    assert weights_from_hf(kind, there).keys() == model.state_dict().keys()
    lines = export_run(tmp_path / "run", tmp_path / "hf")
    assert "MoeForCausalLM" in lines[0] if overrides else "MixtralForCausalLM" in lines[0]
    assert "agree with lmlab" in "".join(lines)
