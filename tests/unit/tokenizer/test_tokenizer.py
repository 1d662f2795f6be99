from __future__ import annotations

import functools
import itertools
import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import regex
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, pretoken_merging, pretokenize, train_bpe, unicode_classes
from lmlab.tokenizer.kernels import classes, kinds
from lmlab.tokenizer.pretoken_merging import merge_pretoken

END = "<|endoftext|>"
TEXT = (
    "It's the low lower lowest newest widest story. We'll see 2024 of them, they've said!\n"
    "  The newest low is 1 000 lower…  naïve café — 東京 東京都 😀😀\n\n"
    f"{END}\nAnother story,   with\tspaces  \n \n and 'll 're 's.{END}{END} the end "
)
PIECES = [
    "a", "b", " ", "  ", "\n", "\t", "'", "'l", "l", "'ll", "'s", "'ve", "1", "23", "é", "東", "😀",
    "<|", "|>", END, END[:5], END[5:], "<|end|>", "<|end|><|end|>", "the", " low", ".", "!?",
    "\u00a0", "\u200b", "\r\n", "e\u0301",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=40)


@functools.cache
def trained() -> Tokenizer:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text(TEXT * 3, encoding="utf-8", newline="")
        found = train_bpe(path, 330, [END])
    return Tokenizer(found.vocab, found.merges, [END, "<|end|>", "<|end|><|end|>"])


def naive_encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Cut at special tokens, then at the pattern, then merge the lowest rank again and again."""
    ranks = {pair: rank for rank, pair in reversed(list(enumerate(tokenizer.merges)))}
    specials = sorted(tokenizer.special_tokens, key=len, reverse=True)
    by_bytes = {value: index for index, value in reversed(tokenizer.vocab.items())}
    ids: list[int] = []
    for part in regex.split("(" + "|".join(map(regex.escape, specials)) + ")", text):
        if part in specials:
            ids.append(by_bytes[part.encode()])
            continue
        for word in regex.findall(tokenizer.pattern, part):
            parts = [bytes([byte]) for byte in word.encode()]
            while True:
                known = [
                    (ranks[pair], place)
                    for place, pair in enumerate(itertools.pairwise(parts))
                    if pair in ranks
                ]
                if not known:
                    break
                place = min(known)[1]
                parts[place : place + 2] = [parts[place] + parts[place + 1]]
            ids += [by_bytes[part] for part in parts]
    return ids


@settings(max_examples=300, deadline=None)
@given(texts)
def test_encoding_equals_the_naive_one_and_decodes_back(text: str) -> None:
    ids = trained().encode(text)
    assert ids == naive_encode(trained(), text)
    assert trained().decode(ids) == text


def flat(split: Iterator[tuple[list[str], str | None]]) -> list[str]:
    return [piece for pieces, special in split for piece in [*pieces, special] if piece is not None]


@settings(max_examples=300, deadline=None)
@given(texts, st.randoms(use_true_random=False), st.integers(1, 12))
def test_a_stream_cut_anywhere_equals_the_whole(
    text: str, chance: random.Random, block: int
) -> None:
    cuts = sorted(chance.randint(0, len(text)) for _ in range(chance.randint(0, 12)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    former = pretokenize._BLOCK
    pretokenize._BLOCK = block
    try:
        assert list(trained().encode_iterable(parts)) == trained().encode(text)
        assert list(trained().encode_iterable(text)) == trained().encode(text)
    finally:
        pretokenize._BLOCK = former


# Of vocabularies of others, for which there are no kernels: GPT-4o's, and one that counts digits
# in threes from the right.
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
IN_THREES = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))| ?\p{L}+|\s+"  # leaves signs between matches
PATTERNS = {"gpt2": kinds.GPT2_PATTERN, "cl100k": kinds.CL100K_PATTERN,
            "cl100k ending": kinds.CL100K_ENDING_PATTERN, "o200k": O200K,
            "in threes": IN_THREES}  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("special_tokens", [[], ["<|x|>"], ["<|x|>", "<|x|><|x|>"]])
@pytest.mark.parametrize(
    "text",
    [
        "we'll they've 'll''ve 's'd it'",
        "a  b   \n\n c \t d    ",
        "x \n    \n\n \r\n  b\n \n!\n\n / \n",
        "12345 1234567,89 Ab'LLaB'll",
        " 12 345  x1y2 !? ...'re",
        "<|x|>a<|x|><|x|> <|x|><|x|><|x|>'ll<|x<|x|",
        "é 東京\u00a0 \u3000x 😀😀 e\u0301",
    ],
)
def test_pieces_are_the_same_for_every_pair_of_cuts(
    monkeypatch: pytest.MonkeyPatch, text: str, special_tokens: list[str], pattern: str
) -> None:
    # Pieces, for ids may be the same by chance: "'" and "ll" need not differ from "'ll".
    monkeypatch.setattr(pretokenize, "_BLOCK", 1)
    cutter = pretokenize.PreTokenizer(pattern, special_tokens)
    whole = flat(cutter.split(text))
    assert "".join(whole) == text
    for first, second in itertools.combinations(range(len(text) + 1), 2):
        parts = [text[:first], text[first:second], text[second:]]
        assert flat(cutter.split_stream(parts)) == whole, parts


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet=" \t\r\n\u00a0ab'l1.é東/", max_size=40),
    st.sampled_from(list(PATTERNS.values())),
    st.integers(1, 8),
)
def test_pieces_of_a_stream_are_those_of_the_whole(text: str, pattern: str, block: int) -> None:
    cutter = pretokenize.PreTokenizer(pattern, ["<|x|>"])
    former = pretokenize._BLOCK
    pretokenize._BLOCK = block
    try:
        assert flat(cutter.split_stream(text)) == flat(cutter.split(text))
    finally:
        pretokenize._BLOCK = former


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        (r"(\p{L}+)|\s+|.", ["ab", ",", " ", "cd", "\n"]),
        (r"(a)(b)", ["ab", ", cd\n"]),
        (r"\p{L}+", ["ab", ", ", "cd", "\n"]),
        (r"x*", ["a", "b", ",", " ", "c", "d", "\n"]),
        (r"\n", ["ab, cd", "\n"]),
    ],
)
def test_no_pattern_loses_text(pattern: str, pieces: list[str]) -> None:
    cutter = pretokenize.PreTokenizer(pattern, [])
    assert flat(cutter.split("ab, cd\n")) == pieces


def test_classes_are_those_of_the_kernels_whatever_regex_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frozen classes that differ from the installed library's, as those of an older one do."""
    frozen = classes.class_of_each().copy()
    for character, kind in (("é", classes.OTHER), ("%", classes.LETTER), ("東", classes.NUMBER),
                            ("-", classes.SPACE)):  # fmt: skip
        frozen[ord(character)] = kind
    monkeypatch.setattr(classes, "class_of_each", lambda: frozen)
    monkeypatch.setattr(classes, "MADE_BY_REGEX", "another")
    caches = unicode_classes.stand_ins, unicode_classes._ranges
    text, pieces = "aéb%c 1東2--x", ["a", "é", "b%c", " 1東2", "-", "-", "x"]
    try:
        for cache in caches:
            cache.cache_clear()
        assert len(unicode_classes.stand_ins()) == 4
        cutter = pretokenize.PreTokenizer(kinds.GPT2_PATTERN, [])
        assert flat(cutter.split(text)) == pieces
        spelled = unicode_classes.spell_out_classes(kinds.GPT2_PATTERN)
        assert regex.findall(spelled, text.replace("-", " ")) == [
            piece.replace("-", " ") for piece in ["a", "é", "b%c", " 1東2", "-", "-x"]
        ]
    finally:
        for cache in caches:
            cache.cache_clear()


def test_a_stream_is_read_as_it_is_needed() -> None:
    read = 0

    def parts() -> Iterator[str]:
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield "the low story " * 100

    part = "the low story " * 100
    ids = trained().encode_iterable(parts())
    next(ids)
    ahead = pretokenize._BLOCK // len(part) + 2
    assert read <= ahead
    per_part = len(trained().encode(part))
    for count in range(2, 200 * per_part):
        next(ids)
        assert read <= count // per_part + ahead, "no more is held than a block"


def test_special_tokens_are_never_split_nor_merged_across() -> None:
    tokenizer = trained()
    end = tokenizer.end_of_text_id
    assert end is not None
    assert tokenizer.vocab[end] == END.encode()
    assert tokenizer.encode(END) == [end]
    for text in ("low", " low", "'", "  "):
        around = tokenizer.encode(text)
        assert tokenizer.encode(text + END + text) == [*around, end, *around]
    both = tokenizer.encode("<|end|><|end|>")
    assert [tokenizer.vocab[i] for i in both] == [b"<|end|><|end|>"], "the longest is taken"


def test_text_that_looks_like_a_special_token_is_text_where_there_is_none() -> None:
    plain = Tokenizer(trained().vocab, trained().merges)
    assert trained().end_of_text_id not in plain.encode("<|endoftex")
    assert plain.end_of_text_id is None


@pytest.mark.parametrize("seed", range(20))
def test_long_pretokens_by_heap_equal_scanning(seed: int) -> None:
    chance = random.Random(seed)
    table = {}
    for rank in range(30):
        table.setdefault((chance.randrange(8), chance.randrange(8)), (rank, chance.randrange(8)))
    ids = [chance.randrange(8) for _ in range(200)]
    by_heap = pretoken_merging._merge_by_heap(list(ids), table)
    assert by_heap == pretoken_merging._merge_by_scanning(list(ids), table)
    assert merge_pretoken(list(ids), table) == by_heap


def test_a_hundred_thousand_equal_letters_take_no_quadratic_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(ids: list[int], merges: object) -> list[int]:
        raise AssertionError(f"{len(ids)} tokens would take hours by scanning")

    monkeypatch.setattr(pretoken_merging, "_merge_by_scanning", refuse)
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"aa", 257: b"aaaa"}
    tokenizer = Tokenizer(vocab, [(b"a", b"a"), (b"aa", b"aa")])
    assert tokenizer.encode("a" * 100_003) == [257] * 25_000 + [256, ord("a")]


def test_malformed_bytes_decode_to_the_replacement_character() -> None:
    assert trained().decode([255]) == "\ufffd"
    assert trained().decode([0xE6, 0x9D]) == "\ufffd"
    assert trained().decode([]) == ""


@pytest.mark.parametrize("index", [-1, 10_000])
def test_an_id_out_of_range_is_named_with_the_range(index: int) -> None:
    with pytest.raises(
        DataError, match=rf"token id {index}: expected 0 to {trained().vocab_size - 1}"
    ):
        trained().decode([65, index])


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(DataError, match="surrogate"):
        trained().encode("a\ud800b")
    with pytest.raises(DataError, match="surrogate"):
        list(trained().encode_iterable(["a\ud800", "b"]))


def test_byte_lengths_count_no_special_token() -> None:
    lengths = trained().token_byte_lengths
    assert lengths.shape == (trained().vocab_size,)
    for text in (TEXT, "café 東京", END):
        total = int(lengths[trained().encode(text)].sum())
        assert total == len(text.replace(END, "").encode())


NASTY = [
    TEXT, " ", "   ",
    "\n\n  a", "a  b   c", "'ll 'LL don't", "1234 56", "\u3000全角\u3000", "😀 👨‍👩‍👧‍👦",
    "e\u0301 \u200d", "\x00\x01", "ß ﬁ Ǆ ½ ² Ⅳ", "\u00a0\u00a0x", "https://a.b/c?d=e&f",
    "مرحبا שלום",
    "tab\tsep\r\nline", "...!!!???", " '", "''s", "a" * 300, " " * 300 + "x",
]  # fmt: skip


def as_tiktoken(tokenizer: Tokenizer) -> tiktoken.Encoding:
    specials = {
        token: next(i for i, value in tokenizer.vocab.items() if value == token.encode())
        for token in tokenizer.special_tokens
    }
    ranks = {v: i for i, v in tokenizer.vocab.items() if i not in specials.values()}
    return tiktoken.Encoding(
        "ours", pat_str=tokenizer.pattern, mergeable_ranks=ranks, special_tokens=specials
    )


@settings(max_examples=200, deadline=None)
@given(texts)
def test_tiktoken_gives_the_same_ids_for_a_vocabulary_trained_here(text: str) -> None:
    theirs = as_tiktoken(Tokenizer(trained().vocab, trained().merges, [END]))
    ours = Tokenizer(trained().vocab, trained().merges, [END])
    assert ours.encode(text) == theirs.encode(text, allowed_special="all")


def test_tiktoken_agrees_on_nasty_text() -> None:
    ours = Tokenizer(trained().vocab, trained().merges, [END])
    theirs = as_tiktoken(ours)
    for text in NASTY:
        assert ours.encode(text) == theirs.encode(text, allowed_special="all"), text


def test_gpt2_own_vocabulary_gives_tiktoken_own_ids() -> None:
    folder = os.environ.get("LMLAB_GPT2_DIR")
    if not folder:
        pytest.skip("set LMLAB_GPT2_DIR to a folder with GPT-2's vocab.json and merges.txt")
    ours = Tokenizer.load(folder)
    assert (ours.vocab_size, ours.end_of_text_id) == (50257, 50256)
    # The vocabulary once more, read without our code.
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = (byte for byte in range(256) if byte not in plain)
    to_byte = {chr(byte): byte for byte in plain} | {chr(256 + n): b for n, b in enumerate(hidden)}
    entries = json.loads(Path(folder, "vocab.json").read_text("utf-8"))
    specials = {END: entries.pop(END)}
    ranks = {bytes(to_byte[sign] for sign in text): index for text, index in entries.items()}
    theirs = tiktoken.Encoding(
        "gpt2", pat_str=kinds.GPT2_PATTERN, mergeable_ranks=ranks, special_tokens=specials
    )
    for text in NASTY:
        assert ours.encode(text) == theirs.encode(text, allowed_special="all"), text
    # Known from GPT-2's own encoder.
    assert ours.encode("Hello world") == [15496, 995]
