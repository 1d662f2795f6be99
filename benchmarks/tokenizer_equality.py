"""Check that the tokenizer gives the results of libraries that follow the same rules.

    pip install -c constraints.txt -e '.[benchmark]'
    python benchmarks/tokenizer_equality.py --text BOOKS.txt --gpt2 GPT2_FOLDER

Merges are compared one by one with those of ffbpe, which breaks ties as lmlab does. Ids are
compared with those of tiktoken and of Hugging Face's tokenizers for GPT-2's vocabulary: lmlab
encodes the file to a token file as a run does; each library then encodes the text, about a million
characters at a time and cut before a special token, and its ids must continue that file. So memory
does not grow with the text. A generated text follows in which every assigned code point occurs
between letters, digits and white space. It excludes code points that Python's Unicode does not
assign yet, because libraries differ in their version of Unicode. ``--keep`` also writes the output
to a file; the exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from results_file import ResultsFile
from tokenizer import prepare
from tokenizer_jobs import END, PATTERN, tiktoken_encoding

from lmlab.data.corpus_encoding import encode_to
from lmlab.tokenizer import Tokenizer, train_bpe
from lmlab.tokenizer.formats.byte_alphabet import from_printable

PART_CHARACTERS = 1 << 20
TEMPLATES = ("a{}b", " {} ", "1{}\n", "  {}'s")
LIBRARIES = ("ffbpe", "tiktoken", "tokenizers")

Ids = Sequence[int]


def parts(path: Path) -> Iterator[str]:
    """Yield the text in parts of about a million characters, cut before special tokens."""
    pending: list[str] = []
    length = 0
    with open(path, encoding="utf-8", newline="") as file:
        while block := file.read(PART_CHARACTERS // 4):
            pending.append(block)
            length += len(block)
            if length < PART_CHARACTERS:
                continue
            text = "".join(pending)
            cut = text.rfind(END)
            if cut > 0:
                yield text[:cut]
                text = text[cut:]
            pending, length = [text], len(text) if cut > 0 else 0
    yield "".join(pending)


def code_points(path: Path) -> None:
    """Write every assigned code point in each of the templates."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        for template in TEMPLATES:
            for code in range(sys.maxunicode + 1):
                if unicodedata.category(chr(code)) not in ("Cn", "Cs"):
                    file.write(template.format(chr(code)))
                if code % (1 << 14) == 0:
                    file.write(END)


def tiktoken_encode(settings: dict[str, str]) -> Callable[[str], Ids]:
    """tiktoken with the same ranks."""
    encoding = tiktoken_encoding(settings)
    return lambda text: encoding.encode(text, allowed_special="all")


def tokenizers_encode(settings: dict[str, str]) -> Callable[[str], Ids]:
    """Hugging Face's tokenizers with the same merges."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(settings["tokenizer_json"])

    def encode(text: str) -> Ids:
        documents = text.split(END)
        prefixed = [documents[0], *(END + document for document in documents[1:])]
        return [index for found in tokenizer.encode_batch_fast(prefixed) for index in found.ids]

    return encode


def first_difference(expected: np.ndarray[Any, Any], chunks: Iterable[Ids]) -> int | None:
    """The index of the first id that differs from ``expected``; None if all are equal."""
    position = 0
    for chunk in chunks:
        found = np.asarray(chunk, dtype=np.int64)
        same = expected[position : position + len(found)]
        if len(same) < len(found) or not np.array_equal(same, found):
            differ = np.flatnonzero(same != found[: len(same)])
            return position + int(differ[0] if len(differ) else len(same))
        position += len(found)
    return None if position == len(expected) else position


def ffbpe_merges(text: Path, vocab_size: int, folder: Path) -> list[tuple[bytes, ...]]:
    """The pairs that ffbpe merges, in order, with lmlab's rule for ties."""
    import ffbpe

    counter = ffbpe.PreTokenizer([END], eot_token=END, pat_str=PATTERN)
    trainer = ffbpe.BpeTrainer([END], tie_break="largest_content")
    trainer.add_words(counter.get_words_from_file(str(text)))
    trainer.train(vocab_size)
    merges = folder / "merges.txt"
    trainer.save_files(str(folder / "vocab.json"), str(merges))
    lines = merges.read_text("utf-8").split("\n")
    pairs = (
        line.rsplit(" => ", 1)[0].split(" ") for line in lines if line
    )  # "left right => count"
    return [tuple(from_printable(side) or b"" for side in pair) for pair in pairs]


class Table:
    """A table of comparisons."""

    def __init__(self, results: ResultsFile) -> None:
        self._results = results
        self.all_equal = True
        results.write_line(
            f"{'library':11} {'what':34} {'compared':>12} {'result':26} {'seconds':>7}"
        )

    def row(
        self, library: str, what: str, compared: int, difference: int | None, seconds: float
    ) -> None:
        """Print a row and record whether it was equal."""
        self.all_equal &= difference is None
        result = "equal" if difference is None else f"DIFFERENT from {difference:,} on"
        self._results.write_line(
            f"{library:11} {what:34} {compared:12,} {result:26} {seconds:7.1f}"
        )


def compare_merges(table: Table, text: Path, vocab_size: int, folder: Path) -> None:
    """Compare the merges of lmlab and ffbpe."""
    started = time.perf_counter()
    merges = train_bpe(text, vocab_size, [END]).merges
    theirs = ffbpe_merges(text, vocab_size, folder)
    both = zip(merges, theirs, strict=False)
    different = (rank for rank, (ours, other) in enumerate(both) if ours != other)
    shorter = None if len(merges) == len(theirs) else min(len(merges), len(theirs))
    table.row("ffbpe", f"merges of {text.name}, {vocab_size:,}", len(merges),
              next(different, shorter), time.perf_counter() - started)  # fmt: skip


def compare_ids(
    table: Table, text: Path, settings: dict[str, str], libraries: list[str], folder: Path
) -> None:
    """Compare lmlab's token file with the ids of each library."""
    out = folder / "ids"
    encode_to(out, [text], Tokenizer.load(settings["gpt2"]), "equality")
    expected = np.memmap(out, dtype="<u2", mode="r")
    makers = {"tiktoken": tiktoken_encode, "tokenizers": tokenizers_encode}
    for library in libraries:
        started = time.perf_counter()
        encode = makers[library](settings)
        difference = first_difference(expected, map(encode, parts(text)))
        table.row(library, f"ids of {text.name}", len(expected), difference,
                  time.perf_counter() - started)  # fmt: skip


def main() -> int:
    """Compare, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True, help="a UTF-8 text")
    parser.add_argument("--gpt2", type=Path, help="folder with vocab.json and merges.txt")
    parser.add_argument("--only", default=",".join(LIBRARIES), help="libraries to compare with")
    parser.add_argument("--keep", type=Path, help="file to save the output in")
    options = parser.parse_args()
    chosen = options.only.split(",")
    results = ResultsFile(options.keep)
    results.write_header(chosen)
    table = Table(results)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "ffbpe" in chosen:
            for vocab_size in (10_000, 32_000):
                compare_merges(table, options.text, vocab_size, folder)
        if options.gpt2:
            settings = prepare(options.gpt2, folder)
            made = folder / f"Unicode {unicodedata.unidata_version}"
            code_points(made)
            libraries = [name for name in chosen if name != "ffbpe"]
            for text in (options.text, made):
                compare_ids(table, text, settings, libraries, folder)
    return 0 if table.all_equal else 1


if __name__ == "__main__":
    sys.exit(main())
