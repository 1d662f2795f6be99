"""Token ids as the loop, the evaluator and counts of bytes read them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Ids(Protocol):
    """Token ids, (num_tokens,) unsigned integers, such as an array that is mapped from a file."""

    def __len__(self) -> int:
        """The number of ids."""
        ...

    def __getitem__(self, index: Any, /) -> Any:
        """The id at a position, or an array: of a slice, or of positions in any shape."""
        ...

    def __array__(self, dtype: Any = None, /) -> np.ndarray[Any, Any]:
        """All ids in memory."""
        ...
