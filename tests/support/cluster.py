"""A private Slurm with one node, which keeps its files in a folder."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")

CONF = """\
ClusterName=lmlabtest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ctld}
SlurmdPort={slurmd}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
FirstJobId={first}
ReturnToService=2
KillWait=3
SlurmdTimeout=10
MinJobAge={age}
MaxArraySize={max_array}
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES PriorityTier=1 GraceTime=20 State=UP
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=short Nodes={host} MaxTime=5 MaxMemPerNode=1000 MaxCPUsPerNode=1 State=UP
PartitionName=broken Nodes={host} State=DOWN
"""


def missing() -> str:
    """Return why this machine cannot start such a cluster; empty if it can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "only root can start a private Slurm"
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    return f"not installed: {', '.join(absent)} (Debian: slurm-wlm munge)" if absent else ""


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """One node with ``cpus`` processors, a partition ``debug``, and ``high``, which preempts it.

    Jobs of ``short`` have at most five minutes; those of ``broken`` wait. An array has at most
    ``max_array_size`` jobs, so that most studies need several.
    """

    def __init__(
        self, folder: Path, cpus: int = 2, min_job_age: int = 3600, max_array_size: int = 2
    ) -> None:
        self.folder, self.cpus, self.min_job_age = folder, cpus, min_job_age
        self.max_array_size = max_array_size
        self.host = socket.gethostname().split(".")[0]
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": _path(),
        }

    def start(self) -> None:
        """Start the daemons and wait until the node accepts jobs."""
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for name in ("state", "spool"):
            (folder / name).mkdir(exist_ok=True)
        # The port of a job's ranks follows from its number: clusters must not share numbers.
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        (folder / "slurm.conf").write_text(
            CONF.format(
                folder=folder,
                host=self.host,
                cpus=self.cpus,
                age=self.min_job_age,
                max_array=self.max_array_size,
                first=1 + 1000 * worker,
                ctld=_free_port(),
                slurmd=_free_port(),
            )
        )
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        self._run(
            "munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munge.seed",
        )  # fmt: skip
        self._run("slurmctld", "-c")
        self.start_node()
        deadline = time.monotonic() + 30
        while "idle" not in self.ask("sinfo", "-h", "-p", "debug", "-o", "%T"):
            assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()
            time.sleep(0.1)

    def start_node(self) -> None:
        """Start slurmd."""
        self._run("slurmd", "-N", self.host)

    def stop_controller(self) -> None:
        """Stop slurmctld; jobs continue, but no command is answered."""
        self._end("slurmctld", signal.SIGTERM)

    def start_controller(self) -> None:
        """Start slurmctld with the state in which it stopped, and wait for its answers."""
        self._run("slurmctld")
        deadline = time.monotonic() + 30
        while "UP" not in self.ask("scontrol", "ping", check=False):
            assert time.monotonic() < deadline, (self.folder / "slurmctld.log").read_text()
            time.sleep(0.1)

    def kill_node(self) -> None:
        """Kill slurmd as a crash would; the processes of its jobs survive."""
        self._end("slurmd", signal.SIGKILL)

    def clear(self) -> None:
        """Cancel all jobs."""
        self.ask("scancel", "--full", "--signal=KILL", "--user=root", check=False)
        self.ask("scancel", "--user=root", check=False)
        deadline = time.monotonic() + 8
        while self.ask("squeue", "-h", check=False) and time.monotonic() < deadline:
            time.sleep(0.2)

    def stop(self) -> None:
        """Cancel all jobs and stop the daemons."""
        self.clear()
        for name in ("slurmd", "slurmctld", "munged"):
            self._end(name, signal.SIGTERM)

    def ask(self, *command: str, check: bool = True) -> str:
        """Return the output of a Slurm command; without ``check`` it may fail or time out."""
        try:
            done = subprocess.run(
                command,
                env=os.environ | self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=60 if check else 10,
            )
        except subprocess.TimeoutExpired:
            assert not check, command
            return ""
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout.strip()

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

    def _end(self, name: str, number: signal.Signals) -> None:
        try:
            pid = int((self.folder / f"{name}.pid").read_text())
            os.kill(pid, number)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
