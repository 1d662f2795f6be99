"""GPT-2's byte alphabet: one printable character per byte, to write vocabularies as text."""

from __future__ import annotations

import functools

from lmlab.errors import DataError
from lmlab.tokenizer.vocabulary import BPEVocabulary


def to_printable(value: bytes) -> str:
    """Write bytes as text, one character per byte."""
    table = byte_characters()
    return "".join(table[byte] for byte in value)


def from_printable(text: str) -> bytes | None:
    """Undo :func:`to_printable`; None where a character is not in the alphabet."""
    table = _character_bytes()
    if not set(text) <= table.keys():
        return None
    # All at once: one character at a time takes half a second for a large vocabulary.
    return text.translate({ord(character): byte for character, byte in table.items()}).encode(
        "latin-1"
    )


def printable_ids(vocabulary: BPEVocabulary) -> dict[str, int]:
    """Id of each entry as GPT-2 and Hugging Face write it.

    Special tokens are written as they are, other entries in the byte alphabet.

    Raises:
        DataError: two ids would be written alike, or a special token would be read as bytes.
    """
    specials = {token.encode("utf-8"): token for token in vocabulary.special_tokens}
    found: dict[str, int] = {}
    for index, value in vocabulary.vocab.items():
        text = specials.get(value)
        if text is None:
            text = to_printable(value)
        elif from_printable(text) not in (None, value):
            raise DataError(
                f"special token {text!r}: its characters represent other bytes in this format",
                "choose a name of plain ASCII letters",
            )
        if text in found:
            raise DataError(
                f"ids {found[text]} and {index}: both would be written {text!r}",
                "use format=lmlab",
            )
        found[text] = index
    return found


def printable_merges(vocabulary: BPEVocabulary) -> list[str]:
    """The merges as ``left right``; of a repeated one the first, the only one that counts."""
    return [
        f"{to_printable(left)} {to_printable(right)}"
        for left, right in dict.fromkeys(vocabulary.merges)
    ]


@functools.cache
def byte_characters() -> dict[int, str]:
    """The character of each byte: its own where that is visible, otherwise the next from 256 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    table = {byte: chr(byte) for byte in visible}
    return table | {byte: chr(256 + index) for index, byte in enumerate(hidden)}


@functools.cache
def _character_bytes() -> dict[str, int]:
    return {character: byte for byte, character in byte_characters().items()}
