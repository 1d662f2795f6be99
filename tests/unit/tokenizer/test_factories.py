"""A run's tokenizer is trained once per corpus and settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.data.corpus import Corpus
from lmlab.tokenizer import Tokenizer, factories
from lmlab.tokenizer.factories import bpe, byte_level, saved


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("the cat and the hat and the bat " * 10)
    return path


def test_a_tokenizer_is_trained_once_per_corpus_and_settings(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus("text", [text], [])

    def make(corpus_hash: str = corpus.train_hash, vocab_size: int = 262) -> Tokenizer:
        return bpe(
            [text], tmp_path / "cache", corpus_hash,
            vocab_size=vocab_size, special_tokens=["<|endoftext|>"],
        )  # fmt: skip

    first = make()
    (file,) = (tmp_path / "cache").rglob("tokenizer.json")

    def trained_again(*arguments: object, **options: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(factories, "train_bpe", trained_again)
    assert make().hash == first.hash
    for other in ({"corpus_hash": "other"}, {"vocab_size": 263}):
        with pytest.raises(AssertionError, match="trained again"):
            make(**other)  # type: ignore[arg-type]
    monkeypatch.undo()
    file.write_text(file.read_text()[:50])
    assert make().hash == first.hash, "a damaged one is made again"


def test_byte_level_and_saved_tokenizers_are_built(tmp_path: Path, text: Path) -> None:
    plain = byte_level([text], tmp_path, "h", special_tokens=["<|endoftext|>"])
    assert plain.vocab_size == 257
    assert plain.encode("é<|endoftext|>") == [0xC3, 0xA9, 256]
    plain.save(tmp_path / "kept")
    assert saved([text], tmp_path, "h", path=str(tmp_path / "kept")).hash == plain.hash
