"""Requests of items, with errors that name file and line."""

from __future__ import annotations

from pathlib import Path

from lmlab.errors import DataError
from lmlab.tasks.items import Item
from lmlab.tasks.requests import Request, make_request
from lmlab.tokenizer import Tokenizer


def request_of(
    item: Item, continuation: str, path: Path, tokenizer: Tokenizer, context_length: int
) -> Request:
    """Return the request of one continuation of an item.

    Args:
        item: of a task.
        continuation: one of its continuations.
        path: of the file, for messages.
        tokenizer: of the model.
        context_length: most tokens that the model reads, T.

    Raises:
        DataError: it has no token, or more than the model reads.
    """
    place = f"{path}: line {item.line}"
    try:
        request = make_request(tokenizer, item.context, continuation)
    except ValueError as error:
        raise DataError(f"{place}: {error}", "change the item, or set another delimiter") from error
    if len(request.continuation) > context_length:
        raise DataError(
            f"{place}: expected continuations of up to model.context_length={context_length} "
            f"tokens, found {len(request.continuation)}: {continuation[:60]!r} ...",
            "remove the item, or use a model with a longer context",
        )
    return request
