"""Round trip of any text through a byte-level tokenizer."""

from __future__ import annotations

import unicodedata
from typing import Any

from lmlab.demos import Demo, Section
from lmlab.tokenizer import Tokenizer

SAMPLES = {
    "plain": "hello",
    "NUL": "a\0b",
    "line ends": "one\r\ntwo\rthree\n",
    "accents, composed": unicodedata.normalize("NFC", "café naïve"),
    "accents, combining": unicodedata.normalize("NFD", "café naïve"),
    "Japanese": "牛乳を飲む",
    "Arabic": "مرحبا بالعالم",
    "Devanagari": "नमस्ते",
    "emoji": "🙃🎉",
    "family of joined emoji": "👩\u200d👩\u200d👧\u200d👦",
    "flag": "🇨🇭",
    "beyond the first plane": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𓀀",
    "byte order mark": "\ufeffstart",
    "unassigned": "\U000e0fff",
    "empty": "",
}
INVALID = {
    "lone continuation byte": b"a\x80b",
    "start byte alone": b"\xe7\x89",
    "overlong slash": b"\xc0\xaf",
    "surrogate half": b"\xed\xa0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "bytes that never occur": b"\xfe\xff",
    "cut in the middle": "牛".encode()[:2],
}


def unicode_text(*, config: Any, tokenizer: Tokenizer | None = None) -> Demo:
    """Encode texts, send them through a tokenizer and back, and decode bytes that are not UTF-8.

    Args:
        config: the configuration, whose tokenizer is used if none is given.
        tokenizer: the tokenizer of the round trip.
    """
    if tokenizer is None:
        from lmlab.build.run_data import prepare_data
        from lmlab.build.run_spec import resolve

        tokenizer = prepare_data(resolve(config).data).tokenizer
    lengths = [_lengths(name, text) for name, text in SAMPLES.items()]
    round_trips = [_round_trip(name, text, tokenizer) for name, text in SAMPLES.items()]
    broken = [_decode(name, data, tokenizer) for name, data in INVALID.items()]
    same = sum(row[-1] == "yes" for row in round_trips)
    return Demo(
        title="unicode",
        question="Does every text survive the round trip through the tokenizer?",
        sections=[
            Section("Encodings", ["Bytes of each text. UTF-8 is shortest for most texts, keeps "
                "ASCII unchanged, and has no zero bytes except NUL itself; UTF-16 and UTF-32 have "
                "many."],
                ["text", "characters", "code points", "UTF-8", "UTF-16", "UTF-32",
                 "zero bytes in UTF-8 / 16 / 32"], lengths),
            Section("Round trip",
                [f"{same} of {len(round_trips)} texts are identical byte for byte."],
                ["text", "UTF-8 bytes", "tokens", "bytes per token", "same"], round_trips),
            Section("Bytes that are not UTF-8", ["Ids may decode to bytes that are not UTF-8, "
                "for example early in training. Decoding replaces them by U+FFFD and never fails."],
                ["case", "bytes", "decoded", "as Python decodes them"], broken),
            Section("One byte at a time", [_one_at_a_time()]),
        ],
        limits=["A correct round trip does not mean that a model handles a script well: a script "
                "with few merges costs many tokens."],
    )  # fmt: skip


def _lengths(name: str, text: str) -> list[str]:
    encoded = [text.encode(kind) for kind in ("utf-8", "utf-16-le", "utf-32-le")]
    points = " ".join(f"U+{ord(character):04X}" for character in text[:4])
    return [
        name,
        str(len(text)),
        points + (" ..." if len(text) > 4 else ""),
        *(str(len(data)) for data in encoded),
        " / ".join(str(data.count(0)) for data in encoded),
    ]


def _round_trip(name: str, text: str, tokenizer: Tokenizer) -> list[str]:
    data, ids = text.encode("utf-8"), tokenizer.encode(text)
    back = tokenizer.decode(ids).encode("utf-8")
    ratio = f"{len(data) / len(ids):.2f}" if ids else ""
    return [name, str(len(data)), str(len(ids)), ratio, "yes" if back == data else "NO"]


def _decode(name: str, data: bytes, tokenizer: Tokenizer) -> list[str]:
    ids = [tokenizer.byte_ids[byte] for byte in data]
    decoded = tokenizer.decode(ids)
    expected = data.decode("utf-8", errors="replace")
    return [name, data.hex(" "), _printable(decoded), "the same" if decoded == expected else "NO"]


def _printable(text: str) -> str:
    return " ".join(c if c.isprintable() and c != "\ufffd" else f"U+{ord(c):04X}" for c in text)


def _one_at_a_time() -> str:
    data = "hello! こんにちは!".encode()
    try:
        bytes(data).decode("utf-8")
        "".join(bytes([byte]).decode("utf-8") for byte in data)
    except UnicodeDecodeError as error:
        return (
            f"Decoding UTF-8 byte by byte fails at the first multi-byte character "
            f"(0x{error.object[0]:02x}: {error.reason}): a character is decoded from all of its "
            "bytes together, so generation must buffer bytes until a character is complete."
        )
    raise AssertionError("multi-byte characters were decoded byte by byte")
