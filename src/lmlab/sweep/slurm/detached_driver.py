"""``python -m lmlab.sweep.slurm.detached_driver <folder>``: the driver of a detached sweep, as a job.

It submits what depends on results, and writes the report. Told to end, it is queued again and goes
on from the runs' files; its time limit may be shorter than the study.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lmlab.errors import UserError
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.slurm.requeue import listen, queue_again

_STOPPED = 128 + signal.SIGINT


def main(argv: Sequence[str]) -> int:
    """Drive the sweep to its end; its exit code."""
    place = Path(argv[0])
    listen()
    # Torch takes seconds to import; signals are listened to before.
    from lmlab.sweep.arm_costs import TextsByConfig
    from lmlab.sweep.slurm.launch import follow, read_launch

    launch, code = read_launch(place)
    folder = SweepFolder(place.parents[1])
    try:
        ended = follow(
            folder.manifest(), launch, folder, TextsByConfig(), code,
            signals=(signal.SIGUSR2,), goes_on=True,
        )  # fmt: skip
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if ended == _STOPPED and queue_again():
        return 0
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
