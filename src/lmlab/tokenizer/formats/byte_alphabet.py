"""GPT-2's printable character for each byte, in which vocabularies are written as text."""

from __future__ import annotations

import functools


def to_printable(value: bytes) -> str:
    """Bytes as text, one character each."""
    table = byte_characters()
    return "".join(table[byte] for byte in value)


def from_printable(text: str) -> bytes | None:
    """The bytes of such a text; None where a character of it stands for no byte."""
    table = _character_bytes()
    if not set(text) <= table.keys():
        return None
    # All at once, for a character at a time takes half a second for a whole vocabulary.
    return text.translate({ord(character): byte for character, byte in table.items()}).encode(
        "latin-1"
    )


@functools.cache
def byte_characters() -> dict[int, str]:
    """The character of each byte: itself, or one from 256 upwards in order."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    table = {byte: chr(byte) for byte in visible}
    return table | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


@functools.cache
def _character_bytes() -> dict[str, int]:
    return {character: byte for byte, character in byte_characters().items()}
