"""An obvious encoder, and texts on which patterns and special tokens interact."""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import regex
from hypothesis import strategies as st

from lmlab.tokenizer import Tokenizer, train_bpe

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
    """Split at special tokens, then by the pattern, then merge the lowest rank repeatedly."""
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


def flat(split: Iterator[tuple[list[str], str | None]]) -> list[str]:
    return [piece for pieces, special in split for piece in [*pieces, special] if piece is not None]
