"""Byte counts, durations and tables as text. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def format_bytes(size: float, number_format: str = ".3g") -> str:
    """Format a byte count in the decimal unit that leaves a number from 1 to 999.

    Args:
        size: number of bytes.
        number_format: format specification of the number, for units above the byte.
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:{number_format}} {unit}"
        size /= 1000
    return f"{size:{number_format}} TB" if size < 1000 else f"{size:,.0f} TB"


def format_duration(seconds: float) -> str:
    """Format a duration in seconds, minutes, hours or days."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:,.1f} days"


def format_count(number: float, noun: str, plural: str | None = None) -> str:
    """Format a number of things: ``1 run``, ``2,000 runs``.

    Args:
        number: how many.
        noun: for one.
        plural: for any other number; by default with an ``s``.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def format_rounded(number: float) -> str:
    """Format a number of parameters or tokens with three digits: ``52,300``."""
    return f"{float(f'{number:.3g}'):,.0f}"


def format_list(words: Iterable[str]) -> str:
    """Join one word or more: ``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def align_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each row of a table, its cells padded to the width of their column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
