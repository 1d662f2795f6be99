"""Where documents begin in a window of tokens, and how long their parts are. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Documents:
    """The documents that attention must not cross.

    A window of training text holds the end of one document, several whole ones and the beginning
    of another. The id between documents belongs to the one before it, or, where it stands before
    each document, to the one after it.

    Attributes:
        end_id: the id between documents.
        is_before: whether it stands before each document instead of after it.
        lengths: how many parts of each length, in tokens, the windows of the training text hold:
            pairs of length and number, which need not be whole: only their ratios count. Empty
            where the text is not known.
    """

    end_id: int
    is_before: bool = False
    lengths: tuple[tuple[int, float], ...] = ()

    def mean_keys(self, keys_per_query: Callable[[int], float], num_tokens: int) -> float:
        """Return the mean number of keys that a query of the training text is multiplied with.

        It is that of each part of a document in a sequence of its own.

        Args:
            keys_per_query: maps the length of a sequence to the keys of each of its queries.
            num_tokens: length of a window, which is one part where the text is not known.
        """
        lengths = self.lengths or ((num_tokens, 1),)
        tokens = sum(length * number for length, number in lengths)
        pairs = sum(length * number * keys_per_query(length) for length, number in lengths)
        return pairs / tokens
