"""Training against an obvious trainer; the kernels and the pure Python take the same tests."""

from __future__ import annotations

import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.errors import ConfigError, DataError
from lmlab.tokenizer import (
    bpe_training,
    merge_learner,
    pretoken_counting,
    reference_training,
    train_bpe,
)
from lmlab.tokenizer.kernels import word_state
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.word_counts import Merge, WordCounts

Learn = Callable[[WordCounts, int], list[Merge] | None]

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


@pytest.fixture(params=["kernels", "pure Python"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to count and learn."""
    if request.param == "pure Python":
        without_kernels(monkeypatch)
    for name in ("_TEXT_WORTH_COMPILING", "_WORDS_WORTH_COMPILING"):
        monkeypatch.setattr(bpe_training, name, 0)
    return str(request.param)


def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretoken_counting, "load", lambda group: None)
    monkeypatch.setattr(merge_learner, "load", lambda group: None)


def words_of(counts: Counter[str]) -> WordCounts:
    return WordCounts.of((word.encode(), count) for word, count in counts.items())


def both(counts: Counter[str], num_merges: int) -> list[Merge]:
    """What both learners say, which must be one thing."""
    words = words_of(counts)
    found = merge_learner.learn_merges(words, num_merges)
    assert found == reference_training.learn_merges(words, num_merges)
    assert found is not None
    return found


def random_corpus(chance: random.Random) -> Counter[str]:
    """Few letters and small counts, for ties; sometimes words that differ late, or are runs."""
    letters = chance.choice(["a", "ab", "abc", "abcdef", "aé東😀"])
    stem = "".join(chance.choices(letters, k=chance.choice([0, 0, 9, 40])))
    words: Counter[str] = Counter()
    for _ in range(chance.randint(0, 14)):
        word = "".join(chance.choices(letters, k=chance.randint(1, chance.choice([1, 3, 8, 25]))))
        words[chance.choice(["", stem]) + word] += chance.randint(1, chance.choice([1, 3, 30]))
    return words


@pytest.mark.parametrize("seed", range(10))
def test_merges_of_3000_random_corpora_equal_the_naive_ones(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        counts, number = random_corpus(chance), chance.choice([1, 3, 10, 100])
        expected = naive_merges(counts, number)
        assert both(counts, number) == expected, (counts, number)
        results = [left + right for left, right in expected]
        assert len(set(results)) == len(results)  # what kernels/merges.py proves


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=12), st.integers(1, 9)), max_size=12))
def test_merges_equal_the_naive_ones_on_small_alphabets(words: list[tuple[str, int]]) -> None:
    counts = Counter(dict(words))
    assert both(counts, 12) == naive_merges(counts, 12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=10))
def test_merges_equal_the_naive_ones_on_any_unicode(words: list[str]) -> None:
    counts = Counter(words)
    assert both(counts, 20) == naive_merges(counts, 20)


def test_long_tokens_that_differ_late_are_in_order() -> None:
    stem = "lexicographic"
    counts = Counter({stem + end: 5 for end in ("d!x", "s!y", "\u00e9z", "sa", "s")})
    assert both(counts, 40) == naive_merges(counts, 40)


def test_counts_beyond_32_bits_are_exact() -> None:
    counts = Counter({"ab": 2**33 + 1, "cd": 2**33, "ef": 2**33 + 2})
    assert both(counts, 3) == [(b"e", b"f"), (b"a", b"b"), (b"c", b"d")]


def test_the_floor_is_the_count_of_the_last_word_that_counts() -> None:
    words = words_of(Counter({"ab": 9, "cd": 7, "ef": 5, "g": 100}))
    assert [merge_learner.min_pair_count(words.counts, number) for number in (1, 2, 3, 4)] == [
        9,
        7,
        5,
        1,
    ]


def test_room_for_pairs_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghij", k=9)) for _ in range(300)]
    monkeypatch.setattr(merge_learner, "_INITIAL_PAIRS", 1)
    counts = Counter(words)
    assert both(counts, 400) == naive_merges(counts, 400)


def test_a_text_is_cut_by_the_pattern_and_at_special_tokens(either: str, tmp_path: Path) -> None:
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
        assert train_bpe(path, 264, specials).merges == expected


def test_ties_go_to_the_lexicographically_greater_pair_of_byte_strings() -> None:
    # "ab" and "zb" and "za" occur twice each; (z, b) is the greatest pair, then (z, a).
    assert both(Counter({"ab": 2, "zb": 2, "za": 2}), 2) == [(b"z", b"b"), (b"z", b"a")]
    # A longer first part is greater than its own beginning: (ab, c) before (a, d) and (ab, b).
    counts = Counter({"ab": 9, "abc": 2, "abb": 2, "ad": 2})
    assert both(counts, 3) == [(b"a", b"b"), (b"ab", b"c"), (b"ab", b"b")]


def test_frequency_is_of_pairs_not_of_words() -> None:
    # "aaaa" holds three overlapping pairs (a, a), as the naive count has it.
    assert both(Counter({"aaaa": 1, "bc": 2}), 1) == [(b"a", b"a")]


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


def test_pure_python_reads_a_text_without_line_ends_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.txt", TEXT.replace("\n", " ") * 5)
    whole = train_bpe(path, 290, []).merges
    without_kernels(monkeypatch)
    monkeypatch.setattr("lmlab.tokenizer.utf8._CHUNK_BYTES", 3)
    monkeypatch.setattr("lmlab.tokenizer.pretokenize._BLOCK", 5)
    assert train_bpe(path, 290, []).merges == whole


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 64, 1000])
def test_counts_depend_on_neither_threads_nor_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, piece_bytes: int
) -> None:
    specials = ["<|x|>", "<|x|><|x|>", "a b"]
    long = (
        "x" * 700 + " Donaudampfschifffahrtsgesellschaft " * 3 + "東" * 300 + "<|x|><|x" + " " * 99
    )
    text = (TEXT + long + "<|x|><|x|><|x|>aa b<|x" + TEXT) * 2
    paths = [write(tmp_path / "1.txt", text), write(tmp_path / "2.txt", ""),
             write(tmp_path / "3.txt", "b" + long)]  # fmt: skip
    for name in ("_INITIAL_SHORT", "_INITIAL_LONG"):  # must hold one batch of new words
        monkeypatch.setattr(pretoken_counting, name, 2 * word_state.BATCH)
    monkeypatch.setattr(pretoken_counting, "_INITIAL_TEXT", 1)
    found = pretoken_counting.count_words(
        paths, specials, GPT2_PATTERN, threads=threads, piece_bytes=piece_bytes
    )
    assert found is not None
    assert len(found) == len(dict(found))  # no word twice
    assert dict(found) == dict(reference_training.count_words(paths, specials, GPT2_PATTERN))


@pytest.mark.parametrize("threads", [1, 2])
def test_tables_of_words_grow(tmp_path: Path, threads: int) -> None:
    chance = random.Random(1)
    words = [
        "".join(
            chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.choice([2, 7, 8, 9, 15, 16, 40]))
        )
        for _ in range(60_000)
    ]
    path = write(tmp_path / "t.txt", " ".join(words))
    found = pretoken_counting.count_words(
        [path], [], GPT2_PATTERN, threads=threads, piece_bytes=1 << 14
    )
    assert found is not None
    expected = Counter([words[0], *(" " + word for word in words[1:])])
    assert dict(found) == {word.encode(): count for word, count in expected.items()}


def test_merges_depend_on_neither_threads_nor_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.txt", TEXT * 3 + "<|endoftext|>" + TEXT)
    whole = train_bpe(path, 300, ["<|endoftext|>"]).merges
    monkeypatch.setattr(
        pretoken_counting.count_words, "__kwdefaults__", {"threads": None, "piece_bytes": 9}
    )
    for threads in (1, 2, 3):
        assert train_bpe(path, 300, ["<|endoftext|>"], threads=threads).merges == whole


def test_line_ends_are_kept_as_they_are(either: str, tmp_path: Path) -> None:
    tokenizer = train_bpe(write(tmp_path / "t.txt", "a\r\n" * 5), 257, [])
    assert tokenizer.merges == [(b"\r", b"\n")]


@pytest.mark.parametrize(
    ("vocab_size", "special_tokens", "told"),
    [
        (256, ["<|endoftext|>"], "tokenizer.vocab_size=256: expected 257 or more"),
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


def test_more_entries_than_the_text_supports_stops_with_a_warning(
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
    assert "model.vocab_size=259 or less" in caplog.messages[0]


@pytest.mark.parametrize("text", ["", "a", "<|x|><|x|>"])
def test_a_text_without_pairs_gives_the_bytes(either: str, tmp_path: Path, text: str) -> None:
    assert train_bpe(write(tmp_path / "t.txt", text), 300, ["<|x|>"]).merges == []


def test_text_that_is_not_utf8_is_refused(either: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"abc \xff")
    with pytest.raises(DataError, match=r"t\.txt: expected UTF-8 text"):
        train_bpe(tmp_path / "t.txt", 258, [])


def test_the_place_of_what_is_not_utf8_is_told(tmp_path: Path) -> None:
    good = write(tmp_path / "good.txt", TEXT)
    (tmp_path / "bad.txt").write_bytes(b"fine " * 30_000 + b"\xe6\x9d" + b" fine" * 30_000)
    for threads in (1, 2):
        with pytest.raises(
            DataError, match=r"bad\.txt: expected UTF-8 text, malformed at byte offset 150000\n"
        ):
            pretoken_counting.count_words(
                [good, tmp_path / "bad.txt"], [], GPT2_PATTERN, threads=threads, piece_bytes=4096
            )


def test_other_patterns_are_counted_too(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", TEXT)
    found = train_bpe(path, 290, [], pattern=r"\S+|\s+")
    assert found.merges == naive_merges(Counter(regex.findall(r"\S+|\s+", TEXT)), 34)
    assert found.pattern == r"\S+|\s+"


def test_room_for_places_is_made_by_moving_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    compacted = []
    call = merge_learner._Learner._call

    def counted(self: merge_learner._Learner, name: str, until: int = 0) -> int:
        compacted.append(name == "compact")
        return call(self, name, until)

    monkeypatch.setattr(merge_learner._Learner, "_call", counted)
    chance = random.Random(2)
    counts = Counter("".join(chance.choices("abcd", k=30)) for _ in range(200))
    assert both(counts, 2000) == naive_merges(counts, 2000)
    assert sum(compacted) > 2


def test_little_text_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.txt", TEXT)
    expected = train_bpe(path, 290, []).merges

    def never(group: str) -> None:
        raise AssertionError(group)

    monkeypatch.setattr(bpe_training, "is_cached", lambda group: False)
    monkeypatch.setattr(pretoken_counting, "load", never)
    monkeypatch.setattr(merge_learner, "load", never)
    assert train_bpe(path, 290, []).merges == expected
