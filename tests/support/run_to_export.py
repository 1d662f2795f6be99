"""A run folder with random weights, to export without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import to_yaml
from lmlab.config.run_config import RunConfig
from lmlab.nn.transformer import Transformer
from lmlab.tokenizer import Tokenizer
from lmlab.training.checkpoint import Checkpoints

SIZES = [
    "model.vocab_size=300", "model.context_length=224", "model.d_model=32", "model.num_layers=2",
    "model.num_heads=4", "model.d_ff=48", "model.init=normal", "model.init.std=0.15",
]  # fmt: skip


def make_run(
    folder: Path, config: RunConfig, special_tokens: Sequence[str] = ("<|endoftext|>", "<|pad|>")
) -> tuple[Transformer, Tokenizer]:
    """Write the folder of a run whose weights all differ, norm gains included."""
    model = factory.build_model(resolve(config)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.copy_(torch.rand(weight.shape, generator=generator) + 0.5)
            elif name == "pos.weight":
                weight.copy_(torch.randn(weight.shape, generator=generator) / 2)
    merges = [(bytes([97 + i]), bytes([97 + j])) for i in range(6) for j in range(7)]
    vocab = [bytes([byte]) for byte in range(256)] + [left + right for left, right in merges]
    tokenizer = Tokenizer(dict(enumerate(vocab)), merges, special_tokens)
    assert tokenizer.vocab_size == 300
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(config))
    tokenizer.save(folder / "tokenizer")
    Checkpoints(folder / "checkpoints").save_best(model, step=7, loss=1.0)
    return model, tokenizer
