"""Progress: a bar on a terminal, lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lmlab.console.progress_lines import ProgressLines

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
    is_part: bool = False,
) -> tqdm[Any] | ProgressLines | HiddenBar:
    """Return what shows progress, rate and ETA on stderr: a bar on a terminal, else lines.

    Args:
        iterable: what to iterate over; each item is one unit.
        total: number of units; None if unknown.
        initial: number of units that are done already.
        desc: what is done.
        unit: what is counted; ``B`` for bytes.
        unit_scale: whether a bar abbreviates large counts.
        shown: whether to show anything.
        is_part: whether this is a part of a job that has a bar, too; its bar appears after two
            seconds and disappears at the end.
    """
    if not shown:
        return HiddenBar(iterable)
    if not sys.stderr.isatty():
        return ProgressLines(iterable, total=total, initial=initial, desc=desc, unit=unit)
    from tqdm import tqdm  # only if it is shown

    return tqdm(
        iterable,
        total=total,
        initial=initial,
        desc=desc,
        unit=unit,
        unit_scale=unit_scale,
        dynamic_ncols=True,
        leave=not is_part,
        delay=2.0 if is_part else 0.0,
    )


class HiddenBar:
    """A progress bar that prints nothing."""

    def __init__(self, iterable: Iterable[Any] | None = None) -> None:
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self._iterable or ())

    def __enter__(self) -> HiddenBar:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, count: float = 1) -> None:
        """Do nothing; same signature as tqdm."""

    def set_postfix_str(self, text: str) -> None:
        """Do nothing; same signature as tqdm."""
