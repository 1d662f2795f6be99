"""Generate the texts of a trained model, and write them to ``samples.md``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from lmlab.build.run_spec import SampleSettings
from lmlab.nn.transformer import Transformer
from lmlab.storage.io import atomic_write_text
from lmlab.tokenizer import Tokenizer
from lmlab.training.generation import generate

log = logging.getLogger(__name__)


def draw_samples(
    model: Transformer, tokenizer: Tokenizer, settings: SampleSettings
) -> list[dict[str, Any]]:
    """Generate ``count`` texts per prompt; each is a row with ``prompt`` and ``text``.

    An empty prompt starts with :attr:`lmlab.tokenizer.Tokenizer.start_id`.
    """
    prompts = [prompt for prompt in settings.prompts for _ in range(settings.count)]
    if not prompts:
        return []
    if not tokenizer.has_text:
        log.info("no samples are written: tokenizer=ids stands for no text")
        return []
    generated = generate(
        model,
        [tokenizer.encode(prompt) or [tokenizer.start_id] for prompt in prompts],
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        seed=settings.seed,
        stop_id=tokenizer.markers.ends,
    )
    return [
        {"prompt": prompt, "text": tokenizer.decode(ids)}
        for prompt, ids in zip(prompts, generated, strict=True)
    ]


def write_samples(path: Path, rows: list[dict[str, Any]], step: int) -> None:
    """Write samples as Markdown, one code block each."""
    blocks = (f"```text\n{row['prompt']}{row['text']}\n```\n" for row in rows)
    atomic_write_text(path, f"# Samples at step {step}\n\n" + "\n".join(blocks))
