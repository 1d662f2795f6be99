"""Submit job arrays through submitit, which checks and writes the batch script and calls sbatch.

Two of its features are not used. Its pickles: the frozen configuration of a run contains all that
its job needs, is written before sbatch is called, and survives a launcher killed at any moment. Its
count of time-outs: it would end a long run after a few of them, whereas a preempted job is requeued
any number of times (see :mod:`lmlab.sweep.slurm.requeue`).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from lmlab.errors import ConfigError
from lmlab.sweep.slurm.resources import Resources
from lmlab.sweep.slurm.slurm_records import RANKS_LOG_PATTERN

# A signal before Python handles it would kill the starting interpreter, and Slurm does not requeue
# a job that ends this way.
_IGNORE_SIGNALS_AND_EXEC = 'trap "" USR2 TERM; exec "$@"'


class _ArrayExecutor(submitit.SlurmExecutor):
    """Submits one command as an array of ``map_count`` jobs."""

    def submit_command_array(self, command: str, jobs: int) -> str:
        """Call sbatch and return the number of the array."""
        self.parameters["map_count"] = jobs
        return str(self._submit_command(command).job_id)


def submit_array(
    folder: Path,
    module: str,
    *,
    name: str,
    jobs: int,
    resources: Resources,
    code: Path,
    array_parallelism: int,
    signal_seconds: int,
    after: Sequence[str] = (),
) -> str:
    """Submit ``python -m module folder`` as a job array.

    Args:
        folder: folder for the batch script and the output of the jobs.
        module: the program of each job, which finds its index in the environment.
        name: name of the jobs.
        jobs: number of jobs.
        resources: resources of each job.
        code: first entry of the jobs' ``PYTHONPATH``.
        array_parallelism: jobs of the array that may run at once.
        signal_seconds: seconds before the time limit at which Slurm sends USR2.
        after: numbers of arrays that must have ended before.

    Returns:
        The number of the array.

    Raises:
        ConfigError: Slurm refuses the request, or its commands are not installed.
    """
    folder = folder.resolve()
    if "%" in str(folder):
        raise ConfigError(
            f"output_root: expected a path without %, which Slurm reads as a pattern, but jobs "
            f"would write to {folder}",
            "set output_root to another path",
        )
    ranks_per_node = resources.ranks // resources.nodes
    try:
        executor = _ArrayExecutor(folder)
        executor.update_parameters(
            job_name=name,
            partition=resources.partition,
            nodes=resources.nodes,
            ntasks_per_node=ranks_per_node,
            # Per node, not per task: ranks that see each other's GPUs exchange data directly.
            gpus_per_node=resources.gpus * ranks_per_node or None,
            cpus_per_task=resources.cpus,
            mem=None if resources.mem_gb is None else f"{round(resources.mem_gb * 1024)}MB",
            time=resources.time_min,
            constraint=resources.constraint,
            account=resources.account,
            qos=resources.qos,
            signal_delay_s=signal_seconds,
            array_parallelism=array_parallelism,
            stderr_to_stdout=True,
            dependency="afterany:" + ":".join(after) if after else None,
            setup=_setup_lines(resources, code),
            additional_parameters={"requeue": True, **resources.sbatch_options()},
            srun_args=_srun_options(resources, folder),
        )
        program = [sys.executable, "-u", "-m", module, str(folder)]
        command = ["bash", "-c", _IGNORE_SIGNALS_AND_EXEC, "lmlab", *program]
        return executor.submit_command_array(shlex.join(command), jobs)
    except (FailedSubmissionError, FailedJobError, subprocess.SubprocessError, OSError) as error:
        lines = str(error).strip().splitlines() or [repr(error)]
        raise ConfigError(
            f"Slurm rejected the jobs: {lines[-1]}",
            "check hydra.launcher.partition, ranks, nodes, gpus, cpus, mem_gb, time_min, "
            "constraint, account, qos and sbatch",
        ) from error


def _srun_options(resources: Resources, folder: Path) -> list[str]:
    options = [f"--cpus-per-task={resources.cpus}"]  # not inherited from the job since Slurm 22.05
    if resources.ranks == 1:
        return options
    # All ranks write one log. A failing rank ends the others, which might wait for it forever.
    return [*options, f"--output={folder / RANKS_LOG_PATTERN}", "--kill-on-bad-exit=1"]


def _setup_lines(resources: Resources, code: Path) -> list[str]:
    working_folder = shlex.quote(os.getcwd())
    return [
        # The shell must survive signals, because the job ends with it. A signal with a trap of its
        # own, unlike an ignored one, has its default action in child processes.
        "trap : TERM USR2",
        *resources.setup,
        # The snapshot comes before the working folder, which -m would put first.
        f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}:{working_folder}",
        "export PYTHONSAFEPATH=1",
        f"cd {working_folder}",
    ]
