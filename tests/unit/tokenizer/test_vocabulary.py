"""A vocabulary is checked when it is made."""

from __future__ import annotations

import pytest
from small_vocabulary import BYTES, MERGES, VOCAB, tokenizer

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.vocabulary import BPEVocabulary


def test_the_first_of_repeated_merges_counts() -> None:
    vocab = BYTES | {256: b"ab", 257: b"bc"}
    twice = Tokenizer(vocab, [(b"a", b"b"), (b"b", b"c"), (b"a", b"b")])
    assert twice.encode("abc") == [256, ord("c")]


def test_ids_may_be_in_any_order() -> None:
    shuffled = {(i * 7) % 256: value for i, value in BYTES.items()} | {256: b"ab", 257: b"abc"}
    ours = tokenizer(vocab=shuffled)
    assert ours.encode("abc") == [257]
    assert ours.decode(ours.encode("zabxé")) == "zabxé"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"vocab": {i: v for i, v in VOCAB.items() if i != 7}},
            "expected 0 to 256, but 7 is missing",
        ),
        (
            {"vocab": VOCAB | {65: b"zz"}},
            "1 of the 256 single bytes are missing, the first of them 0x41",
        ),
        ({"merges": [(b"q", b"r")]}, r"merge 0, b'q' \+ b'r': b'qr' is not in the vocabulary"),
        ({"special_tokens": ["<|x|>", ""]}, "special token ''"),
        ({"special_tokens": ["\ud800"]}, "lone surrogate"),
        ({"pattern": "("}, r"pattern='\(': expected a regular expression"),
        ({"pattern": 5}, "pattern=5: expected"),
        (
            {"vocab": {float(i): v for i, v in VOCAB.items()}},
            "vocabulary id 0.0: expected an integer",
        ),
    ],
)
def test_an_inconsistent_vocabulary_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        tokenizer(**changes)


def test_special_tokens_that_have_no_id_are_appended_in_order() -> None:
    vocabulary = BPEVocabulary(VOCAB, MERGES[:1], ["<|y|>", "abc", "<|x|>"])
    assert list(vocabulary.vocab.items())[256:] == [
        (256, b"ab"), (257, b"abc"), (258, b"<|y|>"), (259, b"<|x|>"),
    ]  # fmt: skip
    assert vocabulary.ids.special_ids == {"abc": 257, "<|y|>": 258, "<|x|>": 259}
    assert vocabulary.ids.lengths.tolist() == [1] * 256 + [2, 3, 5, 5]


def test_two_bytes_per_id_hold_65536_ids() -> None:
    entries = {index: b"%d" % index for index in range(256, 1 << 16)}
    assert BPEVocabulary(BYTES | entries, [], []).ids.id_bytes == 2
    assert BPEVocabulary(BYTES | entries, [], ["<|x|>"]).ids.id_bytes == 4
