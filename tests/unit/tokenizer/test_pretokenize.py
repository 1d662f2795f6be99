"""A stream is split as the full text is, for every pattern."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_oracle import flat

from lmlab.tokenizer import pretokenize
from lmlab.tokenizer.kernels import kinds

# Patterns without kernels: that of GPT-4o, and one that groups digits in threes from the right.
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


IN_THREES = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))| ?\p{L}+|\s+"  # leaves text between matches


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
def test_pieces_do_not_depend_on_where_a_stream_is_cut(
    monkeypatch: pytest.MonkeyPatch, text: str, special_tokens: list[str], pattern: str
) -> None:
    # Compare pieces: different pieces may have the same ids.
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
def test_pieces_of_a_stream_equal_those_of_the_full_text(
    text: str, pattern: str, block: int
) -> None:
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
