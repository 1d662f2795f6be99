"""``python -m lmlab.tokenize``: train a tokenizer, encode files with one, look at one."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lmlab.console.command_line import run_main
from lmlab.errors import ConfigError, DataError, DiskError, UserError
from lmlab.storage.io import make_folder, translate_read_errors

END_OF_TEXT = "<|endoftext|>"


def train(arguments: argparse.Namespace) -> None:
    """Train on files and save."""
    from lmlab.tokenizer import train_bpe
    from lmlab.tokenizer.kernels.kinds import CL100K_PATTERN, GPT2_PATTERN
    from lmlab.tokenizer.serialization import is_saved

    specials = [END_OF_TEXT] if arguments.special is None else list(arguments.special)
    pattern = {"gpt2": GPT2_PATTERN, "cl100k": CL100K_PATTERN, "llama3": CL100K_PATTERN}
    paths = _texts(arguments.text)
    if not arguments.force and is_saved(arguments.to):
        raise ConfigError(
            f"--to {arguments.to}: a tokenizer is saved there, and what was encoded with it would "
            "fit no longer; choose another folder, or add --force"
        )
    make_folder(arguments.to)
    if not os.access(arguments.to, os.W_OK):
        raise DiskError(f"--to {arguments.to}: nothing can be written there; choose another folder")
    start = time.perf_counter()
    tokenizer = train_bpe(
        paths,
        arguments.vocab_size,
        specials,
        pattern=pattern[arguments.pattern],
        threads=arguments.threads,
    )
    seconds = time.perf_counter() - start
    tokenizer.save(arguments.to)
    size = sum(path.stat().st_size for path in paths)
    print(
        f"{tokenizer.vocab_size:,} entries from {size / 1e6:,.1f} MB in {seconds:.2f} s: "
        f"{arguments.to}"
    )
    _show_longest(arguments.to, 10)


def encode(arguments: argparse.Namespace) -> None:
    """Encode files to a token file."""
    from lmlab.data.token_file import write_token_file
    from lmlab.storage.io import hash_file, hash_json
    from lmlab.storage.lock import Lock
    from lmlab.tokenizer import Tokenizer

    paths = _texts(arguments.text)
    _check_target(arguments.to, [*paths, *arguments.tokenizer.glob("*")], arguments.force)
    tokenizer = Tokenizer.load(arguments.tokenizer)
    start = time.perf_counter()
    make_folder(arguments.to.parent)
    hashes = [hash_file(path) for path in paths]
    text_hash = hashes[0] if len(hashes) == 1 else hash_json(hashes)
    with Lock(arguments.to.with_name(f".{arguments.to.name}.lock"), wait=False):
        found = write_token_file(paths, tokenizer, arguments.to, text_hash)
    seconds = time.perf_counter() - start
    size = sum(path.stat().st_size for path in paths)
    print(
        f"{size / 1e6:,.1f} MB in {seconds:.2f} s ({size / 1e6 / seconds:,.0f} MB/s): "
        f"{found.num_tokens:,} tokens, {found.num_text_bytes / max(1, found.num_tokens):.3f} "
        f"bytes a token, {found.dtype}: {arguments.to}"
    )


def show(arguments: argparse.Namespace) -> None:
    """Print what a tokenizer is, and how it splits given texts."""
    from lmlab.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(arguments.tokenizer)
    lengths = tokenizer.token_byte_lengths
    print(f"{tokenizer.vocab_size:,} entries, {len(tokenizer.merges):,} merges")
    print(f"special tokens: {' '.join(tokenizer.special_tokens) or 'none'}")
    print(f"bytes of an entry: mean {lengths.mean():.2f}, longest {lengths.max()}")
    print(f"pattern: {tokenizer.pattern}")
    print(f"hash: {tokenizer.hash}")
    _show_longest(arguments.tokenizer, arguments.longest)
    for text in arguments.split or []:
        ids = tokenizer.encode(text)
        parts = " | ".join(tokenizer.decode([index]) for index in ids)
        print(f"{len(ids)} tokens of {len(text.encode())} bytes: {parts}\n  {ids}")


def _show_longest(folder: Path, number: int) -> None:
    from lmlab.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder)
    lengths = tokenizer.token_byte_lengths
    longest = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))[:number]
    for index in longest:
        print(f"  {index:>8}  {lengths[index]:>4} bytes  {tokenizer.decode([index])!r}")


def _texts(paths: Sequence[Path]) -> list[Path]:
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: there is no such file; accepted are UTF-8 text files")
        with translate_read_errors(path), open(path, "rb"):
            pass
    if not any(path.stat().st_size for path in paths):
        raise DataError(f"{' '.join(map(str, paths))}: there is no text; give some")
    return list(paths)


def _check_target(path: Path, read: Sequence[Path], force: bool) -> None:
    """Refuse to write a token file over what is read; over something else where not forced."""
    from lmlab.data.token_file import is_sidecar

    if path.suffix != ".bin":
        raise ConfigError(f"--to {path}: accepted is a name that ends in .bin")
    if path.is_dir():
        raise ConfigError(f"--to {path}: a folder stands there; accepted is the name of a file")
    sidecar = path.with_suffix(".json")
    for written in (path, sidecar):
        if written.exists() and any(written.samefile(other) for other in read):
            raise ConfigError(
                f"--to {path}: this would replace {written}, which is read; choose another name"
            )
    there = sidecar if sidecar.exists() else path
    if there.exists() and not force and not is_sidecar(there):
        raise ConfigError(
            f"--to {path}: this would replace {there}, which is of no token file; choose another "
            "name, or add --force"
        )


def _at_least(least: int, most: int | None = None) -> type:
    accepted = f"{least} or more" if most is None else f"{least} to {most}"

    class Number(int):
        def __new__(cls, text: str) -> Number:
            value = super().__new__(cls, text)
            if value < least or (most is not None and value > most):
                raise argparse.ArgumentTypeError(f"{text}: accepted is {accepted}")
            return value

    Number.__name__ = "whole number"
    return Number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lmlab.tokenize",
        description="Train a byte-level BPE tokenizer, encode files with one, or look at one.",
        epilog="The folder that train writes serves as tokenizer=saved tokenizer.path=FOLDER of "
        "python -m lmlab.train.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="train|encode|show")
    command = commands.add_parser(
        "train",
        help="learn a vocabulary from text files",
        epilog="example: python -m lmlab.tokenize train books.txt --vocab-size 32000 --to books32k",
    )
    command.add_argument("text", type=Path, nargs="+", help="UTF-8 text files")
    command.add_argument("--vocab-size", type=_at_least(256), required=True, metavar="N")
    command.add_argument("--to", type=Path, required=True, help="folder to save the tokenizer in")
    command.add_argument(
        "--special", nargs="*", metavar="TOKEN",
        help=f"strings that are never split; default: {END_OF_TEXT}",
    )  # fmt: skip
    command.add_argument(
        "--pattern", choices=["gpt2", "cl100k", "llama3"], default="gpt2",
        help="how text is cut before merging; default: gpt2",
    )  # fmt: skip
    command.add_argument(
        "--threads", type=_at_least(1, 256), help="default: one a core; the result is the same"
    )
    command.add_argument("--force", action="store_true", help="replace a tokenizer saved there")
    command.set_defaults(run=train)
    command = commands.add_parser(
        "encode",
        help="write a token file",
        description="Write the ids of text files as a .bin file, with a .json file that describes "
        "it. A killed call is gone on with by the same call.",
        epilog="example: python -m lmlab.tokenize encode books32k books.txt --to books.bin",
    )
    command.add_argument("tokenizer", type=Path, help="folder of a saved tokenizer")
    command.add_argument("text", type=Path, nargs="+", help="UTF-8 text files")
    command.add_argument("--to", type=Path, required=True, help="the .bin file")
    command.add_argument("--force", action="store_true", help="replace what is no token file, too")
    command.set_defaults(run=encode)
    command = commands.add_parser(
        "show",
        help="what a tokenizer is",
        epilog='example: python -m lmlab.tokenize show books32k --split "Once upon a time"',
    )
    command.add_argument("tokenizer", type=Path, help="folder of a saved tokenizer")
    command.add_argument("--longest", type=_at_least(0), default=10, metavar="N")
    command.add_argument("--split", nargs="+", metavar="TEXT", help="show how these split")
    command.set_defaults(run=show)
    return parser


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    try:
        arguments.run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        on = "nothing was saved" if arguments.run is train else "the same command goes on from here"
        print(f"\ninterrupted; {on}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    run_main(main)
