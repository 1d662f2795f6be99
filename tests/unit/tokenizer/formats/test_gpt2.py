"""GPT-2's files are read exactly, or rejected by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.formats.byte_alphabet import to_printable


def test_gpt2_files_are_read(tmp_path: Path) -> None:
    printable = {i: chr(i) for i in [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]}
    hidden = [i for i in range(256) if i not in printable]
    printable |= {byte: chr(256 + n) for n, byte in enumerate(hidden)}
    vocab = {printable[i]: i for i in range(256)} | {"Ġa": 256, "<|endoftext|>": 257}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nĠ a\n", encoding="utf-8")
    ours = Tokenizer.load(tmp_path)
    assert ours.encode(" a\n<|endoftext|>") == [256, 10, 257]
    assert ours.decode([256, 10]) == " a\n"
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(DataError, match=r"merges\.txt cannot be read"):
        Tokenizer.load(tmp_path)


GPT2_ENTRIES = [*map(to_printable, map(bytes, zip(range(256), strict=True))), "ab", "bc"]


GPT2_IDS = {text: index for index, text in enumerate(GPT2_ENTRIES)}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_last_of_repeated_merges_counts_in_gpt2_files(tmp_path: Path, line_end: str) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps(GPT2_IDS))
    lines = ["#version: 0.2", "a b", "b c", "a b", ""]
    (tmp_path / "merges.txt").write_bytes(line_end.join(lines).encode())
    assert Tokenizer.load(tmp_path).encode("abc") == [ord("a"), 257]


def odd_ids(change: Callable[[int], object]) -> str:
    return json.dumps({text: change(index) for text, index in GPT2_IDS.items()})


@pytest.mark.parametrize(
    "vocab",
    [
        "5", "null", '"abc"', "[]", "[" * 100_000, "{" , odd_ids(str), odd_ids(float),
        odd_ids(lambda index: index + 0.5), odd_ids(lambda index: None),
        odd_ids(lambda index: [index]), odd_ids(lambda index: str(index) if index % 2 else index),
        odd_ids(lambda index: index == 1 or index), odd_ids(lambda index: index - 1),
        odd_ids(lambda index: 10**30 * index),
    ],
)  # fmt: skip
def test_damaged_gpt2_files_are_reported_with_their_path(tmp_path: Path, vocab: str) -> None:
    (tmp_path / "merges.txt").write_text("a b\n")
    (tmp_path / "vocab.json").write_text(vocab)
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("listed", ["[1]", "5", '{"a": [[1]]}', '{"a": {"x": 1}}'])
def test_damaged_special_tokens_are_reported_with_their_path(tmp_path: Path, listed: str) -> None:
    (tmp_path / "merges.txt").write_text("a b\n")
    (tmp_path / "vocab.json").write_text(json.dumps(GPT2_IDS))
    (tmp_path / "special_tokens_map.json").write_text(listed)
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        Tokenizer.load(tmp_path)
