"""Sections and tables of a ladder's report as plain values, for the page and for Markdown.

A section has an ``id``, a ``heading``, ``figures`` (names of files without a suffix, which the
report draws), ``tables`` and ``notes``. A table has a ``label``, ``columns``, ``rows`` of texts,
and ``words``: which columns hold words rather than numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Section = dict[str, Any]


def section(
    name: str, heading: str, tables: Sequence[dict[str, Any]], notes: Sequence[str],
    figures: Sequence[str] = (),
) -> Section:  # fmt: skip
    """Return a section, without tables that have no rows and notes that say nothing."""
    return {
        "id": name,
        "heading": heading,
        "figures": list(figures),
        "tables": [one for one in tables if one["rows"]],
        "notes": [note for note in notes if note],
    }


def table(
    label: str, columns: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Return a table."""
    return {
        "label": label,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "words": list(words),
    }
