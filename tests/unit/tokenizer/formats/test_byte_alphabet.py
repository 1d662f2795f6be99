"""GPT-2's byte alphabet, as Hugging Face's library has it."""

from __future__ import annotations

from tokenizers import pre_tokenizers

from lmlab.tokenizer.formats.byte_alphabet import (
    byte_characters,
    from_printable,
    printable_merges,
    to_printable,
)
from lmlab.tokenizer.vocabulary import BPEVocabulary


def test_the_alphabet_is_that_of_hugging_face() -> None:
    alphabet = byte_characters()
    assert set(alphabet.values()) == set(pre_tokenizers.ByteLevel.alphabet())
    # From GPT-2's own table.
    assert [alphabet[byte] for byte in (0x20, 0x0A, 0x41, 0x7F, 0xAD, 0xFF)] == list("ĠĊAġŃÿ")


def test_every_byte_comes_back() -> None:
    data = bytes(range(256)) + bytes(reversed(range(256)))
    assert from_printable(to_printable(data)) == data
    assert to_printable("é ".encode()) == "Ã©Ġ"


def test_characters_outside_the_alphabet_are_no_bytes() -> None:
    for text in (" ", "a\n", "\u00ad", "東", "\u0144"):
        assert from_printable(text) is None


def test_a_repeated_merge_is_written_where_it_is_first() -> None:
    vocab = {byte: bytes([byte]) for byte in range(256)} | {256: b"ab", 257: b" a"}
    merges = [(b"a", b"b"), (b" ", b"a"), (b"a", b"b")]
    assert printable_merges(BPEVocabulary(vocab, merges, [])) == ["a b", "Ġ a"]
