"""Character classes that do not depend on a library's version of Unicode.

Libraries disagree on ``\\p{L}``: each version of Unicode adds thousands of letters. Exported
patterns therefore list the characters in place of the class, so that every library splits text as
lmlab does. Where lmlab itself uses ``regex``, characters that ``regex`` classifies differently are
replaced by others of the right class.
"""

from __future__ import annotations

import functools
import re

import regex

from lmlab.tokenizer.kernels import classes

# One item of a pattern: an escape with its braces, or a single character.
_ITEM = re.compile(r"\\[pP]\{\w+\}|\\.|.", flags=re.DOTALL)
_CLASS = re.compile(r"\\p\{\w+\}")
_SPELLED = ("L", "N")
# A character per class that patterns match only through its class.
_STAND_INS = {
    classes.OTHER: "\u00a7",
    classes.LETTER: "\u00aa",
    classes.NUMBER: "\u00b2",
    classes.SPACE: "\u2003",
}


def spell_out_classes(pattern: str) -> str:
    """Replace each ``\\p{...}`` in a pattern by the characters of the class."""
    spelled, inside = [], False
    for item in _ITEM.findall(pattern):
        if item in "[]":
            inside = item == "["
        if _CLASS.fullmatch(item):
            item = _ranges(item) if inside else f"[{_ranges(item)}]"
        spelled.append(item)
    return "".join(spelled)


def name_classes(pattern: str) -> str:
    """Undo :func:`spell_out_classes` for letters and numbers."""
    for name in _SPELLED:
        item = f"\\p{{{name}}}"
        spelled = _ranges(item)
        pattern = pattern.replace(f"[{spelled}]", item).replace(spelled, item)
    return pattern


@functools.cache
def stand_ins() -> dict[int, str]:
    """A character of the right class for each that the installed ``regex`` classifies differently.

    ``regex`` splits ``text.translate(stand_ins())`` where the frozen classes split ``text``.
    """
    if regex.__version__ == classes.MADE_BY_REGEX:
        return {}
    import numpy as np  # not needed for encoding

    frozen = classes.class_of_each()
    found = np.frombuffer(classes.classes_of_regex(), dtype=np.uint8)
    return {int(code): _STAND_INS[int(frozen[code])] for code in np.flatnonzero(frozen != found)}


@functools.cache
def _ranges(item: str) -> str:
    """The characters of a class, as the content of square brackets."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    parts = []
    for found in regex.finditer(f"{item}+", everything.translate(stand_ins())):
        first, last = everything[found.start()], everything[found.end() - 1]
        # Split ranges at the surrogates, which are not in `everything`.
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
