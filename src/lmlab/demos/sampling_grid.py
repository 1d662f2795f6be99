"""How temperature and top-p change the text of a trained model."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.demos import Demo, Section
from lmlab.errors import DataError
from lmlab.nn.transformer import Transformer
from lmlab.tokenizer import Tokenizer
from lmlab.training.generation import generate

COLUMNS = ["temperature", "top-p", "tokens", "nats per token", "distinct words", "repeated 4-grams"]


def generation_grid(
    *,
    config: Any,
    temperatures: list[float],
    top_ps: list[float],
    prompts: list[str],
    count: int,
    max_new_tokens: int,
) -> Demo:
    """Train the configured model, or reuse its run, and generate text at every setting.

    Args:
        config: the configuration of the run.
        temperatures: softmax temperatures; 0: greedy decoding.
        top_ps: cumulative probabilities of nucleus sampling; 1: all tokens.
        prompts: texts to continue.
        count: texts per prompt and setting.
        max_new_tokens: maximum length of a text, in tokens.
    """
    from lmlab.build import factory
    from lmlab.runs.execute import execute
    from lmlab.runs.load import find_run_weights
    from lmlab.training.checkpoint_files import read_weights
    from lmlab.training.state import load_weights

    run = execute(config).run
    evaluated = run.evaluations()
    if not evaluated:
        raise DataError(f"{run.path}: the run has no validation loss, so it cannot generate text")
    spec = resolve(config)
    model = factory.build_model(spec)
    folder = find_run_weights(run, "best")
    load_weights(model, read_weights(folder), folder)
    tokenizer = Tokenizer.load(run.tokenizer)
    loss = evaluated[-1]["loss"]
    data = prepare_data(spec.data)
    model.documents, valid = data.documents, data.corpus.valid.paths[0]
    return explore(
        model, tokenizer, f"{run.path}, validation loss {loss:.4f} nats per token", temperatures,
        top_ps, prompts, count, max_new_tokens, config.seeds.sampling, _excerpts(valid, tokenizer,
        max_new_tokens, count * len(prompts)),
    )  # fmt: skip


def explore(
    model: Transformer,
    tokenizer: Tokenizer,
    model_name: str,
    temperatures: Sequence[float],
    top_ps: Sequence[float],
    prompts: Sequence[str],
    count: int,
    max_new_tokens: int,
    seed: int,
    excerpts: Sequence[Sequence[int]],
) -> Demo:
    """Fill the grid for a loaded model; ``excerpts`` of real text are measured for comparison."""
    rows, blocks = [], []
    starts = [
        tokenizer.encode(prompt) or [tokenizer.start_id] for prompt in prompts for _ in range(count)
    ]
    for temperature, top_p in itertools.product(temperatures, top_ps):
        if temperature == 0 and top_p != top_ps[0]:
            continue  # top-p does not change greedy decoding
        texts = generate(
            model, starts, max_new_tokens=max_new_tokens, temperature=temperature,
            top_p=top_p if top_p < 1 else None, seed=seed, stop_id=tokenizer.markers.ends,
        )  # fmt: skip
        setting = [f"{temperature:g}", "" if temperature == 0 else f"{top_p:g}"]
        rows.append([*setting, *measure(model, tokenizer, starts, texts)])
        name = "greedy" if temperature == 0 else f"temperature {temperature:g}, top-p {top_p:g}"
        blocks.append((name, prompts[0] + tokenizer.decode(texts[0])))
    if excerpts:
        first = [list(ids[:1]) for ids in excerpts]
        rest = [list(ids[1:]) for ids in excerpts]
        rows.append(["real text", "", *measure(model, tokenizer, first, rest)])
    return Demo(
        title="generate",
        question="How do temperature and top-p change the text of a model?",
        sections=[
            Section("Measurements", [f"Model: {model_name}.", "Nats per token are those of the "
                "model at temperature 1. A 4-gram is repeated if it occurred before in the same "
                "text. Settings whose numbers are near those of real text imitate it best."],
                COLUMNS, rows),
            Section("Texts", ["The first text of the first prompt at each setting."],
                blocks=blocks),
        ],
        limits=["The numbers come from few texts; they do not measure quality."],
    )  # fmt: skip


def measure(
    model: Transformer,
    tokenizer: Tokenizer,
    starts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
) -> list[str]:
    """Measure tokens, mean nats per token, distinct words, and repeated 4-grams."""
    nats = [mean_nats(model, start, ids) for start, ids in zip(starts, texts, strict=True) if ids]
    words = " ".join(tokenizer.decode(list(ids)) for ids in texts).split()
    return [
        str(sum(map(len, texts))),
        f"{statistics.fmean(nats):.3f}" if nats else "",
        f"{len(set(words)) / len(words):.1%}" if words else "",
        f"{repeated_share(texts, 4):.1%}",
    ]


@torch.no_grad()
def mean_nats(model: Transformer, start: Sequence[int], ids: Sequence[int]) -> float:
    """Return the mean -log p of ``ids`` after ``start``, in the last window of the context."""
    window = [*start, *ids][-(model.context_length + 1) :]
    counted = min(len(ids), len(window) - 1)
    device = model.device
    logits = model(torch.tensor([window[:-1]], device=device))[0].double()
    losses = torch.nn.functional.cross_entropy(
        logits, torch.tensor(window[1:], device=device), reduction="none"
    )
    return float(losses[-counted:].mean())


def repeated_share(texts: Sequence[Sequence[int]], length: int) -> float:
    """Return the share of n-grams that occurred before in the same text."""
    repeated = total = 0
    for ids in texts:
        seen = set()
        for start in range(len(ids) - length + 1):
            gram = tuple(ids[start : start + length])
            repeated += gram in seen
            total += 1
            seen.add(gram)
    return repeated / total if total else 0.0


def _excerpts(path: Path, tokenizer: Tokenizer, length: int, number: int) -> list[list[int]]:
    with open(path, encoding="utf-8") as file:
        ids = tokenizer.encode(file.read(20 * length * number))
    size = length + 1
    return [ids[start : start + size] for start in range(0, len(ids) - size, size)][:number]
