"""Requests of items, with errors that name file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lmlab.errors import DataError
from lmlab.tasks.items import Item
from lmlab.tasks.requests import Request, make_request
from lmlab.tokenizer import Tokenizer


def requests_of(
    items: Sequence[Item], path: Path, tokenizer: Tokenizer, context_length: int
) -> tuple[Request, ...]:
    """Return the requests of all continuations of all items, in order.

    Args:
        items: of a task.
        path: of the file, for messages.
        tokenizer: of the model.
        context_length: most tokens that the model reads, T.

    Raises:
        DataError: a continuation has no token, or more than the model reads.
    """
    return tuple(
        _request(item, continuation, path, tokenizer, context_length)
        for item in items
        for continuation in item.continuations
    )


def _request(
    item: Item, continuation: str, path: Path, tokenizer: Tokenizer, context_length: int
) -> Request:
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
