"""``python -m lmlab.export run=<folder> to=<folder>``: export a model or a tokenizer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.console.command_line import Command, program
from lmlab.console.options import one_of, option
from lmlab.console.stdout import run_main
from lmlab.errors import ConfigError, DataError


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    to: str = option(metavar="FOLDER", help="a new folder, or one written by an earlier export")
    run: str | None = option(
        None,
        by_position=True,
        metavar="FOLDER",
        help="run to export: outputs/<study>/<arm>/seed<k>",
    )
    tokenizer: str | None = option(
        None,
        metavar="FOLDER",
        help="folder of the tokenizer to convert, in one of these formats: lmlab, Hugging Face "
        "(tokenizer.json), GPT-2 (vocab.json, merges.txt), tiktoken (tokenizer.tiktoken, "
        "tokenizer.tiktoken.json)",
    )
    checkpoint: str = option(
        "best",
        valid=one_of("best", "last"),
        metavar="NAME",
        help="which weights to export; best has the lowest validation loss",
    )
    check: str = option(
        "auto",
        valid=one_of("auto", "off"),
        metavar="WHEN",
        help="auto: reload the export in lmlab, and in transformers if it is installed, and "
        "compare its logits and token ids with those of the run; off: no check",
    )
    end_of_text: str | None = option(
        None,
        metavar="TOKEN",
        help="special token that ends a text, exported as eos and bos; null: what the tokenizer "
        "says, otherwise <|endoftext|> or another usual name",
    )
    format: str = option(
        "hf",
        valid=one_of("hf", "gpt2", "tiktoken", "lmlab"),
        metavar="NAME",
        help="format of the exported tokenizer",
    )

    def __post_init__(self) -> None:
        if (self.run is None) == (self.tokenizer is None):
            raise ConfigError(
                "expected exactly one of run=FOLDER and tokenizer=FOLDER",
                f"run {program('export')} --help to list the options",
            )
        other, unused = ("tokenizer", ["format"]) if self.run else ("run", ["checkpoint", "check"])
        for key in unused:
            value = getattr(self, key)
            if value != getattr(Options, key):
                raise ConfigError(f"{key}={value}: valid only with {other}=FOLDER", f"remove {key}")


def export(options: Options) -> None:
    """Export a run or a tokenizer, and print the paths written."""
    if options.tokenizer is not None:
        from lmlab.tokenizer.convert import read, write, write_config

        tokenizer = read(Path(options.tokenizer)).with_end_of_text(options.end_of_text)
        paths = write(tokenizer, Path(options.to), options.format)
        if options.format == "hf":
            paths.append(write_config(tokenizer, Path(options.to)))
        print(*paths, sep="\n")
        return
    assert options.run is not None
    list_runs = "list the runs with: python -m lmlab.outputs list"
    if not Path(options.run).is_dir():
        raise DataError(f"run={options.run}: no such folder", list_runs)
    if not (Path(options.run) / "config.yaml").is_file():
        raise DataError(f"run={options.run}: not a run folder (no config.yaml)", list_runs)
    # Importing torch takes seconds; mistakes in the options are reported before.
    from lmlab.export.folder import export_run

    for line in export_run(
        Path(options.run),
        Path(options.to),
        checkpoint=options.checkpoint,
        check=options.check == "auto",
        end_of_text=options.end_of_text,
    ):
        print(line)


COMMAND = Command(
    name="export",
    options=Options,
    act=export,
    description="Export the model of a run to a folder that transformers can load: weights,\n"
    "tokenizer and model card. Or convert a tokenizer without changing its token ids.",
    one_required=("run", "tokenizer"),
    examples=[
        "run=outputs/runs/default/seed0 to=hf/stories",
        "tokenizer=books32k to=hf/books32k format=tiktoken",
    ],
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
