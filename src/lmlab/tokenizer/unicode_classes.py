"""Classes of characters that depend on no library's version of Unicode.

``\\p{L}`` is what the library at hand takes for a letter, and libraries differ: each version of
Unicode knows thousands of letters more. A pattern that leaves lmlab has the characters themselves
in place of the class, so that it cuts every text as here; and where ``regex`` cuts a text here,
characters that it knows otherwise are replaced by some that it knows.
"""

from __future__ import annotations

import functools
import re

import regex

from lmlab.tokenizer.kernels import classes

# One item of a pattern: an escape with its braces, or a character.
_ITEM = re.compile(r"\\[pP]\{\w+\}|\\.|.", flags=re.DOTALL)
_CLASS = re.compile(r"\\p\{\w+\}")
_SPELLED = ("L", "N")
# Characters of each class that patterns name no other way.
_STAND_INS = {
    classes.OTHER: "\u00a7",
    classes.LETTER: "\u00aa",
    classes.NUMBER: "\u00b2",
    classes.SPACE: "\u2003",
}


def spell_out_classes(pattern: str) -> str:
    """Replace ``\\p{...}`` in a pattern by the characters for which it stands."""
    spelled, inside = [], False
    for item in _ITEM.findall(pattern):
        if item in "[]":
            inside = item == "["
        if _CLASS.fullmatch(item):
            item = _ranges(item) if inside else f"[{_ranges(item)}]"
        spelled.append(item)
    return "".join(spelled)


def name_classes(pattern: str) -> str:
    """Undo :func:`spell_out_classes` for letters and numbers, where they are spelled as here."""
    for name in _SPELLED:
        item = f"\\p{{{name}}}"
        spelled = _ranges(item)
        pattern = pattern.replace(f"[{spelled}]", item).replace(spelled, item)
    return pattern


@functools.cache
def stand_ins() -> dict[int, str]:
    """A character of the right class for each that the installed ``regex`` puts into another.

    ``text.translate(stand_ins())`` is cut by that library where the frozen classes cut ``text``.
    """
    if regex.__version__ == classes.MADE_BY_REGEX:
        return {}
    import numpy as np  # here and below: not for whoever only encodes

    frozen = classes.class_of_each()
    found = np.frombuffer(classes.classes_of_regex(), dtype=np.uint8)
    return {int(code): _STAND_INS[int(frozen[code])] for code in np.flatnonzero(frozen != found)}


@functools.cache
def _ranges(item: str) -> str:
    """The characters of a class, as the inside of square brackets."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    parts = []
    for found in regex.finditer(f"{item}+", everything.translate(stand_ins())):
        first, last = everything[found.start()], everything[found.end() - 1]
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
