"""Workers of all sweeps of a user share the cores without meeting on one."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from lmlab.sweep.cpu_affinity import pin_to_free_core


def _pin(results: Any, finish: Any) -> None:
    results.put((pin_to_free_core(), sorted(os.sched_getaffinity(0))))
    finish.wait(20)


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux only")
def test_each_core_is_given_to_one_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # ignore the sweeps of other tests
    cores = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("fork")
    results, finish = context.Queue(), context.Event()
    workers = [context.Process(target=_pin, args=(results, finish)) for _ in range(cores + 1)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=20) for _ in workers]
    finish.set()
    for worker in workers:
        worker.join()
    pinned = sorted(core for core, _ in found if core is not None)
    assert pinned == sorted(os.sched_getaffinity(0)), "one worker too many is not pinned"
    assert all(affinity == [core] for core, affinity in found if core is not None)
