"""``python -m lmlab.sweep.slurm.detached_driver <folder>``: the job that drives a detached sweep.

Submits the runs that depend on results, and writes the report. Before its time limit it stops and
requeues itself, so the limit may be shorter than the study.

As for :mod:`lmlab.sweep.slurm.array_job`, a waiting job runs the code of its submission.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lmlab.errors import UserError
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.slurm.requeue import catch_signals, requeue


def main(arguments: Sequence[str]) -> int:
    """Drive the sweep to its end; return the exit code."""
    folder = Path(arguments[0])
    catch_signals()
    # Importing torch takes seconds: signals are caught before.
    from lmlab.sweep.follow import STOPPED_EXIT_CODE
    from lmlab.sweep.run_data_cache import RunDataCache
    from lmlab.sweep.slurm.driver_job import read_driver_launch
    from lmlab.sweep.slurm.slurm_launch import follow_in_slurm

    sweep_folder = SweepFolder(folder.parents[1])
    try:
        settings, code_folder = read_driver_launch(folder)
        code = follow_in_slurm(
            sweep_folder.manifest(), settings, sweep_folder, RunDataCache(), code_folder,
            signals=(signal.SIGUSR2,), resumes_driver=True,
        )  # fmt: skip
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if code == STOPPED_EXIT_CODE and requeue():  # by USR2, the only signal that stops it
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
