"""Saved tokenizers come back unchanged; damaged files are rejected by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from small_vocabulary import BYTES, MERGES, tokenizer

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer


def test_a_saved_tokenizer_loads_unchanged(tmp_path: Path) -> None:
    ours = tokenizer(pattern=r"\w+|\W")
    ours.save(tmp_path)
    back = Tokenizer.load(tmp_path)
    assert back.hash == ours.hash
    assert (back.vocab, back.merges) == (ours.vocab, ours.merges)
    assert (back.special_tokens, back.pattern) == (ours.special_tokens, ours.pattern)
    text = "abc ab<|x|>cab"
    assert back.encode(text) == ours.encode(text)


def test_loading_and_encoding_a_line_imports_little(tmp_path: Path) -> None:
    tokenizer().save(tmp_path)
    program = (
        "import sys\nfrom lmlab.tokenizer import Tokenizer\n"
        "print(Tokenizer.load(sys.argv[1]).encode('abc'))\n"
        "print(sorted({'numpy', 'numba', 'llvmlite', 'tqdm', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[257]", "[]"]


def test_the_hash_depends_on_everything_that_changes_ids() -> None:
    swapped = BYTES | {256: b"abc", 257: b"ab"}
    hashes = {
        tokenizer().hash,
        tokenizer(merges=MERGES[:1]).hash,
        tokenizer(special_tokens=["<|y|>"]).hash,
        tokenizer(special_tokens=None).hash,
        tokenizer(pattern=r"\w+|\W").hash,
        tokenizer(vocab=swapped).hash,
    }
    assert len(hashes) == 6
    assert tokenizer().hash == tokenizer().hash


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"vocab_size": 259', '"vocab_size": 258'),
        lambda text: text.replace("6162 63", "6162"),
        lambda text: text.replace('"format_version": 1', '"format_version": 2'),
        lambda text: text.replace('"pattern"', '"patern"'),
        lambda text: text.replace('"pattern": "', '"pattern": "('),
        lambda text: text.replace("<|x|>", "<|y|>"),
        lambda text: text.replace("<|x|>", "\\ud800"),
        lambda text: text.replace('"special_tokens": [', '"special_tokens": ["", '),
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_file_is_reported_with_its_path(tmp_path: Path, damage) -> None:
    tokenizer().save(tmp_path)
    path = tmp_path / "tokenizer.json"
    assert damage(path.read_text()) != path.read_text()
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_a_missing_tokenizer_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no saved tokenizer"):
        Tokenizer.load(tmp_path)
