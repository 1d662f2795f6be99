from __future__ import annotations

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.errors import ConfigError, DataError
from lmlab.tokenizer import train_bpe
from lmlab.tokenizer.pretokenize import GPT2_PATTERN
from lmlab.tokenizer.training import learn_merges

TEXT = (
    "It's the low lower lowest newest widest story. We'll see 2024 of them, they've said!\n"
    "  The newest low is 1 000 lower…  naïve café — 東京 東京都 😀😀\n\n" * 3
)


def naive_merges(words: Counter[str], count: int) -> list[tuple[bytes, bytes]]:
    """Count all pairs anew for every merge; tokens are byte strings."""
    split = {word: [bytes([byte]) for byte in word.encode()] for word in words}
    merges: list[tuple[bytes, bytes]] = []
    while len(merges) < count:
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in split.items():
            merged, rest = [], list(parts)
            while rest:
                if tuple(rest[:2]) == best:
                    merged.append(best[0] + best[1])
                    del rest[:2]
                else:
                    merged.append(rest.pop(0))
            split[word] = merged
    return merges


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8"))
    return path


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=12), st.integers(1, 9)), max_size=12))
def test_merges_equal_the_naive_ones_on_small_alphabets(words: list[tuple[str, int]]) -> None:
    counts = Counter(dict(words))
    assert learn_merges(counts, 12) == naive_merges(counts, 12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=10))
def test_merges_equal_the_naive_ones_on_any_unicode(words: list[str]) -> None:
    counts = Counter(words)
    assert learn_merges(counts, 20) == naive_merges(counts, 20)


def test_a_text_is_cut_by_the_pattern_and_at_special_tokens(tmp_path: Path) -> None:
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
def test_files_of_any_text_give_the_naive_merges(pieces: list[str]) -> None:
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
        if len(expected) < 6:
            with pytest.raises(DataError, match=rf"model\.vocab_size={size} or less"):
                train_bpe(path, size + 1, specials)


def test_ties_go_to_the_lexicographically_greater_pair_of_byte_strings() -> None:
    # "ab" and "zb" and "za" occur twice each; (z, b) is the greatest pair, then (z, a).
    assert learn_merges(Counter({"ab": 2, "zb": 2, "za": 2}), 2) == [(b"z", b"b"), (b"z", b"a")]
    # A longer first part is greater than its own beginning: (ab, c) before (a, d) and (ab, b).
    counts = Counter({"ab": 9, "abc": 2, "abb": 2, "ad": 2})
    assert learn_merges(counts, 3) == [(b"a", b"b"), (b"ab", b"c"), (b"ab", b"b")]


def test_frequency_is_of_pairs_not_of_words() -> None:
    # "aaaa" holds three overlapping pairs (a, a), as the naive count has it.
    assert learn_merges(Counter({"aaaa": 1, "bc": 2}), 1) == [(b"a", b"a")]


def test_layout_of_a_fresh_vocabulary(tmp_path: Path) -> None:
    tokenizer = train_bpe([write(tmp_path / "t.txt", TEXT)], 270, ["<|a|>", "<|b|>"])
    assert tokenizer.vocab_size == 270
    assert [tokenizer.vocab[i] for i in range(256)] == [bytes([i]) for i in range(256)]
    merged = [left + right for left, right in tokenizer.merges]
    assert [tokenizer.vocab[i] for i in range(256, 268)] == merged
    assert [tokenizer.vocab[i] for i in (268, 269)] == [b"<|a|>", b"<|b|>"]


def test_a_vocabulary_of_bytes_alone_needs_no_merges(tmp_path: Path) -> None:
    assert train_bpe(write(tmp_path / "t.txt", TEXT), 257, ["<|endoftext|>"]).merges == []


def test_several_files_are_one_text_cut_between_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.txt", "abab ab"), write(tmp_path / "2.txt", "ab ab")
    words = Counter(regex.findall(GPT2_PATTERN, "abab ab")) + Counter([" ab", "ab"])
    assert train_bpe([one, two], 258, []).merges == naive_merges(words, 2)


def test_a_text_without_line_ends_is_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.txt", TEXT.replace("\n", " ") * 5)
    whole = train_bpe(path, 290, []).merges
    monkeypatch.setattr("lmlab.tokenizer.training._CHUNK_CHARACTERS", 3)
    monkeypatch.setattr("lmlab.tokenizer.pretokenize._BLOCK", 5)
    assert train_bpe(path, 290, []).merges == whole


def test_line_ends_are_kept_as_they_are(tmp_path: Path) -> None:
    tokenizer = train_bpe(write(tmp_path / "t.txt", "a\r\n" * 5), 257, [])
    assert tokenizer.merges == [(b"\r", b"\n")]


@pytest.mark.parametrize(
    ("vocab_size", "special_tokens", "told"),
    [
        (256, ["<|endoftext|>"], "tokenizer.vocab_size=256: accepted is 257 or more"),
        (300, ["<|a|>", "<|a|>"], "tokenizer.special_tokens"),
        (300, [""], "non-empty"),
    ],
)
def test_settings_out_of_range(
    tmp_path: Path, vocab_size: int, special_tokens: list[str], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train_bpe(write(tmp_path / "t.txt", TEXT), vocab_size, special_tokens)
    assert told in str(caught.value)


def test_more_entries_than_the_text_supports_names_the_largest(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", "abc")
    with pytest.raises(DataError, match=r"vocab_size=400: .*model\.vocab_size=259 or less"):
        train_bpe(path, 400, ["<|x|>"])
    assert train_bpe(path, 259, ["<|x|>"]).vocab_size == 259


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"abc \xff")
    with pytest.raises(DataError, match=r"t\.txt is not UTF-8"):
        train_bpe(tmp_path / "t.txt", 258, [])
