"""Splitting text into pre-tokens, the pieces that merges never cross."""

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
        pattern: a regular expression. Its successive matches are pre-tokens, and so is the text
            between them. :meth:`split_stream` equals :meth:`split` for patterns whose matches
            depend on nothing before them, and on nothing after them beyond the rest of the word
            (text between white space), the white space that follows it and one more character.
        special_tokens: strings that are never split; where several match, the longest wins.

    Raises:
        DataError: the pattern is not a regular expression.
    """

    def __init__(self, pattern: str, special_tokens: Sequence[str]) -> None:
        self._pattern = compile_pattern(pattern)
        self._split = self._split_as_kernels if pattern in KINDS else self._split_with_gaps
        longest_first = sorted(special_tokens, key=len, reverse=True)
        self._special = (
            regex.compile("|".join(map(regex.escape, longest_first))) if longest_first else None
        )
        self._longest = len(longest_first[0]) if longest_first else 1

    def _split_as_kernels(self, text: str) -> list[str]:
        """The matches, which cover any text, by the frozen character classes of the kernels."""
        replacements = stand_ins()
        if not replacements:
            return self._pattern.findall(text)
        ends = [match.end() for match in self._pattern.finditer(text.translate(replacements))]
        return [text[start:end] for start, end in itertools.pairwise([0, *ends])]

    def _split_with_gaps(self, text: str) -> list[str]:
        """The matches of any pattern, and the text between them."""
        if not self._pattern.groups:  # with groups, findall would return these
            pieces = self._pattern.findall(text)
            if sum(map(len, pieces)) == len(text) and "" not in pieces:
                return pieces
        pieces, previous_end = [], 0
        for match in self._pattern.finditer(text):
            start, end = match.span()
            pieces += [text[previous_end:start], text[start:end]]
            previous_end = end
        pieces.append(text[previous_end:])
        return [piece for piece in pieces if piece]

    def split(self, text: str) -> Iterator[tuple[list[str], str | None]]:
        """Yield the pre-tokens before each special token, and that token (None at the end)."""
        start = 0
        if self._special is not None:
            for match in self._special.finditer(text):
                yield self._split(text[start : match.start()]), match[0]
                start = match.end()
        yield self._split(text[start:]), None

    def split_stream(
        self, strings: Iterable[str], rest: list[str] | None = None
    ) -> Iterator[tuple[list[str], str | None]]:
        """Split the concatenation of ``strings`` as :meth:`split` would, in bounded memory.

        Args:
            strings: the text.
            rest: where given, more text follows: text whose split may depend on it (the last word,
                or the start of a special token) is appended to ``rest`` instead of being split.
        """
        pending: list[str] = []
        length, threshold = 0, _BLOCK
        for string in strings:
            pending.append(string)
            length += len(string)
            if length < threshold:
                continue
            last = yield from self._split_final("".join(pending))
            pending, length = [last], len(last)
            # Try again only when a word longer than a block has doubled.
            threshold = max(_BLOCK, 2 * length)
        if rest is None:
            yield from self.split("".join(pending))
        else:
            rest += pending

    def _split_final(self, text: str) -> Generator[tuple[list[str], str | None], None, str]:
        """Yield the pieces that do not depend on what follows ``text``; return the rest."""
        start = 0
        if self._special is not None:
            for match in self._special.finditer(text):
                if match.start() + self._longest > len(text):
                    break  # a longer special token may begin here
                yield self._split(text[start : match.start()]), match[0]
                start = match.end()
        # A special token may begin in the last characters.
        known = text[start : max(start, len(text) - self._longest + 1)]
        pieces = self._split(known)
        end, final = len(known), _final_length(known)
        while pieces and end > final:
            end -= len(pieces.pop())
        yield pieces, None
        return text[start + end :]


def _final_length(text: str) -> int:
    """Length up to which pieces do not depend on what follows: the end of the last word but one."""
    before_last_word = text.rstrip().rsplit(maxsplit=1)[:-1]
    return len(before_last_word[0].rstrip()) if before_last_word else 0
