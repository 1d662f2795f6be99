"""Progress bars, shown on terminals only."""

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
) -> tqdm[Any] | HiddenBar:
    """Return a progress bar with rate and ETA on stderr; hidden if stderr is not a terminal."""
    if not (shown and sys.stderr.isatty()):
        return HiddenBar(iterable)
    from tqdm import tqdm  # only if it is shown

    return tqdm(
        iterable,
        total=total,
        initial=initial,
        desc=desc,
        unit=unit,
        unit_scale=unit_scale,
        dynamic_ncols=True,
    )


class HiddenBar:
    """A progress bar that prints nothing."""

    def __init__(self, iterable: Iterable[Any] | None = None) -> None:
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self._iterable or ())

    def __enter__(self) -> HiddenBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        return None

    def update(self, count: float = 1) -> None:
        """Do nothing; same signature as tqdm."""

    def set_postfix_str(self, text: str) -> None:
        """Do nothing; same signature as tqdm."""
