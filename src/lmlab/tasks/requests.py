"""Requests: token ids of a context and of the continuation whose likelihood is asked for.

Text is split into both as lm-evaluation-harness does (``TemplateLM.loglikelihood`` and
``get_rolling_token_windows`` of version 0.4), so that scores can be compared with those published.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lmlab.tokenizer import Tokenizer

Ids = np.ndarray[Any, np.dtype[np.int64]]


@dataclasses.dataclass(frozen=True)
class Request:
    """A continuation after a context.

    Attributes:
        context: ids, at least one.
        continuation: ids whose log-likelihood is asked for, at least one.
    """

    context: Ids
    continuation: Ids

    def window(self, context_length: int) -> Ids:
        """Return context and continuation, cut from the left to T inputs and the last target."""
        return np.concatenate([self.context, self.continuation])[-(context_length + 1) :]


def num_tokens(requests: Iterable[Request]) -> int:
    """Return the tokens of contexts and continuations, of which the last is no input."""
    return sum(len(one.context) + len(one.continuation) - 1 for one in requests)


def make_request(tokenizer: Tokenizer, context: str, continuation: str) -> Request:
    """Return the ids of a continuation after a context.

    White space at the end of the context is moved to the continuation. Both are encoded together,
    and cut where the encoding of the context alone ends. Without a context, the continuation
    follows the token that starts a text, unless it begins with it.

    Args:
        tokenizer: of the model.
        context: text, perhaps empty.
        continuation: text that is not empty.

    Raises:
        ValueError: no token is left for the continuation.
    """
    stripped = context.rstrip()
    continuation = context[len(stripped) :] + continuation
    if stripped:
        whole, before = _encode(tokenizer, stripped + continuation), _encode(tokenizer, stripped)
        request = Request(before, whole[len(before) :])
    else:
        ids, start = _encode(tokenizer, continuation), np.array([tokenizer.start_id])
        starts_itself = len(ids) > 0 and ids[0] == start[0]
        request = Request(ids[:1], ids[1:]) if starts_itself else Request(start, ids)
    if not len(request.continuation):
        raise ValueError(f"{continuation!r} adds no token to its context")
    return request


def rolling_requests(tokenizer: Tokenizer, ids: Ids, context_length: int) -> Iterator[Request]:
    """Yield windows that predict each token of a text once, after the token that starts a text.

    The windows are disjoint, except that the last one is extended to the left to a full context.

    Args:
        tokenizer: of the model.
        ids: of the text, (num_tokens,).
        context_length: most tokens that the model reads, T.
    """
    padded = np.concatenate([[tokenizer.start_id], ids])
    for start in range(0, len(ids), context_length):
        end = min(start + context_length, len(ids))
        # Inputs are padded[first : end], of which the last end - start predict the next token.
        first = 0 if start == 0 else end - context_length
        yield Request(padded[first : start + 1], padded[start + 1 : end + 1])


def _encode(tokenizer: Tokenizer, text: str) -> Ids:
    return np.asarray(tokenizer.encode_array(text), dtype=np.int64)
