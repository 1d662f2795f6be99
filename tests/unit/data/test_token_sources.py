"""Files of ids as the data of a run: splits, ends of documents, and refusals."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import token_forms
from token_forms import END, FORMS, VOCAB_SIZE, documents, sequence

from lmlab.data.corpus import Corpus
from lmlab.data.id_split import IdTokens
from lmlab.data.token_sources import TokenFiles
from lmlab.errors import ConfigError, DataError
from lmlab.records.text import Text
from lmlab.tokenizer.factories import byte_level, ids_only


def prepared(folder: Path, form: str, **options: Any) -> Corpus:
    options = {"vocab_size": VOCAB_SIZE, **options}
    return TokenFiles(folder / "cache", train=str(FORMS[form](folder)), **options).prepare()


def tokens_of(corpus: Corpus, split: str = "train", size: int = VOCAB_SIZE) -> IdTokens:
    tokenizer = ids_only(Text(()), Path(), "", vocab_size=size)
    found = corpus.splits[split].encode(tokenizer, Path(), name=split)
    assert isinstance(found, IdTokens)
    found.check(tokenizer.hash, 16, size)
    return found


def test_every_form_of_the_same_ids_has_the_same_identity(tmp_path: Path) -> None:
    hashes = set()
    for form in FORMS:
        folder = tmp_path / form
        folder.mkdir()
        dtype = {"wide": "uint32"}.get(form)
        corpus = prepared(folder, form, dtype=dtype, end_id=END)
        hashes.add((corpus.train_hash, corpus.valid_hash))
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("form", "options"), [("nanogpt", {"end_id": END}), ("datatrove", {}), ("megatron", {})]
)
def test_a_tail_is_held_out_from_the_end_of_a_document(
    form: str, options: dict[str, Any], tmp_path: Path
) -> None:
    corpus = prepared(tmp_path, form, valid_fraction=0.1, **options)
    train, valid = (tokens_of(corpus, split).tokens[:] for split in ("train", "valid"))
    assert np.array_equal(np.concatenate([train, valid]), sequence())
    ends = np.cumsum([len(ids) for ids in documents()])
    assert len(train) == max(end for end in ends if end <= 0.9 * ends[-1] + 1)


def test_without_known_ends_the_tail_is_cut_anywhere_and_this_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    corpus = prepared(tmp_path, "nanogpt", valid_fraction=0.1)
    total = len(sequence())
    assert tokens_of(corpus, "valid").num_tokens == round(0.1 * total)
    assert "cut anywhere" in caplog.text and "no end of a document is known" in caplog.text


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [("nanogpt", {"end_id": END}, "the end of text 999 stands 36 times, after each document"),
     ("llmc", {"end_id": END}, "stands 36 times, after each document"),
     ("megatron", {}, "40 documents by the index; each ends with id 999"),
     ("nanogpt", {"end_id": 5000, "vocab_size": 6000}, "the end of text 5000 stands nowhere")],
)  # fmt: skip
def test_the_ends_that_are_found_are_told(
    form: str, options: dict[str, Any], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    prepared(tmp_path, form, valid_fraction=0.1, **options)
    expected = int((sequence()[: int(0.9 * len(sequence()))] == END).sum())
    assert said.replace("36", str(expected)) in caplog.text


def test_an_id_outside_the_vocabulary_is_named_with_its_file(tmp_path: Path) -> None:
    corpus = prepared(tmp_path, "nanogpt", vocab_size=900)
    with pytest.raises(DataError) as refused:
        tokens_of(corpus, size=900)
    assert f"data.train={tmp_path / 'train.bin'}: expected ids from 0 to 899" in str(refused.value)
    place = int(np.argmax(sequence()[: tokens_of(corpus).num_tokens]))
    assert f"found {END} as number {place:,} of uint16" in str(refused.value)
    assert f"model.vocab_size={END + 1}" in str(refused.value.help)


def test_bytes_are_those_that_are_given_or_of_the_tokenizer(tmp_path: Path) -> None:
    given = tokens_of(prepared(tmp_path, "nanogpt", bytes_per_token=4.5))
    nothing, tokenizer = tokens_of(prepared(tmp_path, "nanogpt")), ids_only(
        Text(()), Path(), "", vocab_size=VOCAB_SIZE
    )  # fmt: skip
    assert given.text_bytes(tokenizer) == round(4.5 * given.num_tokens)
    assert given.evaluated_bytes(tokenizer, [(0, 11), (30, 11)]) == 90
    assert nothing.text_bytes(tokenizer) == nothing.evaluated_bytes(tokenizer, [(0, 11)]) == 0
    raw = tmp_path / "bytes.bin"
    text = b"A cat sat.\n" * 40
    np.append(np.frombuffer(text, np.uint8), 256).astype(np.uint16).tofile(raw)
    corpus = TokenFiles(tmp_path, train=str(raw), vocab_size=257, valid_fraction=0.5).prepare()
    spelled = byte_level(Text(()), tmp_path, "", special_tokens=["<|endoftext|>"])
    found = corpus.splits["valid"].encode(spelled, tmp_path, name="valid")
    assert found.text_bytes(spelled) == found.num_tokens - 1


@pytest.mark.long
def test_a_pass_over_the_ids_is_remembered_until_a_file_changes(tmp_path: Path) -> None:
    import os
    import time

    path = token_forms.nanogpt(tmp_path)
    source = TokenFiles(tmp_path / "cache", train=str(path), vocab_size=VOCAB_SIZE)
    time.sleep(2.1)  # a file that has just changed could change again within a tick
    first = source.prepare().train_hash
    memos = {memo: os.stat(memo).st_mtime_ns for memo in (tmp_path / "cache").rglob("*.json")}
    assert len(memos) == 2 and source.prepare().train_hash == first
    assert {memo: os.stat(memo).st_mtime_ns for memo in memos} == memos
    sequence()[::-1].astype(np.uint16).tofile(path)
    assert source.prepare().train_hash != first


def test_the_same_ids_as_validation_are_refused(tmp_path: Path) -> None:
    path = token_forms.nanogpt(tmp_path)
    options = {"train": str(path), "vocab_size": VOCAB_SIZE}
    with pytest.raises(DataError, match=r"this file is in data\.train"):
        TokenFiles(tmp_path, valid=str(path), **options).check()  # type: ignore[arg-type]
    other = token_forms.llama(tmp_path)
    with pytest.raises(DataError, match=r"they are those of data\.train"):
        TokenFiles(tmp_path, valid=str(other), **options).prepare()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"valid_fraction": 1.0}, {"bytes_per_token": 0.0}, {"end_id": 1000}]
)
def test_settings_that_are_not_valid_are_refused(options: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"data.{next(iter(options))}="):
        prepared(tmp_path, "nanogpt", **options)
