"""The hash of documents is that of the plain text with markers, and of no other documents."""

from __future__ import annotations

import itertools

import pytest

from lmlab.records.documents import joined
from lmlab.records.text_hash import TextHash
from lmlab.storage.content_hash import FilesHash

END = b"<|endoftext|>"


def of_documents(texts: list[bytes], marker: bytes = END, block: int = 2) -> str:
    found = TextHash()
    found.begin_documents()
    for start in range(0, len(texts), block):
        found.add_documents(joined(texts[start : start + block], marker, 0), marker)
    found.end_documents()
    return found.combined


def of_parts(parts: list[bytes]) -> str:
    found = TextHash()
    for part in parts:
        found.add_part(part)
    found.end_document()
    found.end_documents()
    return found.combined


def test_documents_have_the_hash_of_the_plain_text() -> None:
    texts = [b"one", b"two", b"three"]
    plain = FilesHash()
    plain.update(b"".join(text + END for text in texts))
    plain.end_file()
    for marker, block in itertools.product((END, b"</s>", b""), (1, 2, 3)):
        assert of_documents(texts, marker, block) == plain.combined


def test_documents_that_spell_the_marker_have_a_hash_of_their_own() -> None:
    cases = [[b"a" + END + b"b"], [b"a", b"b"], [b"a" + END, b"b"], [b"a", END + b"b"], [b"ab"]]
    assert len({of_documents(texts) for texts in cases}) == len(cases)


@pytest.mark.parametrize("size", [1, 2, 5, 12, 13, 14, 100])
def test_a_document_in_parts_has_the_hash_of_the_document(size: int) -> None:
    text = b"the <|endof" + END + END[:-1] + b"low" + END + b" end" + END
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    assert of_parts(parts) == of_documents([text])
