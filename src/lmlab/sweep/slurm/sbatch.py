"""Submit job arrays with batch scripts that submitit writes.

Three of its features are not used. Its pickles: the frozen configuration of a run contains all that
its job needs, is written before sbatch is called, and survives a launcher killed at any moment. Its
count of time-outs: it would end a long run after a few of them, whereas a preempted job is requeued
any number of times (see :mod:`lmlab.sweep.slurm.requeue`). Its call of sbatch: it leaves the
options in ``#SBATCH`` lines, which variables such as ``SBATCH_TIMELIMIT`` beat. Arguments beat
both.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit

from lmlab.errors import ConfigError
from lmlab.storage.io import atomic_write_text
from lmlab.sweep.slurm import queue
from lmlab.sweep.slurm.commands import RefusedError, UnreachableError, run_command
from lmlab.sweep.slurm.resources import Resources
from lmlab.sweep.slurm.slurm_records import RANKS_LOG_PATTERN

# A signal before Python handles it would kill the starting interpreter, and Slurm does not requeue
# a job that ends this way.
_IGNORE_SIGNALS_AND_EXEC = 'trap "" USR2 TERM; exec "$@"'


# A limit on the number of jobs, which ends when other jobs end.
_FULL_QUEUE = re.compile(
    r"(Assoc|QOS)\w*SubmitJobs?\w*|MaxSubmitJobs\w*|sleeping and retrying", re.IGNORECASE
)
# Errors of sbatch --test-only that no wait mends. Others may come from nodes that are down.
_PERMANENT = re.compile(
    r"\b(invalid|unrecognized|unknown|ambiguous)\b|access/permission|not permitted"
    r"|violates accounting/QOS|reservation",
    re.IGNORECASE,
)


class FullQueueError(Exception):
    """Slurm accepts no further jobs until others have ended."""


class _ScriptWriter(submitit.SlurmExecutor):
    """Writes the batch script of an array of ``map_count`` jobs."""

    def script(self, command: str, jobs: int) -> str:
        """Return the script; its ``#SBATCH`` lines are the options of sbatch."""
        self.parameters["map_count"] = jobs
        return self._make_submission_file_text(command, "")


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
        name: name of the jobs, which no other array has.
        jobs: number of jobs.
        resources: resources of each job.
        code: first entry of the jobs' ``PYTHONPATH``.
        array_parallelism: jobs of the array that may run at once.
        signal_seconds: seconds before the time limit at which Slurm sends USR2.
        after: numbers of arrays that must have ended before.

    Returns:
        The number of the array.

    Raises:
        ConfigError: Slurm refuses the request.
        FullQueueError: Slurm accepts no further jobs of this user now.
        UnreachableError: Slurm does not respond, and no such array is in its queue.
    """
    folder = folder.resolve()
    check_output_path(folder)
    program = [sys.executable, "-u", "-m", module, str(folder)]
    command = ["bash", "-c", _IGNORE_SIGNALS_AND_EXEC, "lmlab", *program]
    writer = _ScriptWriter(folder)
    writer.update_parameters(
        job_name=name,
        array_parallelism=array_parallelism,
        dependency=_dependency(resources, after),
        setup=_setup_lines(resources, code),
        srun_args=_srun_options(resources, folder),
        **_request(resources, signal_seconds),
    )
    script = writer.script(shlex.join(command), jobs)
    path = folder / "submission.sh"
    atomic_write_text(path, script)
    try:
        printed = run_command("sbatch", "--parsable", *_arguments(script), str(path))
    except UnreachableError:
        number = queue.job_id_by_name(name)  # the answer may have been lost
        if number is None:
            raise
        return number
    except RefusedError as error:
        raise _refusal(error) from error
    # Some clusters print a welcome before the number.
    numbers = re.findall(r"^(?:Submitted batch job )?(\d+)(?:;\S+)?\s*$", printed, flags=re.M)
    found = numbers[-1] if numbers else queue.job_id_by_name(name)
    if found is None:
        raise ConfigError(f"sbatch: expected the number of a job, found {printed.strip()!r}")
    return str(found)


def check_output_path(folder: Path) -> None:
    """Raise :class:`ConfigError` for a folder that Slurm cannot write the output of jobs to."""
    for character, meaning in (("%", "a pattern"), ("\\", "an escape"), ("\n", "the end")):
        if character in str(folder.resolve()):
            shown = {"\\": "a backslash", "\n": "a line break"}.get(character, character)
            raise ConfigError(
                f"output_root: expected a path without {shown}, which Slurm reads as {meaning}, "
                f"but jobs would write to {str(folder.resolve())!r}",
                "set output_root to another path",
            )


def check_accepted(resources: Resources, signal_seconds: int) -> None:
    """Ask Slurm whether it would accept a request, without submitting it.

    Raises:
        ConfigError: Slurm refuses the request.
        UnreachableError: Slurm does not respond.
    """
    writer = _ScriptWriter(Path.cwd())
    writer.update_parameters(job_name="lmlab-test", **_request(resources, signal_seconds))
    arguments = _arguments(writer.script("true", 1))
    arguments = [one for one in arguments if not one.startswith("--output=")]
    try:
        run_command("sbatch", "--test-only", "--output=/dev/null", *arguments, "--wrap=true")
    except RefusedError as error:
        if not _FULL_QUEUE.search(str(error)) and _PERMANENT.search(str(error)):
            raise _refusal(error) from error


def _refusal(error: RefusedError) -> Exception:
    text = str(error).removeprefix("sbatch: ").removeprefix("error: ")
    full = _FULL_QUEUE.search(text)
    if full:
        return FullQueueError(full[0])
    return ConfigError(
        f"Slurm rejected the jobs: {text}",
        "check hydra.launcher.partition, ranks, nodes, gpus, cpus, mem_gb, time_min, "
        "constraint, account, qos and sbatch",
    )


def _dependency(resources: Resources, after: Sequence[str]) -> str | None:
    own = f"afterany:{':'.join(after)}" if after else ""
    given = resources.sbatch_options().get("dependency", "")
    return ",".join(filter(None, [str(given), own])) or None


def _request(resources: Resources, signal_seconds: int) -> dict[str, Any]:
    """Return the parameters of submitit that request resources."""
    ranks_per_node = resources.ranks // resources.nodes
    more = resources.sbatch_options()
    more.pop("dependency", None)
    return {
        "partition": resources.partition,
        "nodes": resources.nodes,
        "ntasks_per_node": ranks_per_node,
        # Per node, not per task: ranks that see each other's GPUs exchange data directly.
        "gpus_per_node": more.pop("gpus-per-node", None) or resources.gpus * ranks_per_node or None,
        "cpus_per_task": resources.cpus,
        "mem": f"{round(resources.mem_gb * 1024)}MB" if resources.mem_gb else more.pop("mem", None),
        "time": resources.time_min,
        "constraint": resources.constraint,
        "account": resources.account,
        "qos": resources.qos,
        "signal_delay_s": signal_seconds,
        "stderr_to_stdout": True,
        "wckey": None,  # submitit's own would be refused where keys are checked
        "additional_parameters": {"requeue": True, **more},
    }


def _arguments(script: str) -> list[str]:
    """Return the options in the ``#SBATCH`` lines of a script."""
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH ")]
    return [part for line in lines for part in shlex.split(line.removeprefix("#SBATCH "))]


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
