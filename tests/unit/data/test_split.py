"""Splits of a corpus: text with the hash of its content, and what is read of ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.data.corpus import Corpus, Floor
from lmlab.data.split import TextSplit
from lmlab.errors import TextChangedError
from lmlab.records.text import Text
from lmlab.storage.io import hash_file
from lmlab.tokenizer.factories import byte_level

STORY = "A cat sat.<|endoftext|>A dog ran.<|endoftext|>"


def split_of(folder: Path, text: str = STORY, **options: str) -> TextSplit:
    path = folder / "text.txt"
    path.write_text(text)
    return TextSplit(Text.of(path), **options)


def test_a_text_is_encoded_once_and_its_bytes_are_those_of_its_documents(tmp_path: Path) -> None:
    tokenizer = byte_level(Text(()), tmp_path, "", special_tokens=["<|endoftext|>"])
    split = split_of(tmp_path)
    found = split.encode(tokenizer, tmp_path / "cache", name="train")
    assert tokenizer.decode(found.tokens[:]) == STORY
    assert found.num_tokens == len(found.tokens) == 22
    assert found.text_bytes(tokenizer) == 20
    assert found.evaluated_bytes(tokenizer, [(0, 6)]) == 5
    assert split.encode(tokenizer, tmp_path / "cache", name="train") == found


def test_a_known_hash_is_that_of_the_encoded_text(tmp_path: Path) -> None:
    tokenizer = byte_level(Text(()), tmp_path, "", special_tokens=["<|endoftext|>"])
    known = split_of(tmp_path).hash
    with pytest.raises(TextChangedError):
        split_of(tmp_path, STORY + "x", hash=known).encode(tokenizer, tmp_path / "c", name="x")


def test_the_hash_is_taken_when_it_is_needed_and_once(tmp_path: Path) -> None:
    taken: list[Path] = []

    def hash_of(path: Path) -> str:
        taken.append(path)
        return hash_file(path)

    path = tmp_path / "text.txt"
    path.write_text(STORY)
    split = TextSplit(Text.of(path), hash_of=hash_of)
    assert not taken
    assert split.hash == split.hash == split_of(tmp_path).hash
    assert taken == [path]


def test_a_corpus_of_splits_is_read_like_one_of_files(tmp_path: Path) -> None:
    train, floor = split_of(tmp_path), Floor(1.0, 2, "note")
    other = TextSplit(Text.of(train.text.paths), "given")
    corpus = Corpus.of_splits("mine", train, other, floor)
    assert (corpus.train_hash, corpus.valid_hash) == (train.hash, "given")
    assert corpus.train == corpus.valid == train.text
    assert (corpus.name, corpus.floor) == ("mine", floor)
    assert Corpus("mine", train.text, train.text).train_hash == train.hash
