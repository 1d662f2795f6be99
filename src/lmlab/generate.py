"""``python -m lmlab.generate run=<folder> prompt="One day"``: text of a trained model."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from lmlab.console.command_line import Command
from lmlab.console.options import Valid, at_least, one_of, option
from lmlab.console.stdout import run_main
from lmlab.errors import DataError


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    run: str = option(
        by_position=True,
        metavar="FOLDER",
        help="outputs/<study>/<arm>/seed<k>, or a local Hugging Face model directory",
    )
    prompt: tuple[str, ...] = option(
        ("",), help="text to continue; if omitted or empty, start a new text"
    )
    count: int = option(1, valid=at_least(1), help="number of texts per prompt")
    max_new_tokens: int = option(
        200, valid=at_least(1), help="maximum number of tokens to generate per text"
    )
    temperature: float = option(
        0.8,
        valid=Valid(lambda value: 0 <= value < math.inf, "a number of 0 or more"),
        help="softmax temperature; 0: greedy decoding",
    )
    top_k: int | None = option(
        None,
        valid=at_least(1),
        metavar="K",
        help="sample from the K most likely tokens; null: no limit",
    )
    top_p: float | None = option(
        None,
        valid=Valid(lambda value: 0 < value <= 1, "a number above 0 and at most 1"),
        metavar="P",
        help="nucleus sampling: sample from the smallest set of tokens whose cumulative "
        "probability is at least P; null: no limit",
    )
    seed: int = option(0, help="sampling seed")
    end_of_text: str | None = option(
        None,
        metavar="TOKEN",
        help="special token that ends a text and starts one without a prompt; null: what the "
        "folder says",
    )
    checkpoint: str = option(
        "best",
        valid=one_of("best", "last"),
        metavar="NAME",
        help="which weights to load; best has the lowest validation loss",
    )
    device: str = option(
        "auto",
        metavar="NAME",
        help="device to use: auto, cpu, mps, cuda, or one GPU such as cuda:1",
    )


def check_folder(run: str) -> None:
    """Raise :class:`DataError` unless ``run`` is a folder that contains a model."""
    folder = Path(run)
    list_runs = "list the runs with: python -m lmlab.outputs list"
    if not folder.is_dir():
        raise DataError(f"run={run}: no such folder", list_runs)
    if not (folder / "config.yaml").is_file() and not (folder / "config.json").is_file():
        raise DataError(
            f"run={run}: not a run folder (no config.yaml) or Hugging Face model directory (no "
            "config.json)",
            list_runs,
        )


def write(options: Options) -> None:
    """Generate and print: a single text as it is sampled, several texts once they are complete."""
    check_folder(options.run)
    # Importing torch takes seconds; mistakes in the options are reported before.
    from lmlab.runs.load import load
    from lmlab.training.generation import StreamDecoder, generate

    model, tokenizer = load(options.run, checkpoint=options.checkpoint, device=options.device)
    tokenizer = tokenizer.with_end_of_text(options.end_of_text)
    prompts = [prompt for prompt in options.prompt for _ in range(options.count)]
    stream = StreamDecoder(tokenizer) if len(prompts) == 1 else None

    def show(index: int, token: int) -> None:
        if stream is not None:
            print(stream.add(token), end="", flush=True)

    if stream is not None:
        print(prompts[0], end="", flush=True)
    texts = generate(
        model,
        [tokenizer.encode(prompt) or [tokenizer.start_id] for prompt in prompts],
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
        stop_id=tokenizer.markers.ends,
        on_token=show,
    )
    if stream is not None:
        print(stream.finish())
        return
    for number, (prompt, ids) in enumerate(zip(prompts, texts, strict=True), start=1):
        print(f"--- {number} of {len(prompts)} ---\n{prompt}{tokenizer.decode(ids)}\n")


COMMAND = Command(
    name="generate",
    options=Options,
    act=write,
    description="Generate text with a trained model (a run or a Hugging Face model directory).",
    examples=['run=outputs/runs/default/seed0 prompt="One day" temperature=0.5'],
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
