"""Spelling out the Unicode classes of a pattern, so that no library's Unicode version matters.

``\\p{L}`` is what the library at hand takes for a letter, and libraries differ: each version of
Unicode knows thousands of letters more. A pattern that leaves lmlab has the characters themselves
in place of the class, so that it cuts every text as here.
"""

from __future__ import annotations

import functools
import re

import regex

# One item of a pattern: an escape with its braces, or a character.
_ITEM = re.compile(r"\\[pP]\{\w+\}|\\.|.", flags=re.DOTALL)
_CLASS = re.compile(r"\\p\{\w+\}")
_SPELLED = ("L", "N")


def spell_out(pattern: str) -> str:
    """Replace ``\\p{...}`` in a pattern by the characters for which it stands."""
    spelled, inside = [], False
    for item in _ITEM.findall(pattern):
        if item in "[]":
            inside = item == "["
        if _CLASS.fullmatch(item):
            item = _ranges(item) if inside else f"[{_ranges(item)}]"
        spelled.append(item)
    return "".join(spelled)


def name_again(pattern: str) -> str:
    """Undo :func:`spell_out` for letters and numbers, where they are spelled as here."""
    for name in _SPELLED:
        item = f"\\p{{{name}}}"
        spelled = _ranges(item)
        pattern = pattern.replace(f"[{spelled}]", item).replace(spelled, item)
    return pattern


@functools.cache
def _ranges(item: str) -> str:
    """The characters of a class, as the inside of square brackets."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    parts = []
    for found in regex.finditer(f"{item}+", everything):
        first, last = found[0][0], found[0][-1]
        # Surrogates, left out above, would stand between these two.
        if first <= "\ud7ff" < "\ue000" <= last:
            parts += [(first, "\ud7ff"), ("\ue000", last)]
        else:
            parts.append((first, last))
    return "".join(
        _escaped(first) if first == last else f"{_escaped(first)}-{_escaped(last)}"
        for first, last in parts
    )


def _escaped(character: str) -> str:
    return f"\\{character}" if character in r"[]\^-&~|#" else character
