"""Counting words does not depend on threads or pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
from bpe_oracle import TEXT, write

from lmlab.errors import DataError
from lmlab.tokenizer import (
    pretoken_counting,
    reference_training,
    word_counter,
)
from lmlab.tokenizer.kernels import word_state
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("part_bytes", [1, 2, 7, 64, 1000])
def test_counts_depend_on_neither_threads_nor_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, part_bytes: int
) -> None:
    specials = ["<|x|>", "<|x|><|x|>", "a b"]
    long = (
        "x" * 700 + " Donaudampfschifffahrtsgesellschaft " * 3 + "東" * 300 + "<|x|><|x" + " " * 99
    )
    text = (TEXT + long + "<|x|><|x|><|x|>aa b<|x" + TEXT) * 2
    paths = [write(tmp_path / "1.txt", text), write(tmp_path / "2.txt", ""),
             write(tmp_path / "3.txt", "b" + long)]  # fmt: skip
    for name in ("_INITIAL_SHORT", "_INITIAL_LONG"):  # must hold one batch of new words
        monkeypatch.setattr(word_counter, name, 2 * word_state.BATCH)
    monkeypatch.setattr(word_counter, "_INITIAL_TEXT", 1)
    found = pretoken_counting.count_words(
        paths, specials, GPT2_PATTERN, threads=threads, part_bytes=part_bytes
    )
    assert found is not None
    assert len(found) == len(dict(found))  # no word twice
    assert dict(found) == dict(reference_training.count_words(paths, specials, GPT2_PATTERN))


def test_the_offset_of_malformed_utf8_is_reported(tmp_path: Path) -> None:
    good = write(tmp_path / "good.txt", TEXT)
    (tmp_path / "bad.txt").write_bytes(b"fine " * 30_000 + b"\xe6\x9d" + b" fine" * 30_000)
    for threads in (1, 2):
        with pytest.raises(
            DataError, match=r"bad\.txt: expected UTF-8 text, malformed at byte offset 150000\n"
        ):
            pretoken_counting.count_words(
                [good, tmp_path / "bad.txt"], [], GPT2_PATTERN, threads=threads, part_bytes=4096
            )
