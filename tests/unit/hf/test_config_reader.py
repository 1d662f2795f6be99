"""config.json read as a model section: round trips, defaults, and settings that are rejected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.errors import DataError
from lmlab.hf.config_reader import config_from_hf, read_config
from lmlab.hf.config_writer import config_to_hf

LLAMA = {
    "model_type": "llama", "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
}  # fmt: skip
FACTORS = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 = {"rope_type": "llama3", **FACTORS}
GPT2 = {
    "model_type": "gpt2", "vocab_size": 300, "n_embd": 32, "n_layer": 2, "n_head": 4,
    "n_positions": 64, "activation_function": "gelu",
}  # fmt: skip
QWEN3 = LLAMA | {"model_type": "qwen3"}
DEEPSEEK = LLAMA | {
    "model_type": "deepseek_v3", "kv_lora_rank": 8, "q_lora_rank": None, "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4, "v_head_dim": 8, "rope_interleave": False, "first_k_dense_replace": 2,
    "num_nextn_predict_layers": 0,
}  # fmt: skip
SCALED = (
    "model.pos.scaling={factor:8.0,low_freq_factor:1.0,high_freq_factor:4.0,"
    "original_context_length:64}"
)
LATENT = ["model.attention=mla", "model.attention.kv_lora_rank=7", "model.attention.d_nope=6",
          "model.attention.d_rope=2", "model.attention.d_value=8"]  # fmt: skip
ROUND_TRIPS = [
    ["model.attention.num_kv_heads=4"],
    ["model.attention.num_kv_heads=2", "model.tie_embeddings=true", "model.pos.theta=500"],
    ["model.attention.num_kv_heads=4", "model.attention.qk_norm=true", "model.norm.eps=1e-2",
     "model.attention.qk_norm_eps=1e-2"],
    ["model.norm=layernorm", "model.pos=learned", "model.ffn=gelu"],
    ["model.norm=post", "model.pos=nope", "model.ffn=relu2", "model.attention.num_kv_heads=1"],
    ["model.norm=none", "model.attention.num_kv_heads=4"],
    ["model.attention.num_kv_heads=4", SCALED],
    ["model.norm=none", "model.attention.num_kv_heads=4", SCALED],
    ["model.pos=partial_rope", "model.attention.num_kv_heads=4", "model.norm=post"],
    ["model.pos=partial_rope", "model.attention.num_kv_heads=4", SCALED, "model.norm=post"],
    ["model.pos=alibi", "model.attention.num_kv_heads=4", "model.norm=post"],
    ["model.norm=dyt", "model.norm.alpha=0.8", "model.attention.num_kv_heads=4"],
    ["model.norm=sandwich", "model.attention.num_kv_heads=4", "model.ffn=geglu"],
    ["model.ffn=geglu", "model.attention.num_kv_heads=4"],
    ["model.ffn=reglu", "model.attention.num_kv_heads=4", "model.norm=post"],
    ["model.attention.num_kv_heads=4", "model.attention.window=5"],
    ["model.attention.num_kv_heads=4", "model.attention.window=5", "model.num_layers=6",
     "model.attention.window_pattern=[local,local,global]", "model.attention.qk_norm=true",
     "model.attention.qk_norm_eps=1e-5", "model.norm.eps=1e-5"],
    ["model.attention=gated", "model.attention.num_kv_heads=2", "model.attention.window=5",
     "model.attention.window_pattern=[local,global]"],
    LATENT, [*LATENT, "model.norm=post", "model.attention.latent_norm_eps=1e-3"],
]  # fmt: skip


@pytest.mark.parametrize("overrides", ROUND_TRIPS, ids=",".join)
def test_an_exported_configuration_is_read_as_the_same_model(overrides: list[str]) -> None:
    model = compose(
        ["model.d_model=32", "model.num_heads=4", "model.d_ff=48", *overrides]
    ).model.as_dict()
    again = config_from_hf(config_to_hf(model, d_ff=48))
    expected = {key: value for key, value in model.items() if key not in ("init", "param")}
    if model["attention"]["_target_"] != "lmlab.nn.latent_attention.LatentAttention":
        defaults = {"qk_norm_eps": 1e-5, "window": None, "window_pattern": ["local"]}
        again["attention"] = defaults | again["attention"]
        expected["attention"] = defaults | expected["attention"]
    assert again == expected


def test_missing_llama_settings_have_the_defaults_of_transformers() -> None:
    model = config_from_hf(dict(LLAMA))
    assert model["norm"]["eps"] == 1e-6
    assert model["pos"]["theta"] == 10000.0
    assert model["attention"]["num_kv_heads"] == 4
    assert model["tie_embeddings"] is False


def test_missing_gpt2_settings_have_the_defaults_of_transformers() -> None:
    model = config_from_hf(dict(GPT2))
    assert model["d_ff"] == 4 * 32
    assert model["norm"]["eps"] == 1e-5
    assert model["tie_embeddings"] is True


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (
            LLAMA,
            {"model_type": "phi"},
            "model_type=phi: expected one of llama, mistral, qwen3, mixtral, qwen3_moe, "
            "deepseek_v3, gpt2, lmlab",
        ),
        (
            LLAMA,
            {"hidden_act": "gelu_new"},
            "hidden_act=gelu_new: lmlab supports only silu or gelu or relu or swish",
        ),
        (LLAMA, {"attention_bias": True}, "attention_bias=True: lmlab supports only False"),
        (LLAMA, {"mlp_bias": True}, "mlp_bias=True"),
        (LLAMA, {"head_dim": 3}, "head_dim=3: lmlab supports only 8"),
        (
            LLAMA,
            {"use_sliding_window": True, "sliding_window": 32, "max_window_layers": 1},
            "use_sliding_window=True: lmlab supports only False",
        ),
        (LLAMA, {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types=["),
        (
            LLAMA,
            {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}},
            "rope_parameters.rope_type=llama3: expected low_freq_factor, high_freq_factor, too",
        ),
        (
            LLAMA,
            {"rope_scaling": {"rope_type": "llama3", **FACTORS, "high_freq_factor": 1.0}},
            "rope_scaling={'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 1.0",
        ),
        (LLAMA, {"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling.rope_type=yarn"),
        (LLAMA, {"rope_scaling": {"rope_type": "a\nb"}}, "rope_scaling.rope_type='a\\nb'"),
        (
            LLAMA,
            {"rope_scaling": {"type": "linear", "factor": 2.0}},
            "rope_scaling.rope_type=linear with factor 2.0: lmlab supports only default and llama3",
        ),
        (
            LLAMA,
            {"rope_scaling": {"rope_type": "yarn", "factor": 1.0, "attention_factor": 1.2}},
            "rope_scaling.rope_type=yarn with factor 1.0",
        ),
        (LLAMA, {"rope_scaling": "linear"}, "rope_scaling='linear': expected an object or null"),
        (LLAMA, {"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5: lmlab supports only 1"),
        (LLAMA, {"quantization_config": {"bits": 4}}, "quantization_config="),
        (GPT2, {"add_cross_attention": True}, "add_cross_attention=True"),
        (GPT2, {"activation_function": "gelu_new"}, "activation_function=gelu_new: lmlab supports"),
        (GPT2, {"scale_attn_weights": False}, "scale_attn_weights=False"),
        (GPT2, {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        (
            QWEN3,
            {"use_sliding_window": True, "layer_types": ["full_attention", "chunked_attention"]},
            "layer_types=['full_attention', 'chunked_attention']: expected full_attention or",
        ),
        (QWEN3, {"layer_types": ["sliding_attention"] * 2}, "layer_types=["),
        (DEEPSEEK, {"rope_interleave": True}, "rope_interleave=True: lmlab supports only False"),
        (DEEPSEEK, {"first_k_dense_replace": 1}, "first_k_dense_replace=1: lmlab supports only 2"),
        (DEEPSEEK, {"num_nextn_predict_layers": 1}, "num_nextn_predict_layers=1"),
    ],
)
def test_settings_that_change_the_result_are_rejected_by_name(
    config: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as error:
        config_from_hf(config | changes)
    assert error.value.message.startswith(f"config.json: {message}")


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (LLAMA, {"rope_scaling": {"rope_type": "default"}}),
        (LLAMA, {"rope_scaling": {"type": "default"}, "rope_parameters": None}),
        (LLAMA, {"rope_scaling": {}, "rope_parameters": {"rope_type": "default"}}),
        (LLAMA, {"rope_scaling": {"type": "linear", "factor": 1.0}}),
        (LLAMA, {"rope_scaling": {"rope_type": "dynamic", "factor": 1}}),
        (LLAMA, {"rope_scaling": {"rope_type": "llama3", "factor": 1.0, "low_freq_factor": 1.0,
                                  "high_freq_factor": 4.0,
                                  "original_max_position_embeddings": 8}}),
        (LLAMA, {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 1.0}}),
        (LLAMA, {"partial_rotary_factor": 1.0}),
        (LLAMA, {"attention_bias": None, "mlp_bias": None, "head_dim": None}),
        (LLAMA, {"hidden_act": "swish"}),
        (LLAMA, {"sliding_window": None, "use_sliding_window": True}),
        (LLAMA, {"sliding_window": 64, "use_sliding_window": True, "max_window_layers": 0}),
        (LLAMA, {"sliding_window": 16, "use_sliding_window": False}),
        (LLAMA, {"layer_types": ["full_attention", "full_attention"]}),
        (LLAMA, {"num_key_value_heads": None, "quantization_config": None}),
        (LLAMA, {"tie_word_embeddings": None, "rope_theta": None}),
        (GPT2, {"n_inner": None, "scale_attn_by_inverse_layer_idx": None}),
        (GPT2, {"add_cross_attention": False, "reorder_and_upcast_attn": False}),
    ],
)  # fmt: skip
def test_settings_that_change_nothing_are_accepted(
    config: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert config_from_hf(config | changes) == config_from_hf(dict(config))


@pytest.mark.parametrize(
    "places",
    [
        {"rope_theta": 500.0},
        {"rope_theta": 500.0, "rope_scaling": {"rope_type": "default"}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"rope_parameters": {"rope_theta": 500.0}, "rope_scaling": {"rope_type": "default"}},
        {"rope_scaling": {"rope_type": "default", "rope_theta": 500.0}},
    ],
)
def test_the_base_of_the_rotary_angles_is_read_from_every_place(places: dict[str, Any]) -> None:
    assert config_from_hf(LLAMA | places)["pos"]["theta"] == 500.0


@pytest.mark.parametrize(
    ("places", "length"),
    [
        ({"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 16}}, 16),
        ({"rope_parameters": LLAMA3 | {"original_max_position_embeddings": 16}}, 16),
        ({"rope_scaling": LLAMA3, "original_max_position_embeddings": 32}, 32),
        ({"rope_scaling": LLAMA3}, 64),
    ],
)
def test_the_scaling_of_llama_3_is_read_from_every_place(
    places: dict[str, Any], length: int
) -> None:
    pos = config_from_hf(LLAMA | {"rope_theta": 500.0} | places)["pos"]
    scaling = FACTORS | {"original_context_length": length}
    assert pos == {"_target_": "lmlab.nn.pos.RoPE", "theta": 500.0, "scaling": scaling}


def test_a_missing_size_is_named() -> None:
    config = {key: value for key, value in LLAMA.items() if key != "num_hidden_layers"}
    with pytest.raises(DataError, match=r"config\.json: missing setting num_hidden_layers"):
        config_from_hf(config)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{", "cannot be read"), ("[1]", "expected a JSON object")],
)
def test_a_file_without_settings_is_rejected(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError) as error:
        read_config(tmp_path)
    assert error.value.message.startswith(f"{path}: {message}")


def test_a_valid_file_is_read_completely(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert read_config(tmp_path) == LLAMA


@pytest.mark.parametrize(
    ("config", "changes", "window", "pattern"),
    [
        (LLAMA, {"model_type": "mistral", "sliding_window": 9}, 9, ["local"]),
        (LLAMA, {"model_type": "mistral", "sliding_window": None}, None, None),
        (LLAMA, {"model_type": "mistral"}, None, None),  # 4,096 by default hide nothing here
        (QWEN3, {"sliding_window": 9}, None, None),
        (QWEN3, {"sliding_window": 9, "use_sliding_window": True, "max_window_layers": 1}, 9,
         ["global", "local"]),
        (QWEN3, {"sliding_window": 9, "use_sliding_window": True,
                 "layer_types": ["sliding_attention", "full_attention"]}, 9, ["local", "global"]),
    ],
)  # fmt: skip
def test_windows_of_transformers_are_read(
    config: dict[str, Any], changes: dict[str, Any], window: int | None, pattern: list[str] | None
) -> None:
    attention = config_from_hf(config | changes)["attention"]
    assert (attention.get("window"), attention.get("window_pattern")) == (window, pattern)
