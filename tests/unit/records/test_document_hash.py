"""Documents have one hash in any parts, and belong to one side of a split."""

from __future__ import annotations

import random

from lmlab.records.document_hash import DocumentHash, HeldOut, document_hash


def test_parts_have_the_hash_of_the_whole() -> None:
    chance = random.Random(0)
    for _ in range(500):
        text = "".join(chance.choices(["a", "é", " ", "\n", "\t\r", "\u00a0"], k=20)).encode()
        found, place = DocumentHash(), 0
        while place < len(text):
            size = chance.randrange(1, 6)
            found.update(text[place : place + size])
            place += size
        assert found.digest() == document_hash(text)
        assert found.is_empty == (not text.strip())


def test_white_space_at_the_ends_does_not_make_another_document() -> None:
    assert document_hash(b"\n text\r\n") == document_hash(b"text") != document_hash(b"tex t")


def test_each_document_is_on_one_side() -> None:
    sides = [HeldOut(0.25, is_held_out) for is_held_out in (False, True)]
    hashes = [document_hash(str(number).encode()) for number in range(4000)]
    assert all(sides[0].has(one) != sides[1].has(one) for one in hashes)
    assert 0.22 < sum(map(sides[1].has, hashes)) / len(hashes) < 0.28
    assert all(sides[1].has(one) for one in hashes if HeldOut(0.1, True).has(one))
