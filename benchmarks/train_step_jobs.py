"""Run the training step of one library on command.

benchmarks/train_step.py starts this script with the name of a library and settings as JSON. Each
line of standard input is a command: ``steps N`` takes N updates and answers their seconds and the
last loss; ``peak`` answers the peak memory of the process; ``end`` ends it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATES = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
CLIP = 1.0
Step = Callable[[Tensor, Tensor], Tensor]


def lmlab(settings: dict[str, Any]) -> Step:
    """The step of lmlab: gradients, clipping and optimizer as the trainer calls them."""
    factory, auto_settings, run_spec = map(
        importlib.import_module,
        ("lmlab.build.factory", "lmlab.runs.auto_settings", "lmlab.build.run_spec"),
    )
    compose = importlib.import_module("lmlab.config.compose").compose
    clip = importlib.import_module("lmlab.optim.clip").clip_gradients
    shape = settings["shape"]
    config = compose(
        [f"model.{key}={value}" for key, value in shape.items()]
        + [f"training.batch_size={settings['batch']}", f"runtime.policy={settings['policy']}",
           f"runtime.compile={settings['compile']}", f"runtime.threads={settings['threads']}",
           f"output_root={settings['outputs']}", f"optim.lr={RATES['lr']}",
           "runtime.device=" + settings["device"]]
    )  # fmt: skip
    spec = run_spec.resolve(config)
    device = auto_settings.choose_device(spec)
    device.apply()
    state = factory.build_state(spec, device)
    gradients = factory.build_gradients(spec, state.model, device)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        state.optimizer.zero_grad(set_to_none=True)
        loss: Tensor = gradients(inputs, targets)["loss"]
        clip(state.model.parameters(), CLIP)
        state.optimizer.step()
        return loss

    return step


def peer_step(
    model: nn.Module, loss_of: Callable[[Tensor, Tensor], Tensor], settings: dict[str, Any]
) -> Step:
    """The usual loop: autocast, backward, clipping and torch's fused AdamW."""
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, fused=True, **RATES)
    if settings["compile"]:
        loss_of = torch.compile(loss_of)
    kind = settings["device"].partition(":")[0]

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        bf16 = settings["precision"] == "bf16"
        autocast = torch.autocast(kind, torch.bfloat16) if bf16 else contextlib.nullcontext()
        with autocast:
            loss = loss_of(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        return loss.detach()

    return step


def transformers(settings: dict[str, Any]) -> Step:
    """Hugging Face's Llama."""
    library = importlib.import_module("transformers")
    shape = settings["shape"]
    config = library.LlamaConfig(
        vocab_size=shape["vocab_size"], hidden_size=shape["d_model"],
        intermediate_size=shape["d_ff"], num_hidden_layers=shape["num_layers"],
        num_attention_heads=shape["num_heads"], max_position_embeddings=shape["context_length"],
        tie_word_embeddings=False, attn_implementation="sdpa", use_cache=False,
    )  # fmt: skip
    model = library.LlamaForCausalLM(config).to(settings["device"])

    def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
        logits = model(input_ids=inputs).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    return peer_step(model, loss_of, settings)


def litgpt(settings: dict[str, Any]) -> Step:
    """LitGPT's model in the shape of Llama."""
    library = importlib.import_module("litgpt.model")
    shape = settings["shape"]
    config = importlib.import_module("litgpt.config").Config(
        name="", block_size=shape["context_length"], vocab_size=shape["vocab_size"],
        padded_vocab_size=shape["vocab_size"], n_layer=shape["num_layers"],
        n_head=shape["num_heads"], n_embd=shape["d_model"], rotary_percentage=1.0,
        parallel_residual=False, bias=False, norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP", intermediate_size=shape["d_ff"],
    )  # fmt: skip
    model = library.GPT(config).to(settings["device"])

    def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
        logits = model(inputs)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    return peer_step(model, loss_of, settings)


class ReferenceBlock(nn.Module):
    """Attention with a fused projection, then a gated feed-forward layer, both after RMSNorm."""

    def __init__(self, shape: dict[str, int]) -> None:
        super().__init__()
        width, hidden, self.heads = shape["d_model"], shape["d_ff"], shape["num_heads"]
        self.first, self.second = nn.RMSNorm(width, 1e-5), nn.RMSNorm(width, 1e-5)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return (B, T, D)."""
        q, k, v = self.qkv(self.first(x)).unflatten(-1, (3, self.heads, -1)).unbind(2)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(
            rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True
        )
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        inner = self.second(x)
        return x + self.down(F.silu(self.gate(inner)) * self.up(inner))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions."""
    first, second = x.chunk(2, -1)
    rotated = torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
    return rotated.to(x.dtype)


class Reference(nn.Module):
    """The same Transformer on one page, in the style of nanoGPT: no caches, no options."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: dict[str, int]) -> None:
        super().__init__()
        width, head = shape["d_model"], shape["d_model"] // shape["num_heads"]
        self.embedding = nn.Embedding(shape["vocab_size"], width)
        self.blocks = nn.ModuleList(ReferenceBlock(shape) for _ in range(shape["num_layers"]))
        self.norm = nn.RMSNorm(width, 1e-5)
        self.head = nn.Linear(width, shape["vocab_size"], bias=False)
        angles = torch.outer(
            torch.arange(shape["context_length"]), 10000.0 ** (-torch.arange(0, head, 2) / head)
        )
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (B, T, V)."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits: Tensor = self.head(self.norm(x))
        return logits


def plain(settings: dict[str, Any]) -> Step:
    """The reference step."""
    model = Reference(settings["shape"]).to(settings["device"])

    def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
        logits = model(inputs)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    return peer_step(model, loss_of, settings)


def peak_mb() -> float:
    """Peak memory in MB: of the device on CUDA, of the process elsewhere."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e6
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def take(step: Step, number: int, done: int, settings: dict[str, Any]) -> dict[str, float]:
    """Take ``number`` updates after the first ``done``; batches depend on the count alone."""
    shape, device = settings["shape"], settings["device"]
    loss = torch.zeros(())
    seconds = 0.0
    for index in range(done, done + number):
        generator = torch.Generator().manual_seed(index)
        # Token frequencies are skewed, so that there is something to learn.
        draws = torch.rand(settings["batch"], shape["context_length"] + 1, generator=generator)
        tokens = (draws**4 * shape["vocab_size"]).long().to(device)
        started = time.perf_counter()
        loss = step(tokens[:, :-1], tokens[:, 1:])
        if device != "cpu":
            torch.cuda.synchronize()
        seconds += time.perf_counter() - started
    return {"seconds": seconds, "loss": float(loss)}


def main() -> None:
    """Answer commands until the end."""
    library, settings = sys.argv[1], json.loads(sys.argv[2])
    answers = sys.stdout
    sys.stdout = sys.stderr  # keep the output of libraries off the answers
    try:
        torch.manual_seed(0)
        torch.set_num_threads(settings["threads"])
        step = globals()[library](settings)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=answers, flush=True)
        return
    print(json.dumps({"torch": torch.__version__}), file=answers, flush=True)
    done = 0
    for line in sys.stdin:
        command, _, number = line.strip().partition(" ")
        if command == "end":
            return
        if command == "peak":
            print(json.dumps({"peak_mb": peak_mb()}), file=answers, flush=True)
            continue
        found = take(step, int(number), done, settings)
        done += int(number)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
