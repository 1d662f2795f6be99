"""The patterns that the kernels implement."""

from __future__ import annotations

# GPT-2's pattern (Radford et al. 2019): contractions, words, numbers, other signs, white space.
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# The pattern of cl100k, GPT-4's vocabulary, as first published; Llama 3 uses it too.
CL100K_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_PATTERN = CL100K_PATTERN
# tiktoken's current version of it, which keeps white space at the end of a text together.
CL100K_ENDING_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_TIKTOKEN_GPT2_PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
)

GPT2, CL100K, CL100K_ENDING = 0, 1, 2
KINDS = {
    GPT2_PATTERN: GPT2,
    _TIKTOKEN_GPT2_PATTERN: GPT2,
    CL100K_PATTERN: CL100K,
    CL100K_ENDING_PATTERN: CL100K_ENDING,
}
