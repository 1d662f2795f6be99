"""Ids of a source in memory's place: a file that the source removes at the end."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.data.id_shards import IdShard, open_ids
from lmlab.data.ids import Ids
from lmlab.tokenizer import Tokenizer


class StoredTokens:
    """Given ids; see :class:`lmlab.data.split.SplitTokens`. Each has two bytes of text.

    Args:
        ids: below 65,536.
        bytes_known: whether the bytes of the text are known.
    """

    def __init__(self, ids: Sequence[int] | np.ndarray[Any, Any], bytes_known: bool = True) -> None:
        with tempfile.NamedTemporaryFile(suffix=".bin", delete=False) as file:
            file.write(np.asarray(ids, dtype="<u2").tobytes())
        self._path, self._bytes = Path(file.name), 2 if bytes_known else 0
        self.num_tokens = len(ids)
        self.checked: list[tuple[str, int, int]] = []
        weakref.finalize(self, self._path.unlink)

    @property
    def shards(self) -> tuple[IdShard, ...]:
        return (IdShard(self._path, "uint16", 0, self.num_tokens),)

    @property
    def tokens(self) -> Ids:
        return open_ids(self.shards)

    def check(self, tokenizer_hash: str, context_length: int, vocab_size: int) -> None:
        self.checked.append((tokenizer_hash, context_length, vocab_size))

    def text_bytes(self, tokenizer: Tokenizer) -> int:
        return self._bytes * self.num_tokens

    def evaluated_bytes(self, tokenizer: Tokenizer, windows: Sequence[tuple[int, int]]) -> int:
        return self._bytes * sum(length - 1 for _, length in windows)
