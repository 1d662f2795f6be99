"""``python -m lmlab.tokenize``: train a tokenizer, encode files with it, and inspect it."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmlab.console.command_line import Command, CommandGroup
from lmlab.console.formatting import format_count
from lmlab.console.options import argument, at_least, one_of, option
from lmlab.console.stdout import run_main
from lmlab.errors import ConfigError, DataError, DiskError, shorten
from lmlab.records.paths import find_files
from lmlab.records.text import DOCUMENT_RULES, Text, is_pipe
from lmlab.storage.io import make_folder

if TYPE_CHECKING:
    from lmlab.tokenizer import Tokenizer

END_OF_TEXT = "<|endoftext|>"
_MAX_THREADS = 256
_NUM_LONGEST = 10
_SHOWN_BYTES = 48  # of an entry
_TEXT_HELP = (
    "files, folders or quoted patterns of text (plain, compressed, JSON lines, Parquet, Arrow); "
    "- for standard input"
)
_COLUMN_HELP = "column of JSON lines, Parquet or Arrow that holds the text"
_RULE_HELP = "documents of plain text: marker (between <|endoftext|>), blank_line, line or file"


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """The options of ``train``."""

    text: tuple[str, ...] = argument(metavar="FILE", help=_TEXT_HELP)
    vocab_size: int = option(
        valid=at_least(256), help="vocabulary size, including the 256 bytes and the special tokens"
    )
    to: Path = option(metavar="FOLDER", help="folder to save the tokenizer to")
    special: tuple[str, ...] = option(
        (END_OF_TEXT,), nargs="*", metavar="TOKEN", help="special tokens, which are never split"
    )
    end_of_text: str | None = option(
        None,
        metavar="TOKEN",
        help="special token that ends a text; null: <|endoftext|>, otherwise the first one with "
        "another usual name, such as </s>",
    )
    pattern: str = option(
        "gpt2",
        valid=one_of("gpt2", "cl100k", "llama3"),
        metavar="NAME",
        help="pre-tokenization regular expression",
    )
    threads: int | None = option(
        None,
        valid=at_least(1, _MAX_THREADS),
        help="number of threads, which does not affect the result; null: one per core",
    )
    column: str = option("text", metavar="NAME", help=_COLUMN_HELP)
    documents: str = option(
        "marker", valid=one_of(*DOCUMENT_RULES), metavar="RULE", help=_RULE_HELP
    )
    force: bool = option(False, help="overwrite a saved tokenizer")


@dataclasses.dataclass(frozen=True)
class EncodeOptions:
    """The options of ``encode``."""

    tokenizer: Path = argument(metavar="TOKENIZER", help="folder of a saved tokenizer")
    text: tuple[str, ...] = argument(metavar="FILE", help=_TEXT_HELP)
    to: Path = option(metavar="FILE.bin", help="token file to write")
    column: str = option("text", metavar="NAME", help=_COLUMN_HELP)
    documents: str = option(
        "marker", valid=one_of(*DOCUMENT_RULES), metavar="RULE", help=_RULE_HELP
    )
    format: str = option(
        "lmlab",
        valid=one_of("lmlab", "nanogpt", "llmc", "megatron"),
        metavar="NAME",
        help="lmlab; nanogpt: raw 16-bit ids; llmc: with a header; megatron: with an .idx file",
    )
    force: bool = option(
        False, help="overwrite FILE.bin even if it was not written by this command"
    )


@dataclasses.dataclass(frozen=True)
class ShowOptions:
    """The options of ``show``."""

    tokenizer: Path = argument(metavar="TOKENIZER", help="folder of a saved tokenizer")
    longest: int = option(
        _NUM_LONGEST, valid=at_least(0), help="how many of the longest entries to list"
    )
    split: tuple[str, ...] = option((), nargs="+", help="texts to split into tokens")


def train(options: TrainOptions) -> None:
    """Train a tokenizer on files and save it."""
    from lmlab.tokenizer import train_bpe
    from lmlab.tokenizer.kernels.kinds import CL100K_PATTERN, GPT2_PATTERN
    from lmlab.tokenizer.serialization import is_saved
    from lmlab.tokenizer.text_markers import check_end_of_text

    patterns = {"gpt2": GPT2_PATTERN, "cl100k": CL100K_PATTERN, "llama3": CL100K_PATTERN}
    text = _find_texts(options)
    check_end_of_text(options.end_of_text, options.special, "end_of_text")
    if not options.force and is_saved(options.to):
        raise ConfigError(
            f"to={options.to}: a tokenizer is already saved there; overwriting it would "
            "invalidate the token files that it encoded",
            "choose another folder, or add --force",
        )
    make_folder(options.to)
    if not os.access(options.to, os.W_OK):
        raise DiskError(f"to={options.to}: the folder is not writable", "choose another folder")
    start = time.perf_counter()
    tokenizer = train_bpe(
        text,
        options.vocab_size,
        list(options.special),
        pattern=patterns[options.pattern],
        threads=options.threads,
    ).with_end_of_text(options.end_of_text)
    seconds = time.perf_counter() - start
    tokenizer.save(options.to)
    size = text.size()
    print(
        f"{tokenizer.vocab_size:,} entries from {size / 1e6:,.1f} MB in {seconds:.2f} s: "
        f"{options.to}"
    )
    _print_longest(options.to, _NUM_LONGEST)


def encode(options: EncodeOptions) -> None:
    """Encode files to a token file."""
    from lmlab.data.token_file import write_token_file
    from lmlab.data.token_formats.write import check_form, write_form
    from lmlab.storage.lock import Lock
    from lmlab.tokenizer import Tokenizer

    text = _find_texts(options)
    inputs = [path for path in text.paths if not is_pipe(path)]
    is_own = options.format == "lmlab"
    _check_target(options.to, [*inputs, *options.tokenizer.glob("*")], options.force, is_own)
    tokenizer = Tokenizer.load(options.tokenizer)
    if not is_own:
        check_form(options.format, tokenizer.vocab_size, tokenizer.end_of_text_id)
    start = time.perf_counter()
    make_folder(options.to.parent)
    lock = options.to.with_name(f".{options.to.name}.lock")
    with Lock(lock, wait=False, protects=options.to):
        own = options.to if is_own else options.to.with_name(f".{options.to.stem}.ids.bin")
        written = write_token_file(text, tokenizer, own)
        if not is_own:
            sidecar = own.with_suffix(".json")
            options.to.with_suffix(".json").unlink(missing_ok=True)
            write_form(
                options.format, written.tokens, options.to, vocab_size=tokenizer.vocab_size,
                end_id=tokenizer.end_of_text_id,
            )  # fmt: skip
            for path in (own, sidecar):
                path.unlink()
    seconds = time.perf_counter() - start
    size = text.size() or written.num_text_bytes
    print(
        f"{size / 1e6:,.1f} MB in {seconds:.2f} s ({size / 1e6 / seconds:,.0f} MB/s): "
        f"{format_count(written.num_tokens, 'token')}, "
        f"{written.num_text_bytes / max(1, written.num_tokens):.3f} bytes per token, "
        f"{written.dtype}: {options.to}"
    )


def show(options: ShowOptions) -> None:
    """Print the properties of a tokenizer, and how it splits given texts."""
    from lmlab.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(options.tokenizer)
    lengths = tokenizer.token_byte_lengths
    print(f"{tokenizer.vocab_size:,} entries, {format_count(len(tokenizer.merges), 'merge')}")
    print(f"special tokens: {shorten(' '.join(tokenizer.special_tokens) or 'none')}")
    print(f"ends of texts: {_named_ends(tokenizer)}")
    print(f"bytes per entry: mean {lengths.mean():.2f}, longest {lengths.max()}")
    print(f"pattern: {shorten(tokenizer.pattern)}")
    print(f"hash: {tokenizer.hash}")
    _print_longest(options.tokenizer, options.longest)
    for text in options.split:
        ids = tokenizer.encode(text)
        parts = " | ".join(tokenizer.decode([index]) for index in ids)
        print(
            f"{format_count(len(ids), 'token')} of {format_count(len(text.encode()), 'byte')}: "
            f"{shorten(parts)}\n  {shorten(str(ids))}"
        )


def _named_ends(tokenizer: Tokenizer) -> str:
    names = {index: name for name, index in tokenizer.ids.special_ids.items()}
    ends = [f"{names.get(index, '')} ({index})".lstrip() for index in tokenizer.markers.ends]
    return shorten(", ".join(ends)) or "none"


def _print_longest(folder: Path, number: int) -> None:
    from lmlab.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder)
    lengths = tokenizer.token_byte_lengths
    longest = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))[:number]
    for index in longest:
        start = tokenizer.token_bytes(index)[:_SHOWN_BYTES].decode("utf-8", errors="replace")
        more = " ..." if lengths[index] > _SHOWN_BYTES else ""
        print(f"  {index:>8}  {lengths[index]:>4} bytes  {start!r}{more}")


def _find_texts(options: TrainOptions | EncodeOptions) -> Text:
    """Find and recognize the files. Raises :class:`DataError` unless one of them has text."""
    paths = find_files("text", options.text, split="train")
    text = Text((), column=options.column, documents=options.documents).with_files(paths)
    if not text.size() and not any(map(is_pipe, paths)):
        raise DataError(f"{' '.join(options.text)}: the text is empty", "provide some text")
    return text


def _check_target(path: Path, inputs: Sequence[Path], force: bool, is_own: bool) -> None:
    """Refuse to overwrite an input, and without ``force`` any file that is not lmlab's own.

    Args:
        path: what is written.
        inputs: what is read.
        force: whether other files may be overwritten.
        is_own: whether a token file of lmlab is written; in other forms, none is overwritten.
    """
    from lmlab.data.token_file import is_sidecar

    if path.suffix != ".bin":
        raise ConfigError(f"to={path}: expected a file name that ends in .bin")
    if path.is_dir():
        raise ConfigError(f"to={path}: expected a file, found a folder")
    sidecar = path.with_suffix(".json")
    for output in (path, sidecar, path.with_suffix(".idx")):
        if output.exists() and any(output.samefile(other) for other in inputs):
            raise ConfigError(
                f"to={path}: would overwrite {output}, which is an input", "choose another name"
            )
    existing = sidecar if sidecar.exists() else path
    if existing.exists() and not force and not (is_own and is_sidecar(existing)):
        raise ConfigError(
            f"to={path}: would overwrite {existing}, which is not a token file of lmlab"
            if is_own
            else f"to={path}: would overwrite {existing}",
            "choose another name, or add --force",
        )


COMMAND = CommandGroup(
    name="tokenize",
    description="Train a byte-level BPE tokenizer, encode files with it, and inspect it.\n"
    "To train a model with a saved tokenizer: "
    "python -m lmlab.train tokenizer=saved tokenizer.path=FOLDER",
    commands={
        "train": Command(
            name="tokenize train",
            options=TrainOptions,
            act=train,
            description="Learn a vocabulary from text.",
            examples=["books.txt --vocab-size 32000 --to books32k"],
            when_interrupted="interrupted; nothing was saved",
            allow_abbrev=True,
        ),
        "encode": Command(
            name="tokenize encode",
            options=EncodeOptions,
            act=encode,
            description="Encode text as token ids in a .bin file, with a .json file that "
            "describes it.",
            examples=[
                "books32k books.txt --to books.bin",
                "books32k 'shards/*.parquet' --column content --to web.bin",
                "books32k books.txt --to train.bin --format nanogpt",
            ],
            when_interrupted="interrupted; rerun the command to resume",
            notes="To resume an interrupted command, rerun it.",
            allow_abbrev=True,
        ),
        "show": Command(
            name="tokenize show",
            options=ShowOptions,
            act=show,
            description="Print the properties of a tokenizer.",
            examples=['books32k --split "Once upon a time"'],
            allow_abbrev=True,
        ),
    },
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
