"""The interface of all encoders: the Python reference, the kernels, and the choice between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    IdArray = np.ndarray[Any, np.dtype[Any]]


class Encoder(Protocol):
    """Encodes text as ids. All encoders of a vocabulary return the same ids.

    Every method raises :class:`~lmlab.errors.DataError` for lone surrogates.
    """

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text``."""
        ...

    def encode_array(self, text: str) -> IdArray:
        """Return the ids of ``text`` as an array of the vocabulary's dtype."""
        ...

    def encode_chunks(self, strings: Iterable[str]) -> Iterator[list[int]]:
        """Yield the ids of the concatenated strings in lists, in bounded memory."""
        ...

    def encode_many(self, documents: Iterable[str], threads: int) -> Iterator[IdArray]:
        """Yield the ids of each document, in order."""
        ...
