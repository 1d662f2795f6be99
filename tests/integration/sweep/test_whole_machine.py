"""How a sweep shares the machine: threads, cores, the longest first, stacks."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.manifest import Manifest
from lmlab.runs import auto_settings
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep import slots as slots_module
from lmlab.sweep import threads
from lmlab.sweep.arm_costs import TextsByConfig
from lmlab.sweep.cpu_affinity import pin_to_free_core
from lmlab.sweep.driver import Driver
from lmlab.sweep.local_pool import JobResult
from lmlab.sweep.progress_view import View
from lmlab.sweep.task import Task
from lmlab.sweep.threads import resolve_threads

Sweeps = Any
FAULTY = "model.ffn._target_=faults_for_test.Faulty"


def threads_of(overrides: list[str]) -> Any:
    return resolve_threads(compose(overrides).as_dict())["runtime"]["threads"]


def test_small_updates_get_a_thread_each(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 6)
    auto = [*overrides, "runtime.threads=auto"]
    large = ["model.d_model=512", "model.context_length=256", "model.num_layers=4"]
    assert threads_of(auto) == 1
    assert threads_of([*auto, *large, "training.batch_size=32"]) == 6
    assert threads_of([*overrides, "runtime.threads=3"]) == 3, "what a person says stands"
    content = resolve_threads(compose(auto).as_dict())
    assert resolve_threads(content) == content


def test_the_default_sweep_packs_the_cores(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "usable_cores", lambda: 4)
    slots = slots_module.find_slots(compose(overrides), "auto")
    assert len(slots) == 4 and all(slot.pinned for slot in slots)
    assert slots_module.describe_slots(slots, 1, 1) == "4 at a time, 1 thread each, a core for each"
    fewer = slots_module.find_slots(compose(overrides), 3)
    assert not any(slot.pinned for slot in fewer), "idle cores are there to move to"
    wide = slots_module.find_slots(compose([*overrides, "runtime.threads=2"]), "auto")
    assert len(wide) == 2 and not wide[0].pinned


def _pin(core: Any, go: Any) -> None:
    core.put((pin_to_free_core(), sorted(os.sched_getaffinity(0))))
    go.wait(20)


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux only")
def test_each_core_is_given_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # else sweeps of other tests count
    cores = len(os.sched_getaffinity(0))
    way = multiprocessing.get_context("fork")
    found, go = way.Queue(), way.Event()
    workers = [way.Process(target=_pin, args=(found, go)) for _ in range(cores + 1)]
    for worker in workers:
        worker.start()
    told = [found.get(timeout=20) for _ in workers]
    go.set()
    for worker in workers:
        worker.join()
    pinned = sorted(core for core, _ in told if core is not None)
    assert pinned == sorted(os.sched_getaffinity(0)), "and the one too many is left alone"
    assert all(allowed == [core] for core, allowed in told if core is not None)


class Starts:
    """A pool that only notes in which order jobs are started."""

    outlives, left = True, ""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def attach(self, task: Task) -> bool:
        return False

    def has_room(self) -> bool:
        return True

    def start(self, task: Task, jobs: int) -> None:
        self.steps.append(task.config.training.steps)
        task.state = "submitted"

    def flush(self) -> None:
        pass

    def ended(self, running: Sequence[Task]) -> Iterator[tuple[Task, JobResult]]:
        yield from ()

    def stop(self, running: Sequence[Task], insist: bool) -> None:
        pass


def test_the_longest_run_starts_first(overrides: list[str], tmp_path: Path) -> None:
    steps = [4, 12, 8]
    arms = [compose([*overrides, f"training.steps={number}"]).as_dict() for number in steps]
    names = [f"steps-{number}" for number in steps]
    manifest = Manifest("s", "", arms, names, [[] for _ in arms])
    pool = Starts()
    Driver(
        manifest, SweepFolder(tmp_path / "sweep"), TextsByConfig(), auto_settings.build_device, pool,
        View("s", 1),
    ).start_all()  # fmt: skip
    assert pool.steps == [12, 8, 4]


def test_a_sweep_in_stacks_and_its_rerun(sweeps: Sweeps) -> None:
    words = [
        "-m",
        "optim.lr=1e-3,2e-3,3e-3",
        "seed=0,1",
        "hydra.launcher.stack=4",
        "runtime.policy=fast",
    ]
    words += ["hydra.launcher.jobs_per_device=1", "study=s", "runtime.threads=auto"]
    printed = sweeps.run(*words)
    assert "1 at a time, each a stack of up to 4 runs, 1 thread each" in printed
    assert "6 of 6 runs are done" in printed
    metas = [json.loads(m.read_text()) for m in (sweeps.outputs / "s").glob("*/seed*/meta.json")]
    assert [meta["sessions"][0]["stacked"] for meta in metas] == [3] * 6, "alike in size"
    printed = sweeps.run(*words, "hydra.launcher.report=false")
    assert "every run is done already" in printed and "6 of 6 runs are done" in printed
    assert set(sweeps.sessions("s").values()) == {1}
    csv = (sweeps.outputs / "s" / "results.csv").read_text()
    assert len(csv.splitlines()) == 7


def test_runs_of_a_stack_that_fails_go_on_alone(sweeps: Sweeps) -> None:
    """A fault of the shared passes is nobody's; alone, each run fails or not by itself."""
    words = ["-m", "optim.lr=1e-3,2e-3", FAULTY, "+model.ffn.what=killed,nothing"]
    words += ["hydra.launcher.stack=2", "runtime.policy=fast", "runtime.preflight=off", "study=s"]
    printed = sweeps.run(*words, code=1)
    assert "2 of 4 runs are done" in printed
    assert "these go on alone" in printed
    assert printed.count("failed: ") == 2 and "killed by signal 9" in printed
    stacked = {}
    for path in (sweeps.outputs / "s").glob("*/seed*/meta.json"):
        sessions = json.loads(path.read_text())["sessions"]
        stacked["killed" in str(path)] = [session["stacked"] for session in sessions]
    assert stacked == {True: [2, 1], False: [2]}
