"""``python -m lmlab.generate run=<folder> prompt="One day"``: let a trained model write."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.console.command_line import FOLDER, read_options, run_command, run_main
from lmlab.errors import ConfigError, DataError

HELP = """\
usage: python -m lmlab.generate run=FOLDER [key=value ...]

Writes text with the model of a run folder, streamed to the terminal.

  run=FOLDER           outputs/<study>/<arm>/seed<k>, or a Hugging Face folder
  prompt="Once ..."    text to go on from; give it several times for several at once (default: none)
  count=1              texts a prompt
  max_new_tokens=200   length at which a text ends, if it does not end by itself
  temperature=0.8      0 always takes the likeliest token
  top_k=null           draw from the k likeliest tokens only
  top_p=null           draw from the likeliest tokens that hold this probability together
  seed=0               the same seed writes the same text
  checkpoint=best      best (lowest validation loss) or last
  device=auto          auto, cpu, mps, cuda, cuda:1 ...

example: python -m lmlab.generate run=outputs/runs/default/seed0 prompt="One day" temperature=0.5
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of the command line; see :data:`HELP`."""

    run: str = dataclasses.field(metadata=FOLDER)
    prompt: tuple[str, ...] = ("",)
    count: int = 1
    max_new_tokens: int = 200
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    checkpoint: str = "best"
    device: str = "auto"


def parse(argv: list[str]) -> Options:
    """Read ``key=value`` words. Raises :class:`ConfigError` naming the key and the fix."""
    options = read_options(Options, argv)
    _check(options)
    return options


def _check(options: Options) -> None:
    ranges: list[tuple[str, bool, str]] = [
        ("count", options.count >= 1, "at least 1"),
        ("max_new_tokens", options.max_new_tokens >= 1, "at least 1"),
        ("temperature", 0 <= options.temperature < float("inf"), "0 or more"),
        ("top_k", options.top_k is None or options.top_k >= 1, "at least 1, or null"),
        ("top_p", options.top_p is None or 0 < options.top_p <= 1, "above 0, at most 1, or null"),
        ("checkpoint", options.checkpoint in ("best", "last"), "best or last"),
    ]
    for key, fine, accepted in ranges:
        if not fine:
            raise ConfigError(f"{key}={getattr(options, key)}: accepted is {accepted}")
    check_folder(options.run)


def check_folder(run: str) -> None:
    """See whether a folder holds a model. Raises :class:`DataError` where it does not."""
    folder = Path(run)
    if not (folder / "config.yaml").is_file() and not (folder / "config.json").is_file():
        raise DataError(
            f"run={run}: there is no run in this folder (no config.yaml); "
            "python -m lmlab.outputs lists the runs"
        )


def write(options: Options) -> None:
    """Generate and print; several texts are printed whole, a single one as it is drawn."""
    # Torch takes a second to import: mistakes in the options are told before.
    from lmlab.runs.load import load
    from lmlab.training.generation import StreamDecoder, generate

    model, tokenizer = load(options.run, checkpoint=options.checkpoint, device=options.device)
    start = [tokenizer.end_of_text_id] if tokenizer.end_of_text_id is not None else [0]
    prompts = [prompt for prompt in options.prompt for _ in range(options.count)]
    stream = StreamDecoder(tokenizer) if len(prompts) == 1 else None

    def show(index: int, token: int) -> None:
        if stream is not None and token != tokenizer.end_of_text_id:
            print(stream.add(token), end="", flush=True)

    if stream is not None:
        print(prompts[0], end="", flush=True)
    written = generate(
        model,
        [tokenizer.encode(prompt) or start for prompt in prompts],
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
        stop_id=tokenizer.end_of_text_id,
        on_token=show,
    )
    if stream is not None:
        print(stream.finish())
        return
    for number, (prompt, ids) in enumerate(zip(prompts, written, strict=True), start=1):
        print(f"--- {number} of {len(prompts)} ---\n{prompt}{tokenizer.decode(ids)}\n")


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return run_command(argv, HELP, lambda words: write(parse(words)))


if __name__ == "__main__":
    run_main(main)
