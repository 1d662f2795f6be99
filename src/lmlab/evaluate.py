"""``python -m lmlab.evaluate run=<folder> text=<file>``: the loss of a saved model on a text."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

from lmlab.console.command_line import Command
from lmlab.console.options import at_least, one_of, option
from lmlab.console.stdout import run_main
from lmlab.errors import DataError
from lmlab.generate import check_folder

if TYPE_CHECKING:
    from lmlab.runs.load import Loaded
    from lmlab.training.evaluator import ValidationResult

_TOTAL = "total"


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    run: str = option(
        by_position=True,
        metavar="FOLDER",
        help="outputs/<study>/<arm>/seed<k>, or a local Hugging Face model directory",
    )
    text: tuple[str, ...] = option(
        by_position=True,
        metavar="FILE",
        help="a UTF-8 text file; the output has one line per file, and their total",
    )
    checkpoint: str = option(
        "best",
        valid=one_of("best", "last"),
        metavar="NAME",
        help="which weights to load; best has the lowest validation loss",
    )
    max_tokens: int | None = option(
        None,
        valid=at_least(1),
        help="maximum number of tokens to evaluate, in windows spread over the text; "
        "null: the full text",
    )
    batch_size: int = option(
        32, valid=at_least(1), help="windows per forward pass; affects only speed"
    )
    device: str = option(
        "auto",
        metavar="NAME",
        help="device to use: auto, cpu, mps, cuda, or one GPU such as cuda:1",
    )


def evaluate(
    loaded: Loaded, text: Path, *, max_tokens: int | None = None, batch_size: int = 32
) -> ValidationResult:
    """Measure a model on a text.

    Args:
        loaded: model and tokenizer, as :func:`lmlab.load` returns them.
        text: a UTF-8 file.
        max_tokens: see :func:`lmlab.data.batches.validation_windows`.
        batch_size: windows per forward pass.

    Raises:
        DataError: the text is not UTF-8, or is shorter than two tokens.
    """
    import numpy as np

    from lmlab.data.batches import validation_windows
    from lmlab.data.text_bytes import evaluated_bytes
    from lmlab.tokenizer.utf8 import read_utf8
    from lmlab.training.evaluator import Evaluator

    model, tokenizer = loaded
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    chunks = [np.array(chunk, dtype=dtype) for chunk in tokenizer.encode_chunks(read_utf8(text))]
    tokens = np.concatenate(chunks) if chunks else np.empty(0, dtype=dtype)
    if len(tokens) < 2:
        raise _too_short(text, len(tokens))
    windows = validation_windows(
        tokens,
        context_length=min(model.context_length, len(tokens) - 1),
        max_tokens=max_tokens,
    )
    device = model.device
    num_bytes = evaluated_bytes(tokenizer, tokens, windows)
    evaluator = Evaluator(tokens, windows, num_bytes, batch_size=batch_size, device=device)
    return evaluator.evaluate(model)


def print_losses(options: Options) -> None:
    """Evaluate and print one line per text, and the total of several texts."""
    check_folder(options.run)
    for text in options.text:
        _check_file(text)
    # Importing torch takes seconds; mistakes in the options are reported before.
    from lmlab.runs.load import load
    from lmlab.training.evaluator import ValidationResult

    loaded = load(options.run, checkpoint=options.checkpoint, device=options.device)
    for text in options.text:  # a mistake in the last one is met before the first takes minutes
        _check_content(loaded, Path(text))
    width = max(map(len, [*options.text, _TOTAL]))
    print(f"{'text':<{width}}  {'loss':>8}  {'perplexity':>10}  {'bits/byte':>9}  {'tokens':>11}")
    results = []
    for text in options.text:
        results.append(
            evaluate(
                loaded, Path(text), max_tokens=options.max_tokens, batch_size=options.batch_size
            )
        )
        print(_line(text, width, results[-1]), flush=True)
    if len(results) > 1:
        nats = math.fsum(result.loss * result.num_tokens for result in results)
        num_tokens = sum(result.num_tokens for result in results)
        num_bytes = sum(result.num_bytes for result in results)
        print(_line(_TOTAL, width, ValidationResult.of_sums(nats, num_tokens, num_bytes)))


def _check_file(text: str) -> None:
    path = Path(text)
    if path.is_file():
        return
    if (path / "config.yaml").is_file() or (path / "config.json").is_file():
        raise DataError(
            f"text={text}: expected a text file, found the folder of a model",
            "evaluate one run at a time",
        )
    if path.is_dir():
        raise DataError(f"text={text}: is a folder", "pass the path of a UTF-8 text file")
    if text.startswith("[") and text.endswith("]"):
        names = [name.strip(" '\"") for name in text[1:-1].split(",") if name.strip(" '\"")]
        raise DataError(
            f"text={text}: no such file",
            f"repeat the key: {' '.join(f'text={name}' for name in names or ['FILE'])}",
        )
    raise DataError(f"text={text}: no such file", "pass the path of a UTF-8 text file")


def _check_content(loaded: Loaded, text: Path) -> None:
    """Refuse a text that is not UTF-8, or is shorter than two tokens."""
    from lmlab.tokenizer.utf8 import read_utf8

    for _ in read_utf8(text):
        pass
    num_tokens = 0
    for chunk in loaded.tokenizer.encode_chunks(read_utf8(text)):
        num_tokens += len(chunk)
        if num_tokens >= 2:
            return
    raise _too_short(text, num_tokens)


def _too_short(text: Path, num_tokens: int) -> DataError:
    return DataError(f"text={text}: expected 2 tokens or more, found {num_tokens}")


def _line(text: str, width: int, result: ValidationResult) -> str:
    return (
        f"{text:<{width}}  {result.loss:8.4f}  {result.perplexity:10.3f}  "
        f"{result.bits_per_byte:9.4f}  {result.num_tokens:11,}"
    )


COMMAND = Command(
    name="evaluate",
    options=Options,
    act=print_losses,
    description="Measure the loss of a trained model (a run or a Hugging Face model directory)\n"
    "on UTF-8 text.",
    notes="""\
The loss is in nats per token, computed in float32. A text is split into windows of the model's
context length, and each token is predicted from the tokens that precede it in its window. Only the
first token of a text is not predicted. Bits per byte are the total bits divided by the UTF-8 bytes
of the text, without <|endoftext|>; the bytes do not depend on the tokenizer, so that models with
different tokenizers can be compared. With max_tokens, they are the bytes of the tokens predicted.
""",
    examples=["outputs/runs/default/seed0 story.txt other.txt"],
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
