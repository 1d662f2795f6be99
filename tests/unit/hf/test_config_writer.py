"""Which architecture an exported model has, and which models cannot be exported."""

from __future__ import annotations

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.hf.config_writer import config_to_hf

SCALED = (
    "model.pos.scaling={factor:8,low_freq_factor:1,high_freq_factor:4,original_context_length:64}"
)
PATTERN = ["model.attention.window=5", "model.attention.window_pattern=[local,global]"]
GPT2 = ["model.norm=layernorm", "model.pos=learned", "model.ffn=gelu"]


@pytest.mark.parametrize(
    ("overrides", "model_type"),
    [
        ([], "llama"),
        (["model.attention.num_kv_heads=2"], "llama"),
        (["model.attention.qk_norm=true"], "qwen3"),
        (["model.attention.qk_norm=true", "model.norm.eps=1e-2"], "lmlab"),
        (GPT2, "gpt2"),
        ([*GPT2, "model.ffn=silu"], "gpt2"),
        ([*GPT2, "model.ffn=swiglu"], "lmlab"),
        ([*GPT2, "model.ffn=geglu"], "lmlab"),
        (["model.ffn=geglu"], "llama"),
        (["model.ffn=reglu", "model.attention.qk_norm=true"], "qwen3"),
        (["model.norm=rms_nogain"], "llama"),
        (["model.norm=sandwich"], "lmlab"),
        (["model.norm=dyt"], "lmlab"),
        ([*GPT2, "model.attention.num_kv_heads=2"], "lmlab"),
        ([*GPT2, "model.attention.qk_norm=true"], "lmlab"),
        (["model.ffn=gelu"], "lmlab"),
        (["model.norm=post"], "lmlab"),
        (["model.attention.window=5"], "mistral"),
        (["model.attention.window=5", "model.attention.num_kv_heads=2"], "mistral"),
        (["model.attention.window=9999"], "llama"),  # hides nothing
        ([*PATTERN, "model.num_layers=1"], "mistral"),  # its only layer has the window
        (PATTERN, "lmlab"),
        ([*PATTERN, "model.attention.qk_norm=true"], "qwen3"),
        ([*GPT2, "model.attention.window=5"], "lmlab"),
        (["model.attention=gated"], "lmlab"),
        (["model.attention=mla"], "deepseek_v3"),
        (["model.attention=mla", "model.attention.q_lora_rank=8"], "deepseek_v3"),
        (["model.attention=mla", "model.attention.latent_norm_eps=1e-5"], "lmlab"),
        (["model.attention=mla", "model.ffn=gelu"], "lmlab"),
        ([SCALED], "llama"),
        (["model.pos=alibi"], "lmlab"),
        (["model.pos=partial_rope"], "lmlab"),
    ],
)
def test_transformers_classes_are_used_only_for_models_that_they_compute(
    overrides: list[str], model_type: str
) -> None:
    model = compose(["model.num_heads=4", *overrides]).model.as_dict()
    config = config_to_hf(model, d_ff=48)
    assert config["model_type"] == model_type
    assert ("auto_map" in config) == (model_type == "lmlab")


def test_sizes_have_the_names_of_the_architecture() -> None:
    sizes = ["model.d_model=64", "model.num_heads=4", "model.num_layers=3", "model.d_ff=auto"]
    llama = config_to_hf(compose([*sizes, "model.attention.num_kv_heads=2"]).model.as_dict(), 48)
    assert {key: llama[key] for key in (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim",
    )} == {
        "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    }  # fmt: skip
    gpt2 = config_to_hf(compose([*sizes, *GPT2]).model.as_dict(), 48)
    assert (gpt2["n_embd"], gpt2["n_inner"], gpt2["n_layer"], gpt2["n_head"]) == (64, 48, 3, 4)


@pytest.mark.parametrize("kind", ["norm", "pos", "ffn", "attention"])
def test_a_component_of_another_package_cannot_be_exported(kind: str) -> None:
    model = compose([]).model.as_dict()
    model[kind] = {**model[kind], "_target_": "mine.parts.Mine"}
    with pytest.raises(ConfigError) as error:
        config_to_hf(model, d_ff=48)
    start = f"model.{kind}._target_=mine.parts.Mine: cannot be exported, expected one of lmlab.nn."
    assert error.value.message.startswith(start)
