"""Check that lmlab, Hugging Face's tokenizers and tiktoken give the same ids on your texts.

    python benchmarks/interchange.py TEXT [TEXT ...] [--tokenizer FOLDER]

Without a tokenizer, one of 8,192 entries is trained on the first text. Each tokenizer is written in
every format and read back; the exit code is 1 if any id differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tiktoken
from tokenizers import Tokenizer as HfTokenizer

from lmlab.tokenizer import Tokenizer, convert, train_bpe
from lmlab.tokenizer.formats.tiktoken import to_tiktoken

_PIECE = 1 << 20  # characters at a time: Hugging Face's library needs much memory per character


def main() -> int:
    """Compare and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+", type=Path, metavar="TEXT")
    parser.add_argument("--tokenizer", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    texts: list[Path] = options.texts
    if options.tokenizer:
        tokenizer = convert.read(options.tokenizer)
    else:
        tokenizer = train_bpe(texts[0], 8192, ["<|endoftext|>"])
    with tempfile.TemporaryDirectory() as name:
        readers = _readers(tokenizer, Path(name))
        return max(_compare(text, readers) for text in texts)


def _readers(tokenizer: Tokenizer, folder: Path) -> dict[str, Callable[[str], list[int]]]:
    readers: dict[str, Callable[[str], list[int]]] = {"lmlab": tokenizer.encode}
    for format in convert.FORMATS:
        convert.write(tokenizer, folder / format, format)
        again = convert.read(folder / format)
        outcome = "the same" if again.hash == tokenizer.hash else "DIFFERENT"
        print(f"written as {format} and read back: {outcome}")
    theirs = HfTokenizer.from_file(str(folder / "hf" / "tokenizer.json"))
    readers["tokenizers"] = lambda text: theirs.encode(text, add_special_tokens=False).ids
    ranks = tiktoken.Encoding(**to_tiktoken(tokenizer.vocabulary))
    readers["tiktoken"] = lambda text: ranks.encode(text, allowed_special="all")
    return readers


def _compare(path: Path, readers: dict[str, Callable[[str], list[int]]]) -> int:
    seconds = dict.fromkeys(readers, 0.0)
    count, different = 0, set()
    with open(path, encoding="utf-8", newline="") as file:
        while text := file.read(_PIECE):
            found = {}
            for name, encode in readers.items():
                started = time.perf_counter()
                found[name] = encode(text)
                seconds[name] += time.perf_counter() - started
            count += len(found["lmlab"])
            different |= {name for name, ids in found.items() if ids != found["lmlab"]}
    times = ", ".join(f"{name} {spent:.2f} s" for name, spent in seconds.items())
    verdict = f"DIFFERENT in {', '.join(sorted(different))}" if different else "the same ids"
    print(f"{path}: {count:,} tokens, {verdict} ({times})")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
