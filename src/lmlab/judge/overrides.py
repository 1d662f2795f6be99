"""Lists of overrides as options of a command: ``[a=1,b=2]``."""

from __future__ import annotations

from collections.abc import Sequence

from lmlab.errors import ConfigError


def plain_overrides(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides in ``[a=1,b=[2,3]]``, ``a=1`` or several of these.

    Raises:
        ConfigError: a bracket or a quote is not closed.
    """
    found: list[str] = []
    for text in texts:
        inner = text.strip()
        if inner.startswith("[") and inner.endswith("]"):
            found += _split(inner[1:-1], text)
        else:
            found.append(inner)
    return tuple(found)


def _split(text: str, shown: str) -> list[str]:
    """Split at the commas that are in no bracket and no quote."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    if depth or quote:
        raise ConfigError(f"overrides={shown}: expected closed brackets and quotes")
    return [_unquoted(part.strip()) for part in parts if part.strip()]


def _unquoted(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text
