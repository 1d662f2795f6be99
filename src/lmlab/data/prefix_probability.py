"""What follows the beginning of a text, and how likely: the exact conditional of a grammar.

The probability of a prefix is the sum over all derivations whose text begins with it. It is found
by expanding the grammar from the left: one choice at a time, as far as the prefix is spoken, and
keeping what has not been expanded (its probabilities sum to 1, so it needs no enumeration). This is
the forward algorithm over the choices of the grammar; for context-free grammars it is the prefix
probability of Jelinek and Lafferty (1991), which here is finite because no part contains itself.
Options that were picked are remembered, so the grammar is not context-free, and each derivation
carries its own memory.

Texts are characters. No tokenizer is involved.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lmlab.data.grammar import Memory, Mention, as_node

END = ""  # what follows the last character of a text
_PIECE = re.compile(r" ?\w+| ?[^\w\s]+|\s+")


@dataclasses.dataclass(frozen=True, slots=True)
class _Derivation:
    """A derivation of a prefix, expanded as far as needed.

    Attributes:
        log_prob: of its choices, in nats.
        pending: words that it has said beyond the prefix.
        memory: the options picked so far.
        rest: parts that follow the pending words, as a linked list.
        mentions: the options said so far and where, the last ones first, as a linked list.
        length: characters said so far, the pending ones included.
    """

    log_prob: float
    pending: str
    memory: Memory
    rest: Any
    mentions: Any
    length: int

    def expansions(self, text: str = "", start: int = 0) -> Iterator[_Derivation]:
        """Yield each way to expand the next part.

        Args:
            text: what follows the words said so far, from ``start`` on, or its beginning; ways
                that say something else are left out.
            start: index in ``text``.
        """
        node, rest = self.rest
        for log_prob, words, then, memory, mentions in node.expand(self.memory):
            if not text.startswith(words[: max(0, len(text) - start)], start):
                continue
            after = rest
            for part in reversed(then):
                after = (part, after)
            yield _Derivation(
                self.log_prob + log_prob, words, memory, after,
                ((self.length, mentions), self.mentions) if mentions else self.mentions,
                self.length + len(words),
            )  # fmt: skip


class Prefix:
    """The beginning of a text of a grammar, with all derivations that begin so.

    Start from :meth:`empty` and :meth:`extend` it.
    """

    def __init__(self, text: str, derivations: Sequence[_Derivation]) -> None:
        self.text = text
        self._derivations = derivations

    @classmethod
    def empty(cls, grammar: Any) -> Prefix:
        """Return the empty prefix, whose probability is 1.

        Args:
            grammar: a part of a grammar, as :func:`lmlab.data.grammar.as_node` takes it.
        """
        return cls("", [_Derivation(0.0, "", {}, (as_node(grammar), ()), (), 0)])

    def extend(self, text: str) -> Prefix:
        """Return the prefix with ``text`` after it; its probability may be 0."""
        kept = []
        open_ones = [(one, 0) for one in reversed(self._derivations)]
        while open_ones:
            derivation, start = open_ones.pop()
            pending = derivation.pending
            length = min(len(pending), len(text) - start)
            if not text.startswith(pending[:length], start):
                continue
            if start + length == len(text):
                kept.append(dataclasses.replace(derivation, pending=pending[length:]))
            elif derivation.rest:
                place = start + length
                expanded = list(derivation.expansions(text, place))
                open_ones.extend((one, place) for one in reversed(expanded))
        return Prefix(self.text + text, kept)

    @functools.cached_property
    def log_prob(self) -> float:
        """Log-probability in nats that a text begins with the prefix; -inf if none does."""
        return _log_sum([one.log_prob for one in self._derivations])

    def log_prob_of(self, continuation: str) -> float:
        """Log-probability in nats that ``continuation`` follows; -inf if it cannot.

        Raises:
            ValueError: no text begins with the prefix.
        """
        self._check()
        return self.extend(continuation).log_prob - self.log_prob

    def next_characters(self) -> dict[str, float]:
        """Return the probability of each next character, and of :data:`END`.

        Raises:
            ValueError: no text begins with the prefix.
        """
        self._check()
        found: dict[str, list[float]] = {}
        open_ones = list(reversed(self._derivations))
        while open_ones:
            derivation = open_ones.pop()
            if derivation.pending or not derivation.rest:
                found.setdefault(derivation.pending[:1], []).append(derivation.log_prob)
            else:
                open_ones.extend(reversed(list(derivation.expansions())))
        return {char: math.exp(_log_sum(logs) - self.log_prob) for char, logs in found.items()}

    def next_pieces(self, count: int = 1) -> dict[str, float]:
        """Return the probability of each sequence of the next ``count`` pieces of text.

        A piece is a word or a run of punctuation, with the space before it, or white space. A
        sequence is complete where a further piece or the end of the text follows; it is shorter
        where the text ends before, and "" if it ends here.

        Raises:
            ValueError: no text begins with the prefix.
        """
        self._check()
        found: dict[str, float] = {}
        open_ones: list[tuple[str, Prefix, float]] = [("", self, 1.0)]
        while open_ones:
            text, prefix, prob = open_ones.pop()
            for char, share in reversed(prefix.next_characters().items()):
                pieces = _PIECE.findall(text + char)
                if char == END or len(pieces) > count:
                    found[text] = found.get(text, 0.0) + prob * share
                else:
                    open_ones.append((text + char, prefix.extend(char), prob * share))
        return found

    def mentions(self) -> list[Mention]:
        """Return the options that the prefix mentions completely, in order of their place.

        Raises:
            ValueError: the prefix has several derivations, or none.
        """
        if len(self._derivations) != 1:
            raise ValueError(f"{self.text[-60:]!r}: expected one derivation, found {len(self)}")
        found: list[Mention] = []
        rest = self._derivations[0].mentions
        while rest:
            (offset, mentions), rest = rest
            found += [one._replace(start=offset + one.start) for one in mentions[::-1]]
        return [one for one in found[::-1] if one.start + len(one.words) <= len(self.text)]

    def __len__(self) -> int:
        """Return the number of derivations."""
        return len(self._derivations)

    def _check(self) -> None:
        if not self._derivations:
            raise ValueError(f"{self.text[-60:]!r}: no text of the grammar begins so")


def _log_sum(logs: Sequence[float]) -> float:
    """Return the logarithm of the sum of exponentials."""
    highest = max(logs, default=-math.inf)
    if len(logs) <= 1 or highest == -math.inf:
        return highest
    return highest + math.log(math.fsum(math.exp(value - highest) for value in logs))
