"""Ids of documents are those of each of them followed by an end, whatever they spell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from record_files import DOCUMENTS, forms, json_lines, parquet_by_pyarrow

from lmlab.data.corpus_encoding import encode_to
from lmlab.errors import DataError
from lmlab.records.document_hash import HeldOut
from lmlab.records.text import Text
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.adaptive_encoder import AdaptiveEncoder

END = "<|endoftext|>"
MERGES = [(b"t", b"h"), (b"th", b"e"), (b" ", b"the"), (b"l", b"o"), (b"lo", b"w"), (b"<", b"|")]
ENTRIES = dict(enumerate([bytes([n]) for n in range(256)] + [a + b for a, b in MERGES]))
SPELLED = [*DOCUMENTS, f"a {END} spelled", "<|pad|> inside", END, f"{END}{END}", "", "the low"]


def make(specials: list[str], fast: bool) -> Tokenizer:
    tokenizer = Tokenizer(ENTRIES, MERGES, specials)
    if fast:
        assert tokenizer.encoder.fast(1 << 30) is not None
    return tokenizer


def ids(text: Text, tokenizer: Tokenizer, folder: Path) -> list[int]:
    found = encode_to(folder / "ids.bin", text, tokenizer)
    tokens = np.fromfile(folder / "ids.bin", dtype="<u2").tolist()
    assert found.num_tokens == len(tokens)
    return tokens


def slow(documents: list[str], tokenizer: Tokenizer) -> list[int]:
    """Each document on its own, by the reference without special tokens, then an end."""
    plain = AdaptiveEncoder(tokenizer.ids._replace(special_ids={})).reference
    end = tokenizer.end_of_text_id
    assert end is not None
    return [one for text in documents if text for one in [*plain.encode(text), end]]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("specials", [[END], ["</s>"], [END, "<|pad|>"]])
@pytest.mark.parametrize("spelled", [False, True])
def test_ids_are_those_of_each_document_with_an_end(
    fast: bool, specials: list[str], spelled: bool, tmp_path: Path
) -> None:
    tokenizer = make(specials, fast)
    documents = SPELLED if spelled else DOCUMENTS
    expected = slow(documents, tokenizer)
    for name, data in forms(documents, tmp_path).items():
        if name.startswith("plain"):
            continue
        path = tmp_path / "text"
        path.write_bytes(data)
        text = Text.of(path)
        assert ids(text, tokenizer, tmp_path) == expected, name
        found = encode_to(tmp_path / "ids.bin", text, tokenizer)
        assert found.num_text_bytes == sum(len(text.encode()) for text in documents)


@pytest.mark.parametrize("fast", [True, False])
def test_plain_text_with_ends_has_the_ids_of_records(fast: bool, tmp_path: Path) -> None:
    tokenizer = make([END], fast)
    expected = slow(DOCUMENTS, tokenizer)
    for name, data in forms(DOCUMENTS, tmp_path).items():
        path = tmp_path / "text"
        path.write_bytes(data)
        assert ids(Text.of(path), tokenizer, tmp_path) == expected, name


@pytest.mark.parametrize("fast", [True, False])
def test_rules_of_documents(fast: bool, tmp_path: Path) -> None:
    tokenizer = make([END], fast)
    first, second = f"the low\nline {END}\n\n\nanother\n", "the end"
    paths = [tmp_path / "1", tmp_path / "2"]
    for path, text in zip(paths, (first, second), strict=True):
        path.write_text(text, newline="")
    cases = {
        "line": ["the low", f"line {END}", "another", "the end"],
        "blank_line": [f"the low\nline {END}", "another", "the end"],
        "file": [first, second],
    }
    for rule, documents in cases.items():
        text = Text((), documents=rule).with_files(paths)
        assert ids(text, tokenizer, tmp_path) == slow(documents, tokenizer), rule


@pytest.mark.parametrize("fast", [True, False])
def test_special_tokens_in_plain_text_stay_special_in_a_split(fast: bool, tmp_path: Path) -> None:
    tokenizer = make([END, "<|pad|>"], fast)
    path = tmp_path / "text"
    path.write_text(f"one <|pad|> more{END}two{END}")
    text = Text(Text.of(path).files, held_out=HeldOut(1.0, True))
    assert ids(text, tokenizer, tmp_path) == tokenizer.encode(path.read_text())


@pytest.mark.parametrize("fast", [True, False])
def test_malformed_text_in_parquet_is_reported_with_its_rows(fast: bool, tmp_path: Path) -> None:
    data = parquet_by_pyarrow([*DOCUMENTS, "mark here"], compression="none")
    assert data.count(b"mark here") >= 1
    path = tmp_path / "text"
    path.write_bytes(data.replace(b"mark here", b"mark\xffhere"))
    with pytest.raises(DataError, match=r"text: rows 1 to 8: expected UTF-8 text"):
        ids(Text.of(path), make([END], fast), tmp_path)


def test_a_document_may_be_longer_than_a_part(tmp_path: Path) -> None:
    tokenizer = make([END], fast=True)
    documents = ["the low " * 700_000, "the"]
    path = tmp_path / "text"
    path.write_bytes(json_lines(documents))
    whole = AdaptiveEncoder(tokenizer.ids._replace(special_ids={}))
    expected = [*whole.encode(documents[0]), tokenizer.end_of_text_id]
    expected += [*whole.encode("the"), tokenizer.end_of_text_id]
    assert ids(Text.of(path), tokenizer, tmp_path) == expected


@pytest.mark.parametrize("fast", [True, False])
def test_a_special_token_that_reaches_into_the_end_does_not_hide_it(
    fast: bool, tmp_path: Path
) -> None:
    # Ten bytes of one document are those that the end of the other lacks.
    tokenizer = make([END, "w<|", "<|ten-by|>"], fast)
    documents = ["the low", "a <|ten-by|> b"]
    (tmp_path / "text").write_bytes(parquet_by_pyarrow(documents))
    text = Text.of(tmp_path / "text")
    assert ids(text, tokenizer, tmp_path) == slow(documents, tokenizer)
