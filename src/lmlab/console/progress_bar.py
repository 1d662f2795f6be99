"""Progress bars on a terminal, and nothing in logs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: float | None = None,
    initial: float = 0,
    desc: str = "",
    unit: str = "it",
    unit_scale: bool = False,
    shown: bool = True,
) -> tqdm[Any] | Hidden:
    """A progress bar with rate and ETA on stderr; silent where stderr is not a terminal."""
    if not (shown and sys.stderr.isatty()):
        return Hidden(iterable)
    from tqdm import tqdm  # not for those who show none

    return tqdm(
        iterable,
        total=total,
        initial=initial,
        desc=desc,
        unit=unit,
        unit_scale=unit_scale,
        dynamic_ncols=True,
    )


class Hidden:
    """What :func:`progress` gives where nobody looks: a bar of which nothing is seen."""

    def __init__(self, iterable: Iterable[Any] | None = None) -> None:
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self._iterable or ())

    def __enter__(self) -> Hidden:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        return None

    def update(self, count: float = 1) -> None:
        """As that of tqdm."""

    def set_postfix_str(self, text: str) -> None:
        """As that of tqdm."""
