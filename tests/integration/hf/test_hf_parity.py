"""Parity with an independent implementation: Hugging Face's Llama with the same weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.nn.loss import cross_entropy
from lmlab.optim.clip import clip_gradients

transformers = pytest.importorskip("transformers")

SETTINGS = [
    "model.vocab_size=300", "model.context_length=32", "model.d_model=64", "model.num_layers=3",
    "model.num_heads=4", "model.d_ff=96", "model.norm.eps=1e-5", "training.steps=200",
    "training.batch_size=8", "optim.lr=1e-3", "schedule.warmup_steps=10",
]  # fmt: skip
# Names of a layer's weights in lmlab and in Llama.
LAYER = {
    "attention.norm": "input_layernorm",
    "attention.sublayer.q": "self_attn.q_proj",
    "attention.sublayer.k": "self_attn.k_proj",
    "attention.sublayer.v": "self_attn.v_proj",
    "attention.sublayer.out": "self_attn.o_proj",
    "ffn.norm": "post_attention_layernorm",
    "ffn.sublayer.gate": "mlp.gate_proj",
    "ffn.sublayer.up": "mlp.up_proj",
    "ffn.sublayer.down": "mlp.down_proj",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def llama(config: RunConfig) -> torch.nn.Module:
    """Build Hugging Face's Llama with the shape and initial weights of lmlab's model."""
    model = config.model
    shape = transformers.LlamaConfig(
        vocab_size=model.vocab_size, hidden_size=model.d_model, intermediate_size=model.d_ff,
        num_hidden_layers=model.num_layers, num_attention_heads=model.num_heads,
        num_key_value_heads=model.attention.num_kv_heads or model.num_heads,
        max_position_embeddings=model.context_length, rms_norm_eps=model.norm.eps,
        tie_word_embeddings=False, attention_bias=False, mlp_bias=False, hidden_act="silu",
        rope_parameters={"rope_type": "default", "rope_theta": model.pos.theta},
        attn_implementation="eager",
    )  # fmt: skip
    theirs = transformers.LlamaForCausalLM(shape).float()
    ours = factory.build_model(resolve(config)).state_dict()
    weights = {
        "model.embed_tokens.weight": ours["embedding.weight"],
        "model.norm.weight": ours["final_norm.weight"],
        "lm_head.weight": ours["head.weight"],
    }
    for layer in range(model.num_layers):
        for mine, name in LAYER.items():
            weights[f"model.layers.{layer}.{name}.weight"] = ours[f"blocks.{layer}.{mine}.weight"]
    theirs.load_state_dict(weights)
    return theirs


def llama_name(name: str) -> str:
    """Return Llama's name of a norm gain."""
    if not name.startswith("blocks."):
        return "model.norm.weight"
    _, layer, part = name.removesuffix(".weight").split(".", 2)
    return f"model.layers.{layer}.{LAYER[part]}.weight"


@pytest.mark.parametrize(
    "overrides", [[], ["model.attention.num_kv_heads=2"], ["model.pos.theta=500"]], ids=str
)
def test_logits_are_equal_to_1e_5(overrides: list[str]) -> None:
    config = compose([*SETTINGS, *overrides, "model.init=normal"])
    ours = factory.build_model(resolve(config)).eval()
    generator = torch.Generator().manual_seed(0)
    # Gains other than 1 reveal a misplaced norm or a missing gain.
    with torch.no_grad():
        theirs = llama(config).eval()
        for name, weight in ours.named_parameters():
            if weight.ndim == 1:
                weight.copy_(torch.rand(weight.shape, generator=generator) + 0.5)
                theirs.get_parameter(llama_name(name)).copy_(weight)
        tokens = torch.randint(0, 300, (4, 32), generator=generator)
        difference = (ours(tokens) - theirs(tokens).logits).abs().max()
    print(f"largest difference of logits: {float(difference):.2e}")
    assert float(difference) < 1e-5


def batches(steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches of a synthetic language: each token mostly determines the next one."""
    chance = np.random.default_rng(0)
    follows = chance.permutation(300)
    for _ in range(steps):
        rows = np.empty((8, 33), dtype=np.int64)
        rows[:, 0] = chance.integers(0, 300, 8)
        for t in range(32):
            noise = chance.random(8) < 0.1
            rows[:, t + 1] = np.where(noise, chance.integers(0, 300, 8), follows[rows[:, t]])
        yield torch.from_numpy(rows[:, :-1]), torch.from_numpy(rows[:, 1:])


def lmlab_losses(config: RunConfig) -> list[float]:
    model = factory.build_model(resolve(config))
    optimizer, schedule = (
        factory.build_optimizer(resolve(config), model),
        factory.build_schedule(resolve(config)),
    )
    losses = []
    for step, (inputs, targets) in enumerate(batches(200)):
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        clip_gradients(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * schedule(step)
        optimizer.step()
        losses.append(loss.item())
    return losses


def llama_losses(config: RunConfig) -> list[float]:
    model = llama(config)
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=1e-3, betas=(0.9, 0.95), eps=1e-8, foreach=False,
    )  # fmt: skip
    # Warm-up over 10 steps, then half a cosine from 1 down to 0.1 at step 200.
    warmup = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: (s + 1) / 10 if s < 10 else 0.55 + 0.45 * np.cos(np.pi * (s - 10) / 190),
    )
    losses = []
    for inputs, targets in batches(200):
        optimizer.zero_grad()
        logits = model(inputs).logits
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        warmup.step()
        losses.append(loss.item())
    return losses


@pytest.mark.long
def test_200_steps_of_training_agree_to_1e_4() -> None:
    config = compose(SETTINGS)
    ours, theirs = lmlab_losses(config), llama_losses(config)
    difference = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    print(f"loss {ours[0]:.3f} to {ours[-1]:.3f}; largest difference {difference:.2e}")
    assert ours[-1] < ours[0] - 1.0, "the model must have learned"
    assert difference < 1e-4
