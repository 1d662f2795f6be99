"""Training against an obvious trainer, with kernels and in pure Python."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import regex
from bpe_oracle import TEXT, naive_merges, without_kernels, write
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.errors import ConfigError, DataError
from lmlab.tokenizer import (
    bpe_training,
    merge_learner,
    pretoken_counting,
    train_bpe,
)
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN


@pytest.fixture(params=["kernels", "pure Python"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Count and learn with kernels, or in pure Python."""
    if request.param == "pure Python":
        without_kernels(monkeypatch)
    for name in ("_TEXT_WORTH_COMPILING", "_WORDS_WORTH_COMPILING"):
        monkeypatch.setattr(bpe_training, name, 0)
    return str(request.param)


def test_text_is_split_by_the_pattern_and_at_special_tokens(either: str, tmp_path: Path) -> None:
    text = TEXT + "<|endoftext|>low" + TEXT + "<|endoftext|>"
    words: Counter[str] = Counter()
    for part in text.split("<|endoftext|>"):
        words.update(regex.findall(GPT2_PATTERN, part))
    tokenizer = train_bpe(write(tmp_path / "t.txt", text), 300, ["<|endoftext|>"])
    assert tokenizer.merges == naive_merges(words, 43)
    assert not any(
        b"<|" in value and b"end" in value for value in list(tokenizer.vocab.values())[:-1]
    )


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "ab", " ", "\n", "'s", "<|x|>", "<|x|><|x|>"]), max_size=40)
)
def test_training_on_a_file_gives_naive_merges(pieces: list[str]) -> None:
    specials = ["<|x|>", "<|x|><|x|>"]
    text = "".join(pieces)
    words: Counter[str] = Counter()
    for part in regex.split(r"(?:<\|x\|>){1,2}", text):
        words.update(regex.findall(GPT2_PATTERN, part))
    expected = naive_merges(words, 6)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "t.txt", text)
        size = 258 + len(expected)
        assert train_bpe(path, size, specials).merges == expected
        assert train_bpe(path, 264, specials).merges == expected


def test_bytes_come_first_then_merges_then_special_tokens(tmp_path: Path) -> None:
    tokenizer = train_bpe([write(tmp_path / "t.txt", TEXT)], 270, ["<|a|>", "<|b|>"])
    assert tokenizer.vocab_size == 270
    assert [tokenizer.vocab[i] for i in range(256)] == [bytes([i]) for i in range(256)]
    merged = [left + right for left, right in tokenizer.merges]
    assert [tokenizer.vocab[i] for i in range(256, 268)] == merged
    assert [tokenizer.vocab[i] for i in (268, 269)] == [b"<|a|>", b"<|b|>"]


def test_a_vocabulary_of_bytes_alone_needs_no_merges(tmp_path: Path) -> None:
    assert train_bpe(write(tmp_path / "t.txt", TEXT), 257, ["<|endoftext|>"]).merges == []


def test_no_pre_token_spans_two_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.txt", "abab ab"), write(tmp_path / "2.txt", "ab ab")
    words = Counter(regex.findall(GPT2_PATTERN, "abab ab")) + Counter([" ab", "ab"])
    assert train_bpe([one, two], 258, []).merges == naive_merges(words, 2)


def test_merges_depend_on_neither_threads_nor_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.txt", TEXT * 3 + "<|endoftext|>" + TEXT)
    whole = train_bpe(path, 300, ["<|endoftext|>"]).merges
    monkeypatch.setattr(
        pretoken_counting.count_words, "__kwdefaults__", {"threads": None, "part_bytes": 9}
    )
    for threads in (1, 2, 3):
        assert train_bpe(path, 300, ["<|endoftext|>"], threads=threads).merges == whole


def test_line_ends_are_kept(either: str, tmp_path: Path) -> None:
    tokenizer = train_bpe(write(tmp_path / "t.txt", "a\r\n" * 5), 257, [])
    assert tokenizer.merges == [(b"\r", b"\n")]


@pytest.mark.parametrize(
    ("vocab_size", "special_tokens", "message"),
    [
        (256, ["<|endoftext|>"], "tokenizer.vocab_size=256: expected 257 or more"),
        (300, ["<|a|>", "<|a|>"], "tokenizer.special_tokens"),
        (300, [""], "non-empty"),
    ],
)
def test_invalid_settings_are_refused(
    tmp_path: Path, vocab_size: int, special_tokens: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train_bpe(write(tmp_path / "t.txt", TEXT), vocab_size, special_tokens)
    assert message in str(caught.value)


def test_a_text_with_too_few_pairs_gives_a_warning(
    either: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "t.txt", "abc")
    with caplog.at_level(logging.WARNING, logger="lmlab"):
        assert train_bpe(path, 259, ["<|x|>"]).vocab_size == 259
        assert not caplog.messages
        tokenizer = train_bpe(path, 400, ["<|x|>"])
    assert tokenizer.merges == [(b"b", b"c"), (b"a", b"bc")]
    assert tokenizer.vocab[258] == b"<|x|>" and tokenizer.vocab_size == 259
    assert "vocab_size=400" in caplog.messages[0]
    assert "set vocab_size=259 or less" in caplog.messages[0]


@pytest.mark.parametrize("text", ["", "a", "<|x|><|x|>"])
def test_a_text_without_pairs_gives_the_bytes(either: str, tmp_path: Path, text: str) -> None:
    assert train_bpe(write(tmp_path / "t.txt", text), 300, ["<|x|>"]).merges == []


def test_text_that_is_not_utf8_is_refused(either: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"abc \xff")
    with pytest.raises(DataError, match=r"t\.txt: expected UTF-8 text"):
        train_bpe(tmp_path / "t.txt", 258, [])


def test_other_patterns_are_counted_too(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", TEXT)
    found = train_bpe(path, 290, [], pattern=r"\S+|\s+")
    assert found.merges == naive_merges(Counter(regex.findall(r"\S+|\s+", TEXT)), 34)
    assert found.pattern == r"\S+|\s+"


def test_little_text_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.txt", TEXT)
    expected = train_bpe(path, 290, []).merges

    def never(group: str) -> None:
        raise AssertionError(group)

    monkeypatch.setattr(bpe_training, "is_cached", lambda group: False)
    monkeypatch.setattr(pretoken_counting, "load", never)
    monkeypatch.setattr(merge_learner, "load", never)
    assert train_bpe(path, 290, []).merges == expected
