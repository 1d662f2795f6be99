"""Cutting text into pre-tokens, the pieces that merges never reach across."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence

import regex

# A match is final once this many characters after it are known: "'" may still become "'ll".
_LOOKAHEAD = 2
_BLOCK = 1 << 16


def check_pattern(pattern: str) -> None:
    """Raise ValueError for what is no regular expression."""
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise ValueError(str(error)) from error


class PreTokenizer:
    """Splits text at special tokens, and the rest by a pattern.

    Args:
        pattern: a regular expression whose matches, one after the other, cover any text, and
            whose match depends on no more than the characters in it and the run of characters of
            the same kind and two more after it.
        special_tokens: strings that are never split; where several fit, the longest is taken.
    """

    def __init__(self, pattern: str, special_tokens: Sequence[str]) -> None:
        self._findall = regex.compile(pattern).findall
        longest_first = sorted(special_tokens, key=len, reverse=True)
        self._special = (
            regex.compile("|".join(map(regex.escape, longest_first))) if longest_first else None
        )
        self._longest = len(longest_first[0]) if longest_first else 1

    def split(self, text: str) -> Iterator[tuple[list[str], str | None]]:
        """Yield the pre-tokens before each special token, and that token (None at the end)."""
        start = 0
        if self._special is not None:
            for match in self._special.finditer(text):
                yield self._findall(text[start : match.start()]), match[0]
                start = match.end()
        yield self._findall(text[start:]), None

    def split_stream(
        self, strings: Iterable[str], rest: list[str] | None = None
    ) -> Iterator[tuple[list[str], str | None]]:
        """Split the concatenation of ``strings`` as :meth:`split` would, in bounded memory.

        Where ``rest`` is given, more text is to come: what is held back at the end is added to it.

        What is held back is the text whose cutting may still depend on what follows: a run of
        characters of one kind, or the beginning of a special token.
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
            # A run longer than a block is looked at again only when it has doubled.
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
                yield self._findall(text[start : match.start()]), match[0]
                start = match.end()
        # A special token may begin in the last characters.
        known = text[start : max(start, len(text) - self._longest + 1)]
        pieces = self._findall(known)
        end = len(known)
        while pieces and end > len(known) - _LOOKAHEAD:
            end -= len(pieces.pop())
        yield pieces, None
        return text[start + (end if pieces else 0) :]
