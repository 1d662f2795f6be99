"""Text of other people, such as names and notes, in Markdown and CSV: shown as it is written.

The HTML page escapes all text; these functions do the same for the other forms of a report.
"""

from __future__ import annotations

import re

# What Markdown would read as something else than the character itself: a backslash before
# punctuation, code, emphasis that has an end, and the brackets of links, images and definitions.
_ACTIVE = re.compile(
    r"\\(?=[!-/:-@\[-`{-~])|`|\*(?=\S)|(?<=\S)\*|(?<![A-Za-z0-9])_(?=\S)|(?<=\S)_(?![A-Za-z0-9])"
    r"|\[(?=.*\][(\[:])"
)
_ENTITY = re.compile(r"&(?=#?\w+;)")
# Spreadsheets read a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


class Markdown(str):
    """A text that is Markdown already, and is not escaped again."""

    __slots__ = ()


def inline(text: str) -> Markdown:
    """Return a text in one line of Markdown, in which nothing is a link, HTML or emphasis."""
    if isinstance(text, Markdown):
        return text
    line = _ENTITY.sub("&amp;", re.sub(r"\s+", " ", str(text)))
    return Markdown(_ACTIVE.sub(r"\\\g<0>", line).replace("<", "&lt;"))


def paragraph(text: str) -> Markdown:
    """Return a text as a paragraph of Markdown that begins no heading, list, quote or rule."""
    line = Markdown(inline(text).strip())
    first = re.match(r"[-+>=~#|]|\d+(?=[.)](\s|$))", line)
    if first is None:
        return line
    digits = first[0] if first[0].isdigit() else ""
    return Markdown(f"{digits}\\{line[len(digits) :]}")


def cell(text: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return inline(text).strip().replace("|", "\\|")


def code_block(text: str) -> str:
    """Return a text as an indented block of code."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def fenced(text: str) -> str:
    """Return a text as a block of code between fences that it does not contain."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text}\n{fence}"


def csv_cell(value: object) -> object:
    """Return a value for a CSV file; a text that a spreadsheet would compute gets a ``'``."""
    if not isinstance(value, str) or not value.startswith(_FORMULA) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text) is not None
