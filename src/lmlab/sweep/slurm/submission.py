"""Job arrays through submitit: it checks and writes the batch script and calls sbatch.

Its pickles are not used: a task's frozen configuration says all that it needs, is written before
sbatch is called, and so survives a launcher that is killed at any moment. Nor is its count of
time-outs, which would end a long run for want of luck: a job that was told to stop saves and is
queued again, however often (see :mod:`lmlab.sweep.slurm.array_job`).
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

# A signal during the interpreter's start would end it before Python could listen, and a job ended
# so is not queued again.
_DEAF = 'trap "" USR2 TERM; exec "$@"'


class _Executor(submitit.SlurmExecutor):
    """Submits one command as an array of ``map_count`` jobs."""

    def array(self, command: str, jobs: int) -> str:
        """Call sbatch; the array's number."""
        self.parameters["map_count"] = jobs
        return str(self._submit_command(command).job_id)


def submit(
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
        folder: where the batch script and the jobs' output go.
        module: what each job runs; its index is in the environment.
        name: of the jobs.
        jobs: how many.
        resources: of each.
        code: folder that comes first on ``PYTHONPATH``.
        array_parallelism: jobs of the array that may run at once.
        signal_seconds: before the time limit, when USR2 is sent.
        after: numbers of arrays that have to end first.

    Returns:
        The array's number.

    Raises:
        ConfigError: Slurm refuses the request, or its commands are not here.
    """
    folder = folder.resolve()
    if "%" in str(folder):
        raise ConfigError(f"output_root: Slurm gives % in {folder} a meaning: choose another path")
    ranks_per_node = resources.ranks // resources.nodes
    try:
        executor = _Executor(folder)
        executor.update_parameters(
            job_name=name,
            partition=resources.partition,
            nodes=resources.nodes,
            ntasks_per_node=ranks_per_node,
            # Of the node and not of the task: ranks that see each other's GPUs exchange directly.
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
            setup=_setup(resources, code),
            additional_parameters={"requeue": True, **resources.options()},
            srun_args=_srun(resources, folder),
        )
        words = ["bash", "-c", _DEAF, "lmlab", sys.executable, "-u", "-m", module, str(folder)]
        return executor.array(shlex.join(words), jobs)
    except (FailedSubmissionError, FailedJobError, subprocess.SubprocessError, OSError) as error:
        lines = str(error).strip().splitlines() or [repr(error)]
        raise ConfigError(
            f"Slurm refuses the jobs ({lines[-1]}); see hydra.launcher.partition, ranks, nodes, "
            "gpus, cpus, mem_gb, time_min, constraint, account, qos and sbatch"
        ) from error


def _srun(resources: Resources, folder: Path) -> list[str]:
    """Options of the step that runs the command."""
    options = [f"--cpus-per-task={resources.cpus}"]  # since Slurm 22.05 no longer the job's
    if resources.ranks == 1:
        return options
    # All ranks write one log. One that ends badly ends the others, which may wait for it.
    return [*options, f"--output={folder / '%A_%a_0_log.out'}", "--kill-on-bad-exit=1"]


def _setup(resources: Resources, code: Path) -> list[str]:
    # The shell of the batch script outlives signals, as its end would be the job's. It hands to
    # its children what it does not ignore.
    here = shlex.quote(os.getcwd())
    return [
        "trap : TERM USR2",
        *resources.setup,
        # The snapshot before all else; -m would put the current folder first.
        f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}:{here}",
        "export PYTHONSAFEPATH=1",
        f"cd {here}",
    ]
