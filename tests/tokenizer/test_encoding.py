from __future__ import annotations

import functools
import itertools
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
from lmlab.tokenizer import Tokenizer, merging, pretokenize, train_bpe
from lmlab.tokenizer.merging import merge_pieces

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


def test_a_stream_is_read_as_it_is_needed() -> None:
    read = 0

    def parts() -> Iterator[str]:
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield "the low story " * 100

    ids = trained().encode_iterable(parts())
    next(ids)
    assert read < 200


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
    by_heap = merging._merge_by_heap(list(ids), table)
    assert by_heap == merging._merge_by_scanning(list(ids), table)
    assert merge_pieces(list(ids), table) == by_heap


def test_a_hundred_thousand_equal_letters_take_no_quadratic_time() -> None:
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"aa", 257: b"aaaa"}
    tokenizer = Tokenizer(vocab, [(b"a", b"a"), (b"aa", b"aa")])
    assert tokenizer.encode("a" * 100_003) == [257] * 25_000 + [256, ord("a")]


def test_malformed_bytes_decode_to_the_replacement_character() -> None:
    first, *_ = trained().encode("東")
    assert trained().decode([255]) == "\ufffd"
    assert trained().decode([0xE6, 0x9D]) == "\ufffd"
    assert trained().decode([]) == ""
    assert isinstance(first, int)


@pytest.mark.parametrize("index", [-1, 10_000])
def test_an_id_out_of_range_is_named_with_the_range(index: int) -> None:
    with pytest.raises(DataError, match=rf"token id {index} is out of range.*0 to"):
        trained().decode([65, index])


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(DataError, match="surrogate"):
        trained().encode("a\ud800b")


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
    theirs = as_tiktoken(ours)
    for text in NASTY:
        assert ours.encode(text) == theirs.encode(text, allowed_special="all"), text
    # Known from GPT-2's own encoder.
    assert ours.encode("Hello world") == [15496, 995]
