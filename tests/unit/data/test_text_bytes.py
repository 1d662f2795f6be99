"""The bytes of a text do not depend on the tokenizer that encoded it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers_of_one_text import END, TOKENIZERS, bytes_of_text

from lmlab.data.batches import validation_windows
from lmlab.data.text_bytes import evaluated_bytes, text_bytes
from lmlab.data.token_file import write_token_file
from lmlab.data.toystories import write_corpus


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([END, END[:7], END[7:], "Once", "</s>", "<|user|>", "é"])))
def test_every_tokenizer_counts_the_same_bytes(parts: list[str]) -> None:
    text = "".join(parts)
    for tokenizer in TOKENIZERS.values():
        assert text_bytes(tokenizer, np.array(tokenizer.encode(text), int)) == bytes_of_text(text)


def test_an_end_that_two_parts_share_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ab" + END + "c" + END + END + "<|endof"
    tokenizer = TOKENIZERS["no_special"]
    tokens = np.array(tokenizer.encode(text))
    for part in range(1, 30):
        monkeypatch.setattr("lmlab.data.text_bytes._PART", part)
        assert text_bytes(tokenizer, tokens) == bytes_of_text(text)


def test_a_part_of_a_text_has_the_bytes_of_its_predicted_tokens() -> None:
    tokenizer = TOKENIZERS["many_special"]
    tokens = np.array(tokenizer.encode(f"Once{END}Once upon<|user|>ab"))
    windows = validation_windows(tokens, context_length=2, max_tokens=2)
    assert windows == [(0, 3)]  # predicts the end, which has no bytes, and "Once upon"
    assert evaluated_bytes(tokenizer, tokens, windows) == len("Once upon")
    full = validation_windows(tokens, context_length=2, max_tokens=None)
    assert evaluated_bytes(tokenizer, tokens, full) == len("OnceOnce upon<|user|>ab")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_token_files_record_the_same_bytes(tmp_path: Path, name: str) -> None:
    text = f"Once{END}</s><|user|>Once upon"
    (tmp_path / "text.txt").write_text(text)
    written = write_token_file([tmp_path / "text.txt"], TOKENIZERS[name], tmp_path / "a.bin")
    assert written.num_text_bytes == bytes_of_text(text)


def test_the_floor_of_a_corpus_has_the_same_denominator(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, num_train=2, num_valid=3, seed=0)
    assert corpus.floor is not None
    text = corpus.valid.paths[0].read_text()
    for tokenizer in TOKENIZERS.values():
        tokens = np.array(tokenizer.encode(text))
        assert text_bytes(tokenizer, tokens) == corpus.floor.text_bytes
