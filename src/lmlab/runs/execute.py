"""Run one configuration to its end, from its last checkpoint where it has one."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shlex
import shutil
from typing import Any

from lmlab.build import factory
from lmlab.build.identity import run_identity
from lmlab.build.optimizer_packages import check_packages
from lmlab.build.optimizers import check_groups
from lmlab.build.parallel_check import check_parallel
from lmlab.build.run_data import check_source, prepare_data
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import load_frozen
from lmlab.config.run_config import AUTO_PARENT, RunConfig
from lmlab.config.run_length import describe_length, has_counted_steps
from lmlab.config.value_types import format_value
from lmlab.distributed.communicator import Communicator
from lmlab.distributed.process_group import join
from lmlab.errors import UserError
from lmlab.preflight.run_preflight import RunPreflight, check_memory_early
from lmlab.run_folder import RunFolder
from lmlab.runs.auto_settings import choose_device
from lmlab.runs.context import RunContext
from lmlab.runs.continuation import find_parent
from lmlab.runs.find_run import changed_callbacks, find_run
from lmlab.runs.measured_length import known_steps
from lmlab.runs.session import Session
from lmlab.runs.worker_rank import WorkerRank
from lmlab.runtime.launch_env import read_launch_env
from lmlab.storage.io import check_creatable
from lmlab.tracking import check_tracker, trackers_of
from lmlab.tracking.deliveries import is_delivered

log = logging.getLogger("lmlab.run")


@dataclasses.dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        run: its folder.
        exit_code: of the process that ran it.
    """

    run: RunFolder
    exit_code: int


def execute(config: RunConfig) -> RunResult:
    """Resolve ``config``, then build the run and train it to its end.

    Returns:
        The run folder and the exit code: 0 for a run that is done or has diverged (a result, not a
        failure), 1 for one that failed, and 128 + n for one that signal n stopped; rerun it to
        resume.

    Raises:
        UserError: a setting, the data or the machine does not allow the run.
    """
    spec = resolve(config)
    check_creatable(spec.output_root)
    check_source(spec.data)
    for key, tracker in spec.trackers.items():
        check_tracker(key, tracker.target, tracker.parameters)
    for optimizer in spec.optimizers:
        check_packages(optimizer.target)
    check_groups(spec.workload.optim, spec.network)
    if config.parent == AUTO_PARENT:
        log.info(
            "parent=auto: nothing to share, because this run belongs to no sweep; to train several "
            "horizons from one trunk, start them together: -m training.steps=200,400 schedule=wsd"
        )
    return _execute(resolve(known_steps(config)))


def _execute(spec: RunSpec) -> RunResult:
    _warn_of_unreached_steps(spec)
    if has_counted_steps(spec.settings):
        log.info("%s", describe_length(spec.settings["training"]))
    with join(spec.device.parallel, read_launch_env()) as comm:
        context, is_finished = _resolve_on_machine(spec, comm)
        if is_finished:
            log.info("already complete; skipping")
            if comm.is_rank0:
                _mention_tracker(context)
                _mention_callbacks(context)
                context.folder.annotate(spec.settings["notes"], spec.settings["tags"] or None)
            return RunResult(context.folder, 0)
        if comm.is_rank0:
            return RunResult(context.folder, _run_session(context))
        return RunResult(context.folder, WorkerRank(context).run_to_end())


def _mention_tracker(context: RunContext) -> None:
    """Say how to send a run that is complete to its trackers, unless all of it is there."""
    folder, wanted = context.folder, trackers_of(context.spec.settings["logger"])
    if all(is_delivered(folder, component) for component in wanted.values()):
        return
    words = ["python", "-m", "lmlab.outputs", "track", str(folder.path)]
    recorded: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(UserError):  # the run may need a package that has changed
        recorded = trackers_of(load_frozen(folder.config).as_dict()["logger"])
    targets, there = (
        {key: component.get("_target_") for key, component in each.items()}
        for each in (wanted, recorded)
    )
    if targets != there:
        names = [key.removeprefix("logger.") for key in wanted]
        words.append("logger=NAME" if "logger" in wanted else f"logger=[{','.join(names)}]")
    else:  # the trackers that the run was configured with, perhaps with other settings
        words += [
            f"{key}.{name}={format_value(value)}"
            for key, component in wanted.items()
            for name, value in component.items()
            if value != recorded[key].get(name)
        ]
    log.info("to send it to the tracker: %s", shlex.join(words))


def _mention_callbacks(context: RunContext) -> None:
    """Say which callbacks a run that is complete never called, or called with other code."""
    called = {row.get("name") for row in context.folder.rows("callback")}
    missing = [f"callbacks.{name}" for name in context.spec.callbacks if name not in called]
    changed = changed_callbacks(context.spec, context.folder)
    if changed:
        log.info(
            "called before the code of %s changed; to train again, set reuse=false arm=NAME",
            ", ".join(changed),
        )
    if missing:
        log.info("not called: %s; to train again, set reuse=false arm=NAME", ", ".join(missing))


def _warn_of_unreached_steps(spec: RunSpec) -> None:
    steps = spec.workload.steps
    unreached = [step for step in spec.workload.keep_steps if step > steps]
    if unreached:
        log.warning(
            "checkpoint.keep_steps: %s cannot be saved: the run ends at training.steps=%d",
            ", ".join(map(str, unreached)),
            steps,
        )


def _resolve_on_machine(spec: RunSpec, comm: Communicator) -> tuple[RunContext, bool]:
    """Choose device and folder, and prepare the data; return whether the run is finished, too."""
    workload = spec.workload.for_rank(comm.size)
    device = comm.assign_device(choose_device(spec))
    check_parallel(spec.optimizers, device, comm, workload.ema)
    device.apply(comm.num_sharing_cores)
    if not spec.named_folder.exists():
        check_memory_early(workload, device, spec.preflight, comm)
    data = comm.broadcast_from_rank0(lambda: prepare_data(spec.data))
    identity = run_identity(spec.identity_settings, data, device)
    folder, is_finished = comm.broadcast_from_rank0(lambda: find_run(spec, identity, device))
    return RunContext(spec, device, data, comm, identity, folder), is_finished


def _run_session(context: RunContext) -> int:
    """Build the run and train it; return the exit code."""
    folder = context.folder
    parent = find_parent(context.spec, context.identity)
    preflight = RunPreflight.prepare(
        context.spec, context.device, context.data, folder, context.comm
    )
    state = factory.build_state(context.spec, context.device, context.comm, context.data.documents)
    is_new = not folder.path.exists()
    with folder.lock() as lock:
        try:
            return Session(context, state, parent, preflight).run_to_end()
        except UserError:
            if is_new and not folder.rows() and lock.is_owned():
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
