from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lmlab.data.corpus import Corpus
from lmlab.data.token_file import TokenFile, encode_corpus
from lmlab.errors import DataError, DiskError
from lmlab.tokenizer import Tokenizer

END = "<|endoftext|>"
BYTES = {i: bytes([i]) for i in range(256)}
TEXT = f"the naïve cat 東京{END}\r\nsat {END}on the mat"


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer(BYTES | {256: b"th", 257: b"the"}, [(b"t", b"h"), (b"th", b"e")], [END])


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


def hash_of(*texts: Path) -> str:
    return Corpus("text", list(texts), []).train_hash


def encode(text: Path, tokenizer: Tokenizer, cache: Path) -> TokenFile:
    return encode_corpus([text], tokenizer, cache, name="train", text_hash=hash_of(text))


def test_tokens_and_counts_match_the_text(text: Path, tokenizer: Tokenizer, tmp_path) -> None:
    found = encode(text, tokenizer, tmp_path / "cache")
    assert list(found.tokens) == tokenizer.encode(TEXT)
    assert found.num_tokens == len(tokenizer.encode(TEXT))
    assert found.num_text_bytes == len(TEXT.replace(END, "").encode())
    assert (found.dtype, found.vocab_size) == ("uint16", 259)
    assert found.path.stat().st_size == 2 * found.num_tokens
    assert isinstance(found.tokens, np.memmap)
    assert TokenFile.open(found.path) == found


def test_several_files_are_encoded_in_order_with_an_end_between_them(
    text: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    found = encode_corpus(
        [text, text], tokenizer, tmp_path, name="x", text_hash=hash_of(text, text)
    )
    assert list(found.tokens) == tokenizer.encode(TEXT + END + TEXT)


def test_large_vocabularies_use_four_bytes_per_id(text: Path, tmp_path: Path) -> None:
    entries = BYTES | {i: b"%d" % i * 3 for i in range(256, 65_536)}
    just_fits = encode(text, Tokenizer(entries, []), tmp_path / "a")
    assert just_fits.dtype == "uint16"
    large = Tokenizer(entries, [], [END])
    found = encode(text, large, tmp_path / "b")
    assert found.dtype == "uint32"
    assert list(found.tokens) == large.encode(TEXT)
    assert int(found.tokens.max()) == 65_536


def test_a_text_is_encoded_once_per_tokenizer(text: Path, tokenizer: Tokenizer, tmp_path) -> None:
    first = encode(text, tokenizer, tmp_path / "cache")
    written = first.path.stat().st_mtime_ns
    assert encode(text, tokenizer, tmp_path / "cache").path.stat().st_mtime_ns == written
    other, longer = Tokenizer(BYTES, [], [END]), tmp_path / "longer.txt"
    longer.write_bytes(2 * TEXT.encode())
    paths = {
        first.path,
        encode(text, other, tmp_path / "cache").path,
        encode(longer, tokenizer, tmp_path / "cache").path,
    }
    assert len(paths) == 3


@pytest.mark.parametrize("name", ["train.bin", "train.json"])
def test_a_damaged_token_file_is_refused_and_encoded_again(
    text: Path, tokenizer: Tokenizer, tmp_path: Path, name: str
) -> None:
    found = encode(text, tokenizer, tmp_path)
    path = found.path.with_name(name)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"train\.bin"):
        TokenFile.open(found.path)
    assert list(encode(text, tokenizer, tmp_path).tokens) == tokenizer.encode(TEXT)


@pytest.mark.parametrize(
    "change", [{"dtype": "junk"}, {"num_tokens": None}, {"num_tokens": 7}, {"other": 1}]
)
def test_an_invalid_sidecar_is_refused_and_written_again(
    text: Path, tokenizer: Tokenizer, tmp_path: Path, change: dict[str, object]
) -> None:
    found = encode(text, tokenizer, tmp_path)
    sidecar = found.path.with_suffix(".json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))
    with pytest.raises(DataError, match=r"train\.bin"):
        TokenFile.open(found.path)
    assert encode(text, tokenizer, tmp_path) == found


def test_text_that_is_not_utf8_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_bytes(b"abc \xff")
    with pytest.raises(DataError, match=r"odd\.txt: expected UTF-8 text"):
        encode(tmp_path / "odd.txt", tokenizer, tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.bin")) == []


def test_another_format_version_is_refused(
    text: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    found = encode(text, tokenizer, tmp_path)
    sidecar = found.path.with_suffix(".json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"format_version": 99}))
    with pytest.raises(DataError, match="format version 99, expected 2"):
        TokenFile.open(found.path)


def test_a_token_file_that_cannot_serve_a_run_is_refused(
    text: Path, tokenizer: Tokenizer, tmp_path
) -> None:
    found = encode(text, tokenizer, tmp_path)
    count = found.num_tokens
    found.check(tokenizer.hash, count - 1, 259)
    with pytest.raises(
        DataError,
        match=rf"context_length={count}: expected at least {count + 1} tokens .*, found {count}",
    ):
        found.check(tokenizer.hash, count, 259)
    with pytest.raises(DataError, match="encoded by another tokenizer"):
        found.check("0" * 64, 4, 259)
    with pytest.raises(
        DataError, match=r"expected ids from 0 to 257 \(model\.vocab_size=258\), found 258"
    ):
        found.check(tokenizer.hash, 4, 258)


def test_an_empty_token_file_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    found = encode(tmp_path / "empty.txt", tokenizer, tmp_path)
    assert len(found.tokens) == 0
    with pytest.raises(DataError, match="the token file is empty"):
        found.check(tokenizer.hash, 4, 259)


def test_a_full_disk_leaves_no_partial_file(
    text: Path, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lmlab.data.corpus_encoding.os.fsync", full)
    with pytest.raises(DiskError, match="disk is full"):
        encode(text, tokenizer, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
