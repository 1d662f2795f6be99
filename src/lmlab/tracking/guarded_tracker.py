"""Keep a run independent of its tracker, which may raise, hang, or change what it receives.

All calls of a tracker happen in one thread. The run never waits for those of lmlab's own trackers,
except for a bounded time at its start and its end. Any other tracker may draw from the default
generators, which all threads share. It therefore runs only while the run waits, and the generators
are restored. The first error ends the tracking; it is reported once.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.console.logging import TRACEBACK_TO_FILE
from lmlab.errors import ConfigError
from lmlab.runtime.random_streams import preserved_generators
from lmlab.tracking.run_info import Tracker

log = logging.getLogger("lmlab.tracking")

START_SECONDS = 10.0  # importing a tracker's package can take seconds
FINISH_SECONDS = 40.0  # more than wandb's own limit
CALL_SECONDS = 60.0  # for a call that the run waits for
_MAX_QUEUED = 20_000  # calls, a few MB; more means that the tracker hangs


class GuardedTracker:
    """A tracker that neither raises nor blocks.

    Args:
        make: builds the tracker.
        name: of the tracker in messages.
        remedy: how to send the run to the tracker later; the end of a message.
        waits: whether the run waits for each call, so that the tracker cannot draw the random
            numbers of a step. A tracker that takes longer than ``CALL_SECONDS`` is abandoned.

    Raises:
        ConfigError: as ``make`` raises it for settings that are not valid.
    """

    def __init__(
        self, make: Callable[[], Tracker], *, name: str, remedy: str, waits: bool = False
    ) -> None:
        self._make, self._name, self._remedy, self._waits = make, name, remedy, waits
        self._calls: queue.Queue[tuple[str, Any, threading.Event]] = queue.Queue(_MAX_QUEUED)
        self._started, self._ended = threading.Event(), threading.Event()
        self._refusal: ConfigError | None = None
        self._is_open, self._is_late, self._has_failed = True, False, False
        self._thread = threading.Thread(target=self._serve, name="tracker", daemon=True)
        with self._generators_kept():
            self._thread.start()
            if waits:
                self._wait(self._started, "start", CALL_SECONDS)
            else:
                self._is_late = not self._started.wait(START_SECONDS)
        if self._refusal is not None:
            raise self._refusal

    def log(self, row: dict[str, Any]) -> None:
        """Record a row; see :class:`lmlab.tracking.Tracker`."""
        self._send("log", dict(row))

    def samples(self, rows: Sequence[dict[str, Any]]) -> None:
        """Record samples; see :class:`lmlab.tracking.Tracker`."""
        self._send("samples", copy.deepcopy(list(rows)))

    def summary(self, values: dict[str, Any]) -> None:
        """Record the final values; see :class:`lmlab.tracking.Tracker`."""
        self._send("summary", copy.deepcopy(values))

    def finish(self, exit_code: int) -> None:
        """End the session; abandon a tracker that takes longer than ``FINISH_SECONDS``."""
        with self._generators_kept():  # before the call, which the tracker may answer at once
            self._send("finish", exit_code)
            if not self._waits or self._is_open:
                self._wait(self._ended, "end", FINISH_SECONDS)

    @property
    def has_delivered(self) -> bool:
        """Whether the session has ended, and the tracker took every call."""
        return self._ended.is_set() and self._is_open and not self._has_failed

    def _send(self, method: str, argument: Any) -> None:
        if not self._is_open:
            return
        done = threading.Event()
        waits = self._waits and method != "finish"
        with self._generators_kept() if waits else contextlib.nullcontext():
            try:
                self._calls.put_nowait((method, argument, done))
            except queue.Full:
                self._stop("hangs")
            if waits:
                self._wait(done, f"return from {method}", CALL_SECONDS)

    def _generators_kept(self) -> contextlib.AbstractContextManager[None]:
        return preserved_generators() if self._waits else contextlib.nullcontext()

    def _wait(self, event: threading.Event, what: str, seconds: float) -> None:
        """Wait for the tracker; abandon it when the time is over."""
        if event.wait(seconds):
            return
        waiting = self._calls.qsize()
        self._stop(
            f"did not {what} within {seconds:.0f} s"
            + (f" ({format_count(waiting, 'call')} waiting)" if waiting else "")
        )
        if self._waits:
            # The thread would draw random numbers beside the run if it came back to life.
            identifier = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(identifier, ctypes.py_object(SystemExit))

    def _serve(self) -> None:
        try:
            tracker = self._make()
        except ConfigError as error:
            self._refusal = error
            if self._is_late:  # the run has started and cannot be refused any more
                self._fail("started", error)
            self._ended.set()
            return
        except BaseException as error:
            self._fail("started", error)
            self._ended.set()
            return
        finally:
            self._started.set()
        self._pass_calls(tracker)
        self._has_failed = bool(getattr(tracker, "has_failed", False))
        self._ended.set()

    def _pass_calls(self, tracker: Tracker) -> None:
        while True:
            method, argument, done = self._calls.get()
            try:
                getattr(tracker, method)(argument)
            except BaseException as error:  # also SystemExit, which only ends this thread
                was_open = self._is_open
                self._fail(f"called {method}", error)
                if method != "finish" and (was_open or not self._waits):
                    self._close(tracker)
                return
            finally:
                done.set()
            if method == "finish" or (self._waits and not self._is_open):
                return

    def _close(self, tracker: Tracker) -> None:
        """Let a tracker that failed release what it holds."""
        try:
            tracker.finish(1)
        except BaseException as error:
            log.debug("%s: finish after a failure raised %r", self._name, error)

    def _fail(self, when: str, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        self._stop(f"raised {text} when {when}, see train.log", error)

    def _stop(self, what: str, error: BaseException | None = None) -> None:
        if not self._is_open:
            return
        self._is_open = False
        log.warning(
            "%s %s; tracking ends and training continues. metrics.jsonl is complete; %s",
            self._name,
            what,
            self._remedy,
            exc_info=error,
            extra={TRACEBACK_TO_FILE: True},
        )
