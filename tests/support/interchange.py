"""A tokenizer and hard texts for comparing libraries."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import tiktoken
from tokenizers import Tokenizer as HfTokenizer

from lmlab.tokenizer import Tokenizer, convert, train_bpe
from lmlab.tokenizer.formats.tiktoken import to_tiktoken

BYTES = {i: bytes([i]) for i in range(256)}


SPECIALS = ["<|endoftext|>", "<|user|>", "[PAD]"]


STORY = (
    "It's the low lower lowest newest widest story. We'll see 2024 of them, they've said!\n"
    "  The newest low is 1 000 lower…  naïve café — 東京 東京都 😀😀\r\n\r\n\t"
    "Ärger über Öl, ſ K Ω ﬁ \u0e01\u0e33\u0301 नमस्ते مرحبا \u200b\u200d\ufeff\u3000 x²₂½Ⅷ\n"
)


@functools.cache
def trained() -> Tokenizer:
    """A tokenizer whose merges include bytes of rare characters."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text(STORY * 3 + every_character()[2000::2000], encoding="utf-8", newline="")
        return train_bpe(path, 420, SPECIALS)


@functools.cache
def every_character() -> str:
    return "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


def hard_text() -> str:
    """Characters of all classes in all contexts of the pattern, and special tokens."""
    seventh = every_character()[::199] + every_character()[:0x2FF]
    around = "".join(f"a{c}b 1{c}2 !{c}? {c} \n{c}{c}'{c}ll" for c in seventh)
    return STORY.join(["", *SPECIALS, "<|endoftext|><|user|>", " <|end", ""]) + around


def three(tokenizer: Tokenizer, folder: Path) -> tuple[Tokenizer, HfTokenizer, tiktoken.Encoding]:
    (path,) = convert.write(tokenizer, folder, "hf")
    return (
        tokenizer,
        HfTokenizer.from_file(str(path)),
        tiktoken.Encoding(**to_tiktoken(tokenizer.vocabulary)),
    )
