"""The bytes of a text do not depend on the tokenizer that encoded it."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.build.factory import build_model
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.data.batches import validation_windows
from lmlab.data.text_bytes import evaluated_bytes, text_bytes
from lmlab.data.token_file import write_token_file
from lmlab.data.toystories import write_corpus
from lmlab.evaluate import evaluate
from lmlab.nn.transformer import Transformer
from lmlab.runs.load import Loaded
from lmlab.tokenizer import Tokenizer

END = "<|endoftext|>"
BYTES = {byte: bytes([byte]) for byte in range(256)}
# "Once" is one token, and the end of a text is spelled with a merge across its start.
MERGES = [(b"O", b"n"), (b"c", b"e"), (b"On", b"ce"), (b"<", b"|"), (b"\xef", b"\xbb")]
VOCAB = BYTES | {256 + index: left + right for index, (left, right) in enumerate(MERGES)}
TOKENIZERS = {
    "bytes": Tokenizer(BYTES, [], [END]),
    "merges": Tokenizer(VOCAB, MERGES, [END]),
    "no_special": Tokenizer(VOCAB, MERGES, []),
    "other_special": Tokenizer(VOCAB, MERGES, ["<|user|>", "</s>"]),
    "many_special": Tokenizer(VOCAB, MERGES, [END, "<|user|>", "</s>", "Once upon"]),
    "prefix_special": Tokenizer(VOCAB, MERGES, ["<|end", END[:5]]),
    "other_pattern": Tokenizer(VOCAB, MERGES, [END], pattern=r"\w+|\W"),
}
TEXTS = {
    "plain": "Once upon a time",
    "documents": f"Once{END}Once upon a time\n{END}\n<|user|> hi</s>{END}",
    "starts with an end": f"{END}Once",
    "nearly an end": f"<|endoftext<|endoftext|{END}|><|endoftext|",
    "bom and line ends": "\ufeffOnce\r\nupon\r\n",
    "other letters": f"東京 é{END}😀e\u0301",
}


@functools.cache
def model(vocab_size: int) -> Transformer:
    sizes = ["context_length=8", "d_model=16", "num_layers=1", "num_heads=2"]
    overrides = [f"model.{size}" for size in [*sizes, f"vocab_size={vocab_size}"]]
    return build_model(resolve(compose(overrides))).eval()


def by_definition(text: str) -> int:
    return sum(len(document.encode()) for document in text.split(END))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_denominator_of_bits_per_byte_is_the_text(tmp_path: Path, name: str, text: str) -> None:
    """The bytes follow from the reported numbers; they are those of the file."""
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode())
    tokenizer = TOKENIZERS[name]
    found = evaluate(Loaded(model(tokenizer.vocab_size), tokenizer), path)
    num_bytes = found.loss * found.num_tokens / math.log(2) / found.bits_per_byte
    assert num_bytes == pytest.approx(by_definition(text), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([END, END[:7], END[7:], "Once", "</s>", "<|user|>", "é"])))
def test_every_tokenizer_counts_the_same_bytes(parts: list[str]) -> None:
    text = "".join(parts)
    for tokenizer in TOKENIZERS.values():
        assert text_bytes(tokenizer, np.array(tokenizer.encode(text), int)) == by_definition(text)


def test_an_end_that_two_parts_share_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ab" + END + "c" + END + END + "<|endof"
    tokenizer = TOKENIZERS["no_special"]
    tokens = np.array(tokenizer.encode(text))
    for part in range(1, 30):
        monkeypatch.setattr("lmlab.data.text_bytes._PART", part)
        assert text_bytes(tokenizer, tokens) == by_definition(text)


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
    written = write_token_file(
        [tmp_path / "text.txt"], TOKENIZERS[name], tmp_path / "a.bin", "hash"
    )
    assert written.num_text_bytes == by_definition(text)


def test_the_floor_of_a_corpus_has_the_same_denominator(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, num_train=2, num_valid=3, seed=0)
    assert corpus.floor is not None
    text = corpus.valid_paths[0].read_text()
    for tokenizer in TOKENIZERS.values():
        tokens = np.array(tokenizer.encode(text))
        assert text_bytes(tokenizer, tokens) == corpus.floor.text_bytes
