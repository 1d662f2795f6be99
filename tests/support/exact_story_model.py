"""The story grammar as a model: the exact probability of each next token, for any vocabulary.

Text is a sequence of pieces (words, punctuation), and a vocabulary encodes each piece by itself. So
the next token is one of the piece that has begun, if it is not complete, and the first one of the
next piece otherwise; the grammar gives the probability of each piece. Nothing is approximated, and
no code is shared with what chooses and scores items.
"""

from __future__ import annotations

import collections
import functools
import math
import re

import torch

from lmlab.data.prefix_probability import Prefix
from lmlab.data.stories import DOCUMENT
from lmlab.tokenizer import Tokenizer

START = "<|endoftext|>\n"
_PIECES = re.compile(r" ?\w+| ?[^\w\s]+|\s+")


class ExactStoryModel:
    """Has what scores a Transformer: ``hidden``, ``head``, ``device`` and sizes.

    Its hidden state is the number of the prefix that has been read.
    """

    device = torch.device("cpu")

    def __init__(self, tokenizer: Tokenizer, context_length: int = 4096) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = tokenizer.vocab_size
        self.context_length = context_length
        self._prefixes: list[tuple[int, ...]] = []
        self._uniform = dict.fromkeys(range(self.vocab_size), 1 / self.vocab_size)

    def hidden(self, ids_BT: torch.Tensor) -> torch.Tensor:
        numbers = []
        for row in ids_BT.tolist():
            for length in range(1, len(row) + 1):
                numbers.append(len(self._prefixes))
                self._prefixes.append(tuple(row[:length]))
        return torch.tensor(numbers).reshape(*ids_BT.shape, 1)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = torch.full((*hidden.shape[:-1], self.vocab_size), -math.inf, dtype=torch.float64)
        rows = logits.view(-1, self.vocab_size)
        for row, number in enumerate(hidden.flatten().tolist()):
            for token, prob in self.next_tokens(self._prefixes[number]).items():
                rows[row, token] = math.log(prob)
        return logits

    @functools.lru_cache(maxsize=100_000)  # noqa: B019
    def next_tokens(self, ids: tuple[int, ...]) -> dict[int, float]:
        text = self.tokenizer.decode(ids)
        assert text.startswith(START)
        text = text[len(START) :]
        last = [piece.start() for piece in _PIECES.finditer(text)][-1:]
        begun = text[last[0] :] if last else ""
        before = _prefix(text[: len(text) - len(begun)])
        if before.log_prob == -math.inf:  # nothing follows what is impossible
            return self._uniform
        spoken = self._last_tokens(ids, len(begun))
        found: dict[int, float] = collections.defaultdict(float)
        for text, prob in before.next_pieces(2).items():
            ahead = [token for piece in _PIECES.findall(text) for token in self.encode(piece)]
            if tuple(ahead[: len(spoken)]) == spoken and len(ahead) > len(spoken):
                found[ahead[len(spoken)]] += prob
        total = sum(found.values())
        return {token: prob / total for token, prob in found.items()} or self._uniform

    def _last_tokens(self, ids: tuple[int, ...], num_bytes: int) -> tuple[int, ...]:
        first = len(ids)
        while num_bytes:
            first -= 1
            num_bytes -= len(self.tokenizer.token_bytes(ids[first]))
            assert num_bytes >= 0, "a token crosses pieces"
        return ids[first:]

    @functools.lru_cache(maxsize=10_000)  # noqa: B019
    def encode(self, piece: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(piece))


@functools.lru_cache(maxsize=20_000)
def _prefix(text: str) -> Prefix:
    return Prefix.empty(DOCUMENT).extend(text)
