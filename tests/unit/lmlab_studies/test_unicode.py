"""Byte-level tokenizers reproduce any text, and decode bytes that are not UTF-8."""

from __future__ import annotations

from lmlab.tokenizer import Tokenizer
from lmlab_studies.unicode import INVALID, SAMPLES, unicode_text

BYTES = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], ["<|endoftext|>"])


def test_every_text_survives_the_round_trip() -> None:
    demo = unicode_text(config=None, tokenizer=BYTES)
    by_heading = {section.heading: section for section in demo.sections}
    round_trips = by_heading["Round trip"].rows
    assert len(round_trips) == len(SAMPLES)
    assert {row[-1] for row in round_trips} == {"yes"}
    broken = by_heading["Bytes that are not UTF-8"].rows
    assert len(broken) == len(INVALID)
    assert {row[-1] for row in broken} == {"the same"}
    lengths = {row[0]: row for row in by_heading["Encodings"].rows}
    assert lengths["emoji"][3:6] == ["8", "8", "8"]
    assert lengths["plain"][3:6] == ["5", "10", "20"]
    assert lengths["plain"][6] == "0 / 5 / 15"
