"""Bytes of text: the denominator of bits per byte, which no tokenizer changes.

``<|endoftext|>`` separates the documents of a file and is not part of their text, no matter which
tokens encode it. Everything else counts with its UTF-8 bytes, other special tokens included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmlab.data.ids import Ids
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.text_markers import END_OF_TEXT

_MARKER = END_OF_TEXT.encode()
_PART = 1 << 20  # tokens at once


def text_bytes(tokenizer: Tokenizer, tokens: Ids, end_id: int | None = None) -> int:
    """UTF-8 bytes of the text that ``tokens`` encode, without ``<|endoftext|>``.

    Args:
        tokenizer: the one that encoded the text.
        tokens: (num_tokens,) ids, for example a memmap.
        end_id: the id that follows each document and is not part of its text, in which markers
            that it spells are text; None for text that was read as it stands.
    """
    lengths = tokenizer.token_byte_lengths
    if end_id is not None:
        lengths = np.array(tokenizer.ids.lengths, dtype=np.int64)
        lengths[end_id] = 0
        parts = range(0, len(tokens), _PART)
        return sum(int(lengths[tokens[start : start + _PART]].sum()) for start in parts)
    is_special = END_OF_TEXT in tokenizer.ids.special_ids
    total, before = 0, b""
    for start in range(0, len(tokens), _PART):
        part = tokens[start : start + _PART]
        total += int(lengths[part].sum())
        if not is_special:  # it is spelled by ordinary tokens
            data = before + b"".join(map(tokenizer.token_bytes, part.tolist()))
            total -= len(_MARKER) * data.count(_MARKER)
            rest = data.rpartition(_MARKER)[2]
            # A marker may continue in the next part.
            before = rest[max(0, len(rest) - len(_MARKER) + 1) :]
    return total


def evaluated_bytes(
    tokenizer: Tokenizer,
    tokens: Ids,
    windows: Sequence[tuple[int, int]],
    end_id: int | None = None,
) -> int:
    """Bytes of the text on which :class:`lmlab.training.evaluator.Evaluator` measures a model.

    Windows that cover all tokens measure the full text. Its first token has no context and is not
    predicted, but its bytes count: how many they are depends on the tokenizer. Windows that cover a
    part measure the text of the tokens that they predict.

    Args:
        tokenizer: the one that encoded the text.
        tokens: (num_tokens,) ids.
        windows: start and length in tokens; all tokens of a window but the first are predicted.
        end_id: see :func:`text_bytes`.
    """
    if sum(length - 1 for _, length in windows) >= len(tokens) - 1:
        return text_bytes(tokenizer, tokens, end_id)
    return sum(text_bytes(tokenizer, tokens[a + 1 : a + n], end_id) for a, n in windows)
