"""The argument ``zip(optim.lr=1e-3:3e-3, training.steps=500:1000)`` of a multirun.

Hydra's grammar has no such form. It is read here, and Hydra sees the two axes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lmlab.errors import ConfigError

# Axes with the same tag that starts so advance together: tag(zip,choice(1,2)).
ZIP_TAG = "zip"
_ARGUMENT = re.compile(r"\s*zip\s*\((.*)\)\s*", flags=re.DOTALL)
_PAIR = re.compile(r"\s*(\+{0,2}[A-Za-z_][\w./@-]*)\s*=(.*)", flags=re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"
_EXAMPLE = "'zip(optim.lr=1e-3:3e-3, training.steps=500:1000)'"


def is_zip(argument: str) -> bool:
    """Whether an argument has the form ``zip(...)``."""
    return _ARGUMENT.fullmatch(argument) is not None


def as_overrides(argument: str) -> list[str]:
    """Return an override for each setting of ``zip(...)``, with its values after commas.

    Values are separated by colons or commas. Quotes and brackets protect both.

    Raises:
        ConfigError: the argument names no setting, or one without values.
    """
    match = _ARGUMENT.fullmatch(argument)
    assert match is not None
    values: dict[str, list[str]] = {}
    key = None
    for part in _split(match[1], ","):
        pair = _PAIR.fullmatch(part)
        if pair:
            key = pair[1]
            if key in values:
                raise ConfigError(f"{argument}: {key} is given twice", "give all values at once")
            values[key] = []
        if key is None:
            raise ConfigError(f"{argument}: expected key=value:value", f"write {_EXAMPLE}")
        values[key] += [text.strip() for text in _split(pair[2] if pair else part, ":")]
    if len(values) < 2 or not all(all(texts) for texts in values.values()):
        raise ConfigError(
            f"{argument}: expected two or more settings with values", f"write {_EXAMPLE}"
        )
    return [f"{key}={','.join(texts)}" for key, texts in values.items()]


def rewrite_zip(argument: str, rewrite: Callable[[str], str]) -> str:
    """Return the argument with each of its overrides rewritten."""
    return f"zip({', '.join(map(rewrite, as_overrides(argument)))})"


def _split(text: str, separator: str) -> Iterator[str]:
    """Split at separators outside quotes and brackets."""
    depth, quote, start = 0, "", 0
    for index, character in enumerate(text):
        if quote:
            if character == quote and text[index - 1] != "\\":
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == separator and depth == 0:
            yield text[start:index]
            start = index + 1
    yield text[start:]
