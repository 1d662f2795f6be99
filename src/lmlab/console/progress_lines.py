"""Progress where stderr is not a terminal: a line from time to time, with the time left."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from lmlab.console.formatting import format_bytes, format_duration

log = logging.getLogger("lmlab.progress")

FIRST_SECONDS = 10.0  # until the first line; what takes less prints none
MAX_GAP_SECONDS = 300.0
_GAP_FRACTION = 0.1  # of the time so far, between lines


class ProgressLines:
    """Prints how far a job has come, in lines that a log can keep.

    Lines are 10 s apart, later a tenth of the time so far, at most 5 minutes. They go to the log of
    lmlab where it is shown, else to stderr. The methods have the signatures of tqdm's.

    Args:
        iterable: what to iterate over; each item is one unit.
        total: number of units; None if unknown.
        initial: number of units that are done already.
        desc: what is done.
        unit: what is counted; ``B`` for bytes.
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        *,
        total: float | None = None,
        initial: float = 0,
        desc: str = "",
        unit: str = "it",
    ) -> None:
        self._iterable = iterable
        length = getattr(iterable, "__len__", None)
        total = length() if total is None and length is not None else total
        self._total, self._count, self._desc, self._unit = total, initial, desc, unit
        self._postfix = ""
        self._started = time.monotonic()
        self._previous = (self._started, initial)  # time and count of the previous line
        self._due = self._started + FIRST_SECONDS
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable or ():
            yield item
            self.update()

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, count: float = 1) -> None:
        """Count units, and print a line where one is due."""
        self._count += count
        now = time.monotonic()
        if now < self._due or not self._lock.acquire(blocking=False):
            return
        try:
            _print(self._line(now))
            gap = min(max(FIRST_SECONDS, _GAP_FRACTION * (now - self._started)), MAX_GAP_SECONDS)
            self._previous, self._due = (now, self._count), now + gap
        finally:
            self._lock.release()

    def set_postfix_str(self, text: str) -> None:
        """Set the text that the next lines show, such as the loss."""
        self._postfix = text

    def _line(self, now: float) -> str:
        then, before = self._previous
        rate = (self._count - before) / max(now - then, 1e-9)
        parts = [self._amount()]
        if self._postfix:
            parts.append(self._postfix)
        elif self._unit == "B":
            parts.append(f"{format_bytes(rate)}/s")
        else:
            parts.append(f"{rate:.3g} {self._unit}/s")
        if self._total and rate > 0 and self._count < self._total:
            parts.append(f"{format_duration((self._total - self._count) / rate)} left")
        return f"{self._desc}: " + ", ".join(parts)

    def _amount(self) -> str:
        if self._unit == "B":
            done = format_bytes(self._count)
            total = format_bytes(self._total) if self._total else ""
        else:
            done = f"{self._unit} {self._count:,.0f}"
            total = f"{self._total:,.0f}" if self._total else ""
        if not self._total:
            return done
        return f"{done} of {total} ({min(1.0, self._count / self._total):.0%})"


def _print(line: str) -> None:
    if log.isEnabledFor(logging.INFO) and log.hasHandlers():
        log.info("%s", line)
    else:
        print(line, file=sys.stderr, flush=True)
