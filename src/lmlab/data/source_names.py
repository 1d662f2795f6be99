"""Messages of a source of a mixture, which name its settings where they are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator

from lmlab.errors import TextChangedError, UserError

_KEYS = ("train", "valid", "valid_fraction", "tokens")


@contextlib.contextmanager
def named(source: str, keys: Iterable[str] = ()) -> Iterator[None]:
    """Let errors name ``data.sources.<source>.train`` in place of ``data.train``, or the source.

    Args:
        source: name of the source.
        keys: its settings.

    Raises:
        UserError: the errors inside, renamed.
    """
    try:
        yield
    except TextChangedError:
        raise  # names files
    except UserError as error:
        settings = "|".join(map(re.escape, {*_KEYS, *keys}))
        found = re.compile(rf"(?<![\w./=-])data\.(?=(?:{settings})\b)")
        place = f"data.sources.{source}"
        message = found.sub(f"{place}.", error.message)
        is_named = message != error.message
        error.message = message if is_named else f"{place}: {message}"
        error.help = None if error.help is None else found.sub(f"{place}.", error.help)
        error.args = (error.message, error.help)
        raise
