"""Exported models compute the same logits and greedy text in transformers, without network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from part_choices import choices
from remote_code import keep_remote_code_in
from run_to_export import SIZES, make_run

import lmlab
from lmlab.config.compose import compose
from lmlab.export.folder import export_run
from lmlab.hf.config_reader import read_config
from lmlab.training.generation import generate

transformers = pytest.importorskip("transformers")

NEW_TOKENS = 64


SCALED = (
    "model.pos.scaling={factor:8,low_freq_factor:1,high_freq_factor:4,original_context_length:32}"
)
# Other parameters, each with Llama, GPT-2 and the exported class where they support it.
GPT2 = ["model.norm=layernorm", "model.pos=learned", "model.ffn=gelu"]
PARAMETERS = [
    ["model.tie_embeddings=true"],
    ["model.attention.num_kv_heads=2"],
    ["model.attention.qk_norm=true"],
    ["model.attention.qk_norm=true", "model.attention.qk_norm_eps=1e-3"],
    ["model.attention.qk_norm=true", "model.attention.num_kv_heads=1", "model.tie_embeddings=true"],
    ["model.norm.eps=1e-2", "model.pos.theta=500"],
    [SCALED],
    [SCALED, "model.pos=partial_rope", "model.norm=post", "model.pos.fraction=0.75"],
    ["model.pos=alibi", "model.attention.num_kv_heads=2"],
    [*GPT2, "model.tie_embeddings=true", "model.norm.eps=1e-2"],
    [*GPT2, "model.attention.num_kv_heads=2"],
    ["model.norm=post", "model.pos=nope", "model.tie_embeddings=true"],
    ["model.norm=none", "model.attention.num_kv_heads=2", "model.attention.qk_norm=true"],
    [*(MUP := ["model.param=mup", "model.param.base_d_model=12", "model.param.base_d_head=3"])],
    [*MUP, "model.tie_embeddings=true", "model.attention.qk_norm=true"],
    [*MUP, *GPT2, "model.param=completep", "model.param.base_num_layers=3"],
    [*MUP, "model.param=completep", "model.param.base_num_layers=3", "model.norm=post",
     "model.pos=nope", "model.tie_embeddings=true"],
    # Mistral, Qwen3 and DeepSeek-V3 of transformers are independent references.
    ["model.attention.window=32", "model.attention.num_kv_heads=2"],
    ["model.attention.window=50", "model.attention.window_pattern=[local,global]",
     "model.attention.qk_norm=true"],
    ["model.attention=mla"],
    [*MUP, "model.attention=mla", "model.attention.q_lora_rank=6", "model.attention.d_rope=2",
     "model.attention.d_value=5"],
    # The exported class.
    ["model.attention.window=32", "model.attention.window_pattern=[local,global]"],
    [*GPT2, "model.attention=gated", "model.attention.window=50", "model.attention.qk_norm=true"],
    [*MUP, "model.attention=mla", "model.norm=post", "model.attention.q_lora_rank=6"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def _offline_on_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keep_remote_code_in(tmp_path / "m", monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    transformers.utils.logging.disable_progress_bar()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# Experts are exported with the parts of Llama only; see tests/unit/hf/test_experts.py.
EXPORTED = [choice for choice in choices() if "model.ffn=moe" not in choice.values[0]]


@pytest.mark.parametrize("choice", [*EXPORTED, *PARAMETERS], ids=",".join)
def test_logits_and_greedy_text_equal_those_of_lmlab(tmp_path: Path, choice: list[str]) -> None:
    config = compose([*SIZES, *choice])
    model, tokenizer = make_run(tmp_path / "run", config)
    export_run(tmp_path / "run", tmp_path / "out", check=False)
    # Only the exported class needs trust_remote_code.
    is_exported_class = read_config(tmp_path / "out")["model_type"] == "lmlab"
    assert is_exported_class == (tmp_path / "out" / "modeling_lmlab.py").exists()
    exported = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", local_files_only=True, trust_remote_code=is_exported_class
    ).eval()
    exported_tokenizer = transformers.AutoTokenizer.from_pretrained(
        tmp_path / "out", local_files_only=True, trust_remote_code=is_exported_class
    )
    imported, imported_tokenizer = lmlab.load(tmp_path / "out", device="cpu")

    prompt = tokenizer.encode("a bad cab, a fed bee<|endoftext|>é")
    assert exported_tokenizer.encode("a bad cab, a fed bee<|endoftext|>é") == prompt
    assert imported_tokenizer.hash == tokenizer.hash
    tokens = torch.randint(0, 300, (2, 224), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = model(tokens)
        difference = float((logits - exported(tokens).logits).abs().max())
        assert float(logits.std()) > 0.1, "the logits must vary"
        if any("param" in part for part in choice):  # folded into the weights
            torch.testing.assert_close(imported(tokens), logits, atol=1e-5, rtol=0)
        else:
            assert torch.equal(logits, imported(tokens))
        generated = exported.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), do_sample=False,
            max_new_tokens=NEW_TOKENS, eos_token_id=None, pad_token_id=0,
        )[0, len(prompt) :].tolist()  # fmt: skip
    print(f"difference of logits: {difference:.2e}, largest {float(logits.abs().max()):.1f}")
    assert difference < 1e-5
    assert len(generated) == NEW_TOKENS
    (expected,) = generate(imported, [prompt], max_new_tokens=NEW_TOKENS, temperature=0)
    assert expected == generated


@pytest.mark.parametrize("pos", ["learned", "alibi"])
def test_the_exported_class_ignores_padding_on_the_left(tmp_path: Path, pos: str) -> None:
    config = compose([*SIZES, "model.norm=post", f"model.pos={pos}"])
    model, _ = make_run(tmp_path / "run", config)
    export_run(tmp_path / "run", tmp_path / "out", check=False)
    exported = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", trust_remote_code=True
    ).eval()
    prompts = [[5, 6, 7, 8, 9], [100, 101]]
    rows = torch.tensor([prompts[0], [0, 0, 0, *prompts[1]]])
    attention_mask = torch.tensor([[1] * 5, [0, 0, 0, 1, 1]])
    generated = exported.generate(
        rows, attention_mask=attention_mask, do_sample=False, max_new_tokens=20, eos_token_id=None,
        pad_token_id=0,
    )[:, 5:]  # fmt: skip
    assert generated.tolist() == generate(model, prompts, max_new_tokens=20, temperature=0)
