"""A part of a text is held out by documents, by files, or as its tail."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest
from record_files import json_lines, plain

from lmlab.data.held_out import split
from lmlab.data.sources import TextFiles
from lmlab.data.text_survey import survey
from lmlab.errors import DataError
from lmlab.records.text import Text
from lmlab.tokenizer.text_parts import TextParts
from lmlab.tokenizer.text_runs import TextRuns

END = "<|endoftext|>"


def strings(text: Text) -> list[str]:
    parts = TextParts(text, END.encode(), None)
    return ["".join(run.strings) for run in TextRuns(parts, END.encode())]


def test_a_corpus_that_grows_moves_no_document(tmp_path: Path) -> None:
    path = tmp_path / "text"
    documents = [f"document number {n}" for n in range(600)]
    path.write_bytes(json_lines(documents[:400]))
    before = [set(strings(side)) for side in split(Text.of(path), 0.1)[:2]]
    path.write_bytes(plain(documents[::-1]))
    after = [set(strings(side)) for side in split(Text.of(path), 0.1)[:2]]
    for old, new in zip(before, after, strict=True):
        assert old < new
    assert 20 < len(before[1]) < 60


@pytest.mark.parametrize("compressed", [False, True])
def test_text_without_boundaries_is_split_at_a_line_of_its_tail(
    compressed: bool, tmp_path: Path
) -> None:
    lines = [f"line {n} é\n" for n in range(1000)]
    data = "".join(lines).encode()
    path = tmp_path / "text"
    path.write_bytes(gzip.compress(data) if compressed else data)
    train, valid, how = split(Text.of(path), 0.1)
    kept, held_out = strings(train)[0], strings(valid)[0]
    assert (kept + held_out).encode() == data
    assert kept.endswith("\n") and 0.095 < len(held_out.encode()) / len(data) <= 0.1
    assert "last" in how
    assert survey(train).text_hash != survey(valid).text_hash


def test_a_line_without_an_end_is_cut_between_characters(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("東京" * 500)
    for fraction in (0.1, 0.1003, 0.1006):
        train, valid, _ = split(Text.of(path), fraction)
        assert strings(train)[0] + strings(valid)[0] == "東京" * 500


def test_files_without_boundaries_are_held_out_from_the_end(tmp_path: Path) -> None:
    paths = [tmp_path / str(n) for n in range(3)]
    for path in paths:
        path.write_text("a line\n" * 100)
    train, valid, _ = split(Text.of(paths), 0.5)
    assert [file.path for file in train.files] == paths[:2]
    assert [file.path for file in valid.files] == paths[1:]
    assert train.files[1].stop == valid.files[0].start


def test_files_that_are_documents_are_held_out_whole(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(60)]
    for number, path in enumerate(paths):
        path.write_text(f"text {number % 40} {END}\n")
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(json_lines([f"text {number} {END}" for number in range(80)]))
    text = Text((), documents="file").with_files([*paths, rows])
    train, valid, _ = split(text, 0.3)
    kept, held_out = strings(train), strings(valid)
    everything = [path.read_text() for path in paths] + [f"text {n} {END}" for n in range(80)]
    assert sorted(kept + held_out) == sorted(everything)
    assert not {one.strip() for one in kept} & {one.strip() for one in held_out}
    assert len(held_out) > 20


def files(folder: Path, **settings: object) -> TextFiles:
    return TextFiles(folder / "cache", **settings)


def test_how_a_text_is_held_out_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "corpus.jsonl"
    rows = [f"document {n}" for n in range(500)] + [""] * 3
    path.write_bytes(json_lines(rows))
    with caplog.at_level(logging.INFO):
        corpus = files(tmp_path, train=str(path), valid_fraction=0.05).prepare()
    assert corpus.name == "corpus"
    assert len(strings(corpus.train)) + len(strings(corpus.valid)) == 500
    assert "held out for validation, by the hash of each document" in caplog.text
    assert "data.train: 3 empty documents are left out" in caplog.text


def test_too_few_documents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(json_lines(["one", "two"]))
    with pytest.raises(DataError, match=r"valid_fraction=1e-06: holds out none of 2 documents"):
        files(tmp_path, train=str(path), valid_fraction=1e-6).prepare()


def test_documents_in_both_splits_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train, valid = tmp_path / "train", tmp_path / "valid"
    train.write_bytes(json_lines(["a", "b", "b", "c\n", "d"]))
    valid.write_bytes(plain(["b", "\nc", "e", "e"]))
    files(tmp_path, train=str(train), valid=str(valid)).prepare()
    assert "data.valid: 2 of 4 documents (50 %) are in data.train too" in caplog.text


def test_a_copy_of_the_training_text_is_refused(tmp_path: Path) -> None:
    train, valid = tmp_path / "train", tmp_path / "valid"
    train.write_bytes(json_lines(["a", "b"]))
    valid.write_bytes(plain(["a", "b"]))
    with pytest.raises(DataError, match=r"data\.valid: .* has the content of data\.train"):
        files(tmp_path, train=str(train), valid=str(valid)).prepare()


def test_a_text_without_boundaries_is_remarked_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "text"
    path.write_text("a line\n" * 1000)
    with caplog.at_level(logging.INFO):
        files(tmp_path, train=str(path)).prepare()
    assert "read as one document" in caplog.text
