"""Bring the run of one configuration to its end, from wherever it stands."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

from lmlab.build import factory
from lmlab.build.identity import run_identity
from lmlab.build.run_data import RunData, check_source, prepare_data
from lmlab.config.rank_batch import rank_config
from lmlab.config.run_config import RunConfig
from lmlab.distributed.communicator import Communicator
from lmlab.distributed.process_group import join
from lmlab.errors import UserError
from lmlab.preflight.run_preflight import RunPreflight, check_early
from lmlab.run_folder import FINISHED, RunFolder, choose, find_registered
from lmlab.runs import auto_settings
from lmlab.runs.continuation import find_parent
from lmlab.runs.session import Session
from lmlab.runs.worker_rank import WorkerRank
from lmlab.runtime.device import Device
from lmlab.runtime.launch_env import read_launch_env

log = logging.getLogger("lmlab.run")


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What came of a run: its folder, and the exit code of the process that ran it."""

    run: RunFolder
    exit_code: int


def execute(config: RunConfig) -> RunResult:
    """Bring the run of ``config`` to its end, from wherever it stands.

    Returns:
        Exit code 0 for a run that is done or has diverged (a result, not a failure), 1 for one
        that failed, and 128 + n for one that signal n stopped, to go on when rerun.

    Raises:
        UserError: a setting, the data or the machine does not allow the run.
    """
    check_source(config)
    with join(config.runtime.parallel, read_launch_env()) as comm:
        share = rank_config(config, comm.size)
        device = comm.assign_device(auto_settings.build_device(config))
        factory.check_parallel(config, device, comm)
        device.apply(comm.num_sharing_cores)
        if not config.named_folder.exists():
            check_early(share, device, comm)
        texts = comm.broadcast_from_rank0(lambda: prepare_data(config))
        identity = run_identity(config, texts, device)
        run, is_finished = comm.broadcast_from_rank0(lambda: _find(config, identity))
        if is_finished:
            log.info("finished before: nothing to do")
            return RunResult(run, 0)
        if not comm.is_rank0:
            state = factory.build_state(config, device, comm)
            return RunResult(run, WorkerRank(config, device, texts, state, comm).run_to_end())
        return _write(config, share, run, device, texts, identity, comm)


def _find(config: RunConfig, identity: dict[str, Any]) -> tuple[RunFolder, bool]:
    """The folder of a run, and whether it is finished; say so where it is not the first choice."""
    run, different = locate(config, identity)
    if different:
        log.info(
            "%s holds another configuration, so this run goes to %s; there -> here:\n  %s",
            config.named_folder,
            run.path,
            "\n  ".join(different),
        )
    elif run.path != config.named_folder:
        log.info("the run of this configuration is %s", run.path)
    return run, run.status().get("status") in FINISHED


def _write(
    config: RunConfig,
    share: RunConfig,
    run: RunFolder,
    device: Device,
    texts: RunData,
    identity: dict[str, Any],
    comm: Communicator,
) -> RunResult:
    parent = find_parent(config, identity)
    flight = RunPreflight.prepare(share, device, texts, run, alone=comm.size == 1, comm=comm)
    state = factory.build_state(config, device, comm)
    is_new = not run.path.exists()
    try:
        with run.lock():
            session = Session(config, run, device, texts, identity, state, parent, flight, comm)
            return RunResult(run, session.run_to_end())
    except UserError:
        if is_new and not run.rows():
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def locate(config: RunConfig, identity: dict[str, Any]) -> tuple[RunFolder, list[str]]:
    """The folder of a run: where any study has it, else where its names say.

    Returns:
        The folder; and, where its name is taken by another configuration, how that one differs.
    """
    if config.reuse:
        found = find_registered(Path(config.output_root), identity)
        if found is not None:
            return found, []
    return choose(config.named_folder, identity)
