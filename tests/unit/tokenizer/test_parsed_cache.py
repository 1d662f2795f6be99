"""A cached tokenizer equals the parsed one, even if the cache is damaged or missing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, parsed_cache, serialization
from lmlab.tokenizer.convert import write
from lmlab.tokenizer.formats.huggingface import to_hf

TEXT = "abab cab<|x|>bad <|y|> caé\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(parsed_cache, "_WORTH_KEEPING", 300)
    return tmp_path / "cache"


def tokenizer(count: int = 120, **changes: Any) -> Tokenizer:
    """Merges of random pairs of entries, including pairs that are not valid UTF-8."""
    draw = random.Random(count)
    entries = [bytes([byte]) for byte in range(256)]
    merges: list[tuple[bytes, bytes]] = []
    while len(merges) < count:
        left, right = draw.choice(entries), draw.choice([b"a", b"b", b"c", b"\xc3", *entries])
        if left + right not in entries:
            merges.append((left, right))
            entries.append(left + right)
    entries += [b"<|x|>", b"<|y|>"]
    options = {"merges": merges, "special_tokens": ["<|y|>", "<|x|>"], **changes}
    return Tokenizer(dict(enumerate(entries)), **options)


def kept(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.tokenizer"))


def assert_alike(left: Tokenizer, right: Tokenizer) -> None:
    assert left.encoder.reference.encode(TEXT) == right.encoder.reference.encode(TEXT)
    assert left.hash == right.hash
    assert (left.vocab, left.merges) == (right.vocab, right.merges)
    assert (left.special_tokens, left.pattern) == (right.special_tokens, right.pattern)
    assert (left.vocab_size, left.byte_ids) == (right.vocab_size, right.byte_ids)
    assert left.token_byte_lengths.tolist() == right.token_byte_lengths.tolist()
    assert left.decode(left.encode(TEXT)) == right.decode(right.encode(TEXT)) == TEXT
    assert left.vocabulary == right.vocabulary


@pytest.mark.parametrize("form", ["lmlab", "hf", "gpt2"])
def test_the_second_load_uses_the_cache(
    tmp_path: Path, cache: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tokenizer()
    write(ours, tmp_path / "tok", form)
    first = Tokenizer.load(tmp_path / "tok")
    assert len(kept(cache)) == 1
    monkeypatch.setattr(serialization, "parse", None)  # must not be called
    second = Tokenizer.load(tmp_path / "tok")
    assert_alike(first, second)
    assert to_hf(second.vocabulary) == to_hf(ours.vocabulary)


def test_other_patterns_are_cached(tmp_path: Path) -> None:
    tokenizer(pattern=r"\w+|\W").save(tmp_path)
    assert_alike(Tokenizer.load(tmp_path), Tokenizer.load(tmp_path))


def test_a_changed_file_is_parsed_again(tmp_path: Path, cache: Path) -> None:
    tokenizer().save(tmp_path)
    Tokenizer.load(tmp_path)
    other = tokenizer(121)
    other.save(tmp_path)
    assert_alike(Tokenizer.load(tmp_path), other)
    assert len(kept(cache)) == 2
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"<|x|>"', '"<|z|>"'))
    with pytest.raises(DataError, match=r"tokenizer\.json: damaged"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 20, -1, -100])
def test_a_damaged_cache_entry_is_replaced(tmp_path: Path, cache: Path, keep: int) -> None:
    tokenizer().save(tmp_path)
    Tokenizer.load(tmp_path)
    (file,) = kept(cache)
    whole = file.read_bytes()
    file.write_bytes(whole[:keep])
    assert_alike(Tokenizer.load(tmp_path), tokenizer())
    assert file.read_bytes() == whole


def test_loading_works_without_a_writable_cache(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file where a folder is needed")
    tokenizer().save(tmp_path)
    assert_alike(Tokenizer.load(tmp_path), Tokenizer.load(tmp_path))


def test_small_vocabularies_and_repeated_merges_are_not_cached(tmp_path: Path, cache: Path) -> None:
    tokenizer(20).save(tmp_path / "small")
    merges = tokenizer().merges
    tokenizer(merges=[*merges, merges[0]]).save(tmp_path / "twice")
    for name in ("small", "twice"):
        assert_alike(Tokenizer.load(tmp_path / name), Tokenizer.load(tmp_path / name))
    assert kept(cache) == []


def test_the_oldest_entries_are_evicted(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsed_cache, "_MAX_ENTRIES", 2)
    for count in (120, 121, 122):
        tokenizer(count).save(tmp_path)
        Tokenizer.load(tmp_path)
    assert len(kept(cache)) == 2


def test_the_end_of_text_is_read_without_the_vocabulary(tmp_path: Path, cache: Path) -> None:
    """It is all that encoding a file needs of the bytes of ids."""
    made = tokenizer().with_end_of_text("<|x|>")
    made.save(tmp_path / "saved")
    first, second = (Tokenizer.load(tmp_path / "saved") for _ in range(2))
    assert kept(cache)
    for loaded in (first, second):
        assert loaded.end_marker == made.end_marker == b"<|x|>"
    assert "vocabulary" not in vars(second)
    source = second._source
    assert [source.entry(index) for index in range(made.vocab_size)] == list(made.vocab.values())
