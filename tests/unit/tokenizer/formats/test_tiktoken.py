"""Vocabularies convert to ranks and back, or are rejected."""

from __future__ import annotations

from typing import Any

import pytest
from interchange import BYTES, trained

from lmlab.errors import DataError
from lmlab.tokenizer.formats.tiktoken import from_tiktoken, ranks_text, read_ranks, to_tiktoken
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.vocabulary import BPEVocabulary


@pytest.mark.parametrize(
    ("vocab", "merges", "specials", "message"),
    [
        # "abc" is made of "a" and "bc", but by ranks of "ab" and "c".
        ({256: b"bc", 257: b"abc", 258: b"ab"}, [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc")], [],
         "format=tiktoken: cannot represent this tokenizer exactly"),
        ({256: b"ab"}, [], [], "format=tiktoken: cannot represent this tokenizer exactly"),
        ({256: b"ab", 257: b"ab"}, [(b"a", b"b")], [], "same bytes"),
        ({}, [], ["<|x|>", "<|x|>y"], "lmlab always matches the longer one"),
    ],
)  # fmt: skip
def test_vocabularies_without_an_exact_tiktoken_form_are_refused(
    vocab: dict[int, bytes], merges: list[Any], specials: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        to_tiktoken(BPEVocabulary(BYTES | vocab, merges, specials))


def test_ranks_convert_back_to_the_same_vocabulary() -> None:
    vocabulary = trained().vocabulary
    encoding = to_tiktoken(vocabulary)
    ranks = read_ranks(ranks_text(encoding["mergeable_ranks"]))
    assert ranks == encoding["mergeable_ranks"]
    again = from_tiktoken(ranks, encoding["pat_str"], encoding["special_tokens"])
    assert again == vocabulary


@pytest.mark.parametrize("line", ["YQ==", "YQ== x", "Y 1", "YQ== 1 2"])
def test_a_damaged_line_is_reported_by_its_number(line: str) -> None:
    with pytest.raises(DataError, match="line 2: expected base64 and a rank"):
        read_ranks(f"YQ== 0\n{line}\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"xyz": 300}, "an entry that no two others merge to"),
        ({b"aa": 256}, r"id 256 belongs to b'aa'"),
    ],
)
def test_ranks_that_are_no_plain_bpe_are_refused(change: dict[bytes, int], message: str) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | change
    with pytest.raises(DataError, match=message):
        from_tiktoken(ranks, GPT2_PATTERN, {"<|x|>": 256})
