"""``python -m lmlab.export run=<folder> to=<folder>``: hand a model, or a tokenizer, on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.console.command_line import FOLDER, read_options, run_command, run_main
from lmlab.errors import ConfigError, DataError

HELP = """\
usage: python -m lmlab.export run=FOLDER to=FOLDER [key=value ...]
       python -m lmlab.export tokenizer=FOLDER to=FOLDER [format=hf]

Writes the model of a run as a folder that transformers loads: weights, tokenizer and model card.

  run=FOLDER           outputs/<study>/<arm>/seed<k>
  to=FOLDER            a new folder, or one that an earlier export made
  checkpoint=best      best (lowest validation loss) or last
  check=auto           auto loads the folder again, with transformers too where that is installed,
                       and compares logits and ids before it gets its name; off does not

Or converts a tokenizer, ids unchanged:

  tokenizer=FOLDER     of lmlab, Hugging Face (tokenizer.json), GPT-2 (vocab.json, merges.txt) or
                       tiktoken (tokenizer.tiktoken, with tokenizer.tiktoken.json beside it)
  format=hf            hf, gpt2, tiktoken or lmlab

example: python -m lmlab.export run=outputs/runs/default/seed0 to=hf/stories
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of the command line; see :data:`HELP`."""

    to: str = dataclasses.field(metadata=FOLDER)
    run: str | None = None
    tokenizer: str | None = None
    checkpoint: str = "best"
    check: str = "auto"
    format: str = "hf"


def parse(argv: list[str]) -> Options:
    """Read the words. Raises :class:`ConfigError` or :class:`DataError` naming key and fix."""
    options = read_options(Options, argv)
    if (options.run is None) == (options.tokenizer is None):
        raise ConfigError("accepted is either run=FOLDER or tokenizer=FOLDER. See --help")
    other, idle = ("tokenizer", ["format"]) if options.run else ("run", ["checkpoint", "check"])
    for key in idle:
        if getattr(options, key) != getattr(Options, key):
            raise ConfigError(
                f"{key}={getattr(options, key)}: it goes with {other}=FOLDER; leave it out"
            )
    for key, accepted in (("checkpoint", ("best", "last")), ("check", ("auto", "off"))):
        if getattr(options, key) not in accepted:
            told = " or ".join(accepted)
            raise ConfigError(f"{key}={getattr(options, key)}: accepted is {told}")
    if options.run is not None and not (Path(options.run) / "config.yaml").is_file():
        raise DataError(
            f"run={options.run}: there is no run in this folder (no config.yaml); "
            "python -m lmlab.outputs lists the runs"
        )
    return options


def export(options: Options) -> None:
    """Write what is asked for, and print where it is."""
    if options.tokenizer is not None:
        from lmlab.tokenizer.convert import read, write

        tokenizer = read(Path(options.tokenizer))
        for path in write(tokenizer, Path(options.to), options.format):
            print(path)
        return
    # Torch takes a second to import: mistakes in the options are told before.
    from lmlab.export.folder import export_run

    assert options.run is not None
    for line in export_run(
        Path(options.run),
        Path(options.to),
        checkpoint=options.checkpoint,
        check=options.check == "auto",
    ):
        print(line)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return run_command(argv, HELP, lambda words: export(parse(words)))


if __name__ == "__main__":
    run_main(main)
