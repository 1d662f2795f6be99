"""``python -m lmlab.evaluate run=<folder> text=<file>``: the loss of a saved model on a text."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmlab.console.command_line import FOLDER, read_options, run_command, run_main
from lmlab.errors import ConfigError, DataError
from lmlab.generate import check_folder
from lmlab.tokenizer.utf8 import read_utf8

if TYPE_CHECKING:
    from lmlab.runs.load import Loaded
    from lmlab.training.evaluator import ValidationResult

HELP = """\
usage: python -m lmlab.evaluate run=FOLDER text=FILE [key=value ...]

Measures the model of a run folder, or of a Hugging Face folder, on any UTF-8 text.

  run=FOLDER           outputs/<study>/<arm>/seed<k>, or a Hugging Face folder
  text=FILE            give it several times for several texts, one line each
  checkpoint=best      of a run: best (lowest validation loss) or last
  max_tokens=null      windows spread over the text, of so many tokens in all; null: the whole text
  batch_size=32        windows a forward pass; changes the speed only
  device=auto          auto, cpu, mps, cuda, cuda:1 ...

Loss is in nats a token, in float32. Every token but the first is predicted once, from as many
before it as the windows of the model's context length hold. Bits per byte can be compared between
models of different tokenizers.

example: python -m lmlab.evaluate run=outputs/runs/default/seed0 text=story.txt
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of the command line; see :data:`HELP`."""

    run: str = dataclasses.field(metadata=FOLDER)
    text: tuple[str, ...] = dataclasses.field(metadata={"shown": "FILE"})
    checkpoint: str = "best"
    max_tokens: int | None = None
    batch_size: int = 32
    device: str = "auto"


def parse(argv: list[str]) -> Options:
    """Read the words. Raises :class:`ConfigError` or :class:`DataError` naming key and fix."""
    options = read_options(Options, argv)
    ranges: list[tuple[str, bool, str]] = [
        ("checkpoint", options.checkpoint in ("best", "last"), "best or last"),
        ("batch_size", options.batch_size >= 1, "at least 1"),
        ("max_tokens", options.max_tokens is None or options.max_tokens >= 1, "1 or more, or null"),
    ]
    for key, fine, accepted in ranges:
        if not fine:
            raise ConfigError(f"{key}={getattr(options, key)}: accepted is {accepted}")
    check_folder(options.run)
    for text in options.text:
        if not Path(text).is_file():
            raise DataError(f"text={text}: there is no such file")
    return options


def evaluate(
    loaded: Loaded, text: Path, *, max_tokens: int | None = None, batch_size: int = 32
) -> ValidationResult:
    """Measure a model on a text.

    Args:
        loaded: of :func:`lmlab.load`.
        text: a UTF-8 file.
        max_tokens: see :func:`lmlab.data.batches.validation_windows`.
        batch_size: windows a forward pass.

    Raises:
        DataError: the text is not UTF-8, or shorter than two tokens.
    """
    from lmlab.data.batches import validation_windows
    from lmlab.training.evaluator import Evaluator

    model, tokenizer = loaded
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    chunks = [np.array(chunk, dtype=dtype) for chunk in tokenizer.encode_chunks(read_utf8(text))]
    tokens = np.concatenate(chunks) if chunks else np.empty(0, dtype=dtype)
    if len(tokens) < 2:
        raise DataError(f"text={text} has {len(tokens)} tokens: accepted is 2 or more")
    windows = validation_windows(
        tokens,
        context_length=min(model.context_length, len(tokens) - 1),
        max_tokens=max_tokens,
    )
    device = model.embedding.weight.device
    lengths = tokenizer.token_byte_lengths
    return Evaluator(tokens, windows, lengths, batch_size=batch_size, device=device).evaluate(model)


def tell(options: Options) -> None:
    """Evaluate and print, a line a text."""
    # Torch takes a second to import: mistakes in the options are told before.
    from lmlab.runs.load import load

    loaded = load(options.run, checkpoint=options.checkpoint, device=options.device)
    width = max(map(len, options.text))
    print(f"{'text':<{width}}  {'loss':>8}  {'perplexity':>10}  {'bits/byte':>9}  {'tokens':>11}")
    for text in options.text:
        found = evaluate(
            loaded, Path(text), max_tokens=options.max_tokens, batch_size=options.batch_size
        )
        print(
            f"{text:<{width}}  {found.loss:8.4f}  {found.perplexity:10.3f}  "
            f"{found.bits_per_byte:9.4f}  {found.num_tokens:11,}",
            flush=True,
        )


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return run_command(argv, HELP, lambda words: tell(parse(words)))


if __name__ == "__main__":
    run_main(main)
