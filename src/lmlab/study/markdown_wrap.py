"""Wraps Markdown at a width, without changing what it means."""

from __future__ import annotations

import re
import textwrap


def wrap_markdown(text: str, width: int = 100) -> str:
    """Wrap paragraphs and list items; leave tables, headings, images and indented code alone."""
    return "\n".join(_wrap_line(line, width) for line in text.split("\n"))


def _wrap_line(line: str, width: int) -> str:
    if len(line) <= width or re.match(r"\||#|!\[|\s", line):
        return line
    # A marker of a list item at the start of a line would begin a new item.
    glued = re.sub(r" (?=([-+*]|\d+[.)]) )", "\0", line.removeprefix("- "))
    item = line.startswith("- ")
    lines = textwrap.wrap(
        glued, width, initial_indent="- " if item else "", subsequent_indent="  " if item else "",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(lines).replace("\0", " ")
