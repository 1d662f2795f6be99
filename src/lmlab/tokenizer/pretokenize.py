"""Cutting text into pre-tokens, the pieces that merges never reach across."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import regex

from lmlab.errors import DataError
from lmlab.tokenizer.kernels.kinds import KINDS
from lmlab.tokenizer.unicode_classes import stand_ins

_BLOCK = 1 << 16


def compile_pattern(pattern: str) -> Any:
    """Compile a pattern of pre-tokens. Raises :class:`DataError` where it is not valid."""
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise DataError(f"pattern={pattern!r}: expected a regular expression ({error})") from error


class PreTokenizer:
    """Splits text at special tokens, and the rest by a pattern.

    Args:
        pattern: a regular expression. Its matches, one after the other, are pieces, and so is what
            lies between them. A stream is cut as the whole text is where what a piece is depends
            on nothing before it, and on no more after it than the rest of the word, the white space
            behind that and one character; a word is what stands between white space.
        special_tokens: strings that are never split; where several fit, the longest is taken.

    Raises:
        DataError: the pattern is no regular expression.
    """

    def __init__(self, pattern: str, special_tokens: Sequence[str]) -> None:
        self._pattern = compile_pattern(pattern)
        self._cut = self._cut_as_frozen if pattern in KINDS else self._isolate
        longest_first = sorted(special_tokens, key=len, reverse=True)
        self._special = (
            regex.compile("|".join(map(regex.escape, longest_first))) if longest_first else None
        )
        self._longest = len(longest_first[0]) if longest_first else 1

    def _cut_as_frozen(self, text: str) -> list[str]:
        """The pieces of a pattern whose matches cover any text, by the kernels' classes."""
        others = stand_ins()
        if not others:
            return self._pattern.findall(text)
        ends = [match.end() for match in self._pattern.finditer(text.translate(others))]
        return [text[start:end] for start, end in itertools.pairwise([0, *ends])]

    def _isolate(self, text: str) -> list[str]:
        """The matches of any pattern, and what lies between them."""
        if not self._pattern.groups:  # with groups, these would be found
            pieces = self._pattern.findall(text)
            if sum(map(len, pieces)) == len(text) and "" not in pieces:
                return pieces
        pieces, behind = [], 0
        for match in self._pattern.finditer(text):
            start, end = match.span()
            pieces += [text[behind:start], text[start:end]]
            behind = end
        pieces.append(text[behind:])
        return [piece for piece in pieces if piece]

    def split(self, text: str) -> Iterator[tuple[list[str], str | None]]:
        """Yield the pre-tokens before each special token, and that token (None at the end)."""
        start = 0
        if self._special is not None:
            for match in self._special.finditer(text):
                yield self._cut(text[start : match.start()]), match[0]
                start = match.end()
        yield self._cut(text[start:]), None

    def split_stream(
        self, strings: Iterable[str], rest: list[str] | None = None
    ) -> Iterator[tuple[list[str], str | None]]:
        """Split the concatenation of ``strings`` as :meth:`split` would, in bounded memory.

        Where ``rest`` is given, more text is to come: what is held back at the end is added to it.

        What is held back is the text whose cutting may still depend on what follows: the last
        word, or the beginning of a special token.
        """
        held: list[str] = []
        length, enough = 0, _BLOCK
        for string in strings:
            held.append(string)
            length += len(string)
            if length < enough:
                continue
            last = yield from self._split_final("".join(held))
            held, length = [last], len(last)
            # A word longer than a block is looked at again only when it has doubled.
            enough = max(_BLOCK, 2 * length)
        if rest is None:
            yield from self.split("".join(held))
        else:
            rest += held

    def _split_final(self, text: str) -> Generator[tuple[list[str], str | None], None, str]:
        """Yield what is certain whatever follows ``text``; return the rest."""
        start = 0
        if self._special is not None:
            for match in self._special.finditer(text):
                if match.start() + self._longest > len(text):
                    break  # a longer special token may begin here
                yield self._cut(text[start : match.start()]), match[0]
                start = match.end()
        # A special token may begin in the last characters.
        known = text[start : max(start, len(text) - self._longest + 1)]
        pieces = self._cut(known)
        end, most = len(known), _certain(known)
        while pieces and end > most:
            end -= len(pieces.pop())
        yield pieces, None
        return text[start + end :]


def _certain(text: str) -> int:
    """Up to where pieces are the same whatever follows: where white space begins that has ended."""
    before_last_word = text.rstrip().rsplit(maxsplit=1)[:-1]
    return len(before_last_word[0].rstrip()) if before_last_word else 0
