"""Weights under Hugging Face's names and back, and folders whose weights are rejected."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from lmlab.build.network import build_network
from lmlab.config.compose import compose
from lmlab.errors import DataError
from lmlab.hf.config_writer import config_to_hf
from lmlab.hf.weight_files import WEIGHTS, hash_weights
from lmlab.hf.weights import (
    Imported,
    read_weights,
    weights_from_hf,
    weights_to_hf,
    write_weights,
)
from lmlab.nn.transformer import Transformer

SIZES = [
    "model.vocab_size=300", "model.context_length=8", "model.d_model=16", "model.num_layers=2",
    "model.num_heads=4", "model.d_ff=24",
]  # fmt: skip
GPT2 = ["model.norm=layernorm", "model.pos=learned", "model.ffn=gelu"]
KINDS = {
    "llama": ["model.attention.num_kv_heads=2"],
    "qwen3": ["model.attention.qk_norm=true"],
    "gpt2": GPT2,
    "mistral": ["model.attention.window=5"],
    "deepseek_v3": ["model.attention=mla", "model.attention.q_lora_rank=6",
                    "model.attention.d_rope=2", "model.attention.d_value=5"],
    "lmlab": ["model.norm=post"],
}  # fmt: skip


def random_model(*overrides: str, seed: int = 0) -> Transformer:
    """Return a model all of whose weights differ."""
    model = build_network(compose([*SIZES, *overrides]).model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return model


def export(folder: Path, model: Transformer, *overrides: str) -> Path:
    """Write configuration and weights of a model."""
    config = config_to_hf(compose([*SIZES, *overrides]).model.as_dict(), d_ff=24)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_weights(folder, config["model_type"], model.state_dict(), num_heads=4)
    return folder


def assert_equal_states(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_returns_the_same_weights(kind: str) -> None:
    state = random_model(*KINDS[kind]).state_dict()
    converted = weights_to_hf(kind, state, num_heads=4)
    assert (converted.keys() == state.keys()) == (kind == "lmlab")
    assert_equal_states(weights_from_hf(kind, converted, num_heads=4), dict(state))


def test_keys_and_values_of_a_head_follow_each_other_in_the_matrix_of_deepseek() -> None:
    state = random_model(*KINDS["deepseek_v3"]).state_dict()
    converted = weights_to_hf("deepseek_v3", state, num_heads=4)
    joined = converted["model.layers.1.self_attn.kv_b_proj.weight"]
    k_up, v_up = (state[f"blocks.1.attention.sublayer.{name}.weight"] for name in ("k_up", "v_up"))
    assert joined.shape == (4 * (4 + 5), 4)
    assert torch.equal(joined[9:13], k_up[4:8])  # of the second head
    assert torch.equal(joined[13:18], v_up[5:10])
    del converted["model.layers.1.self_attn.o_proj.weight"]
    with pytest.raises(DataError, match=r"blocks\.1\.attention\.sublayer\.\*: not those of latent"):
        weights_from_hf("deepseek_v3", converted, num_heads=4)


def test_exported_weights_heed_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        folder = export(tmp_path / "model", random_model())
    finally:
        os.umask(former)
    assert {oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {"0o640"}


def test_gpt2_matrices_are_transposed_and_queries_keys_and_values_concatenated() -> None:
    state = random_model(*GPT2).state_dict()
    converted = weights_to_hf("gpt2", state)
    attention = "blocks.1.attention.sublayer"
    fused = torch.cat([state[f"{attention}.{part}.weight"] for part in "qkv"]).T
    assert torch.equal(converted["transformer.h.1.attn.c_attn.weight"], fused)
    up = state["blocks.1.ffn.sublayer.up.weight"]
    assert torch.equal(converted["transformer.h.1.mlp.c_fc.weight"], up.T)
    assert not converted["transformer.h.1.mlp.c_fc.bias"].any()


def test_buffers_of_older_transformers_versions_are_ignored() -> None:
    state = random_model().state_dict()
    converted = weights_to_hf("llama", state)
    converted["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    assert_equal_states(weights_from_hf("llama", converted), dict(state))


def test_unknown_tensors_and_non_zero_biases_are_rejected() -> None:
    llama = weights_to_hf("llama", random_model().state_dict())
    llama["model.layers.0.mlp.extra.weight"] = torch.ones(2)
    with pytest.raises(DataError, match=r"unknown tensor model\.layers\.0\.mlp\.extra\.weight"):
        weights_from_hf("llama", llama)
    gpt2 = weights_to_hf("gpt2", random_model(*GPT2).state_dict())
    gpt2["transformer.h.0.ln_1.bias"][3] = 1e-3
    with pytest.raises(DataError, match=r"non-zero bias transformer\.h\.0\.ln_1\.bias"):
        weights_from_hf("gpt2", gpt2)


@pytest.mark.parametrize("kind", KINDS)
def test_imported_weights_replace_those_of_the_model(kind: str, tmp_path: Path) -> None:
    source = random_model(*KINDS[kind])
    folder = export(tmp_path, source, *KINDS[kind])
    target = random_model(*KINDS[kind], seed=1)
    Imported(path=str(folder), sha256=hash_weights(folder))(target, seed=5)
    assert_equal_states(dict(target.state_dict()), dict(source.state_dict()))


def test_weights_may_be_split_over_the_files_of_an_index(tmp_path: Path) -> None:
    folder = export(tmp_path, random_model())
    complete = read_weights(folder)
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    weight_map = {}
    for index, name in enumerate(sorted(tensors)):
        weight_map[name] = f"part-{index % 2}.safetensors"
    for file in set(weight_map.values()):
        part = {name: tensors[name] for name in tensors if weight_map[name] == file}
        safetensors.torch.save_file(part, folder / file)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert_equal_states(read_weights(folder), complete)


def test_tied_weights_are_written_once_and_a_different_head_is_rejected(tmp_path: Path) -> None:
    tied = "model.tie_embeddings=true"
    model = random_model(tied)
    folder = export(tmp_path, model, tied)
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    assert "lm_head.weight" not in tensors
    Imported(path=str(folder))(random_model(tied, seed=1), seed=0)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1
    safetensors.torch.save_file(tensors, folder / WEIGHTS)
    with pytest.raises(DataError, match="ties the head to the embedding") as error:
        Imported(path=str(folder))(random_model(tied), seed=0)
    assert error.value.help == "set tie_word_embeddings to false in config.json"


def test_learned_positions_beyond_the_context_are_dropped(tmp_path: Path) -> None:
    source = random_model(*GPT2)
    folder = export(tmp_path, source, *GPT2)
    shorter = random_model(*GPT2, "model.context_length=5", seed=1)
    Imported(path=str(folder))(shorter, seed=0)
    assert torch.equal(shorter.state_dict()["pos.weight"], source.state_dict()["pos.weight"][:5])


def test_weights_of_another_model_are_rejected_with_the_names_that_differ(tmp_path: Path) -> None:
    folder = export(tmp_path, random_model())
    with pytest.raises(DataError) as error:
        Imported(path=str(folder))(random_model("model.d_ff=32"), seed=0)
    message = error.value.message
    assert message.startswith(f"{folder}: the weights do not match config.json: blocks.0.ffn")
    assert "blocks.1.ffn.sublayer.down.weight" in message and "attention" not in message


def test_weights_that_changed_since_they_were_hashed_are_rejected(tmp_path: Path) -> None:
    folder = export(tmp_path, random_model())
    sha256 = hash_weights(folder)
    export(folder, random_model(seed=1))
    with pytest.raises(DataError, match="the weights have changed"):
        Imported(path=str(folder), sha256=sha256)(random_model(), seed=0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [("missing", "no such file"), ("truncated", "cannot be read as safetensors")],
)
def test_missing_and_damaged_files_are_reported(tmp_path: Path, damage: str, message: str) -> None:
    path = export(tmp_path, random_model()) / WEIGHTS
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError) as error:
        read_weights(tmp_path)
    assert error.value.message.startswith(f"{path}: {message}")
