"""Event files for TensorBoard (``tensorboard --logdir outputs/runs``), written by torch's writer.

They stay where they are written: nothing is removed, also not what a resumed run replaces.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.run_folder import flatten
from lmlab.storage.io import make_folder

log = logging.getLogger("lmlab.tracking")

_FILES = "events.out.tfevents.*"
_NOT_SCALARS = ("kind", "name", "step")
_RESULTS = ("final/loss", "final/best_loss")  # results that the page of hyperparameters shows
_CLOCK_SECONDS = 5.0  # longest wait for a file name that comes after those of earlier sessions


class TensorBoardTracker:
    """One session of a run in TensorBoard, with the whole history of the run.

    A resumed session writes a further event file. It begins by declaring all steps of the earlier
    files void, which readers then drop (``purge_step``), and repeats the rows that still count.
    Rows after the checkpoint therefore do not appear twice, and none that a killed session had not
    written is missing.

    Values are float32, as TensorBoard's scalars are. Times are those that the run has trained, so
    that the axis *Relative* shows no pauses between sessions.

    Args:
        folder: for the event files of this run alone.
        config: the full configuration, as plain values.
        earlier_rows: rows of ``metrics.jsonl`` before this session.
        flush_seconds: the longest time until a row is in the file.

    Raises:
        ModuleNotFoundError: tensorboard is not installed.
        DiskError: the folder cannot be written.
    """

    replays_earlier_rows = True

    def __init__(
        self,
        folder: Path,
        *,
        config: Mapping[str, Any],
        earlier_rows: Sequence[dict[str, Any]] = (),
        flush_seconds: float = 30.0,
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        make_folder(folder)
        has_earlier = _wait_for_later_name(folder)
        self._writer = SummaryWriter(
            str(folder), purge_step=0 if has_earlier else None, flush_secs=flush_seconds
        )
        trained = max((float(row.get("seconds", 0.0)) for row in earlier_rows), default=0.0)
        self._began = time.time() - trained
        settings = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in flatten(dict(config))
        }
        experiment, begin, self._end = hparams(settings, dict.fromkeys(_RESULTS, 0.0))
        for summary in (experiment, begin):
            self._writer._get_file_writer().add_summary(summary)
        for row in earlier_rows:
            self.log(row)

    def log(self, row: dict[str, Any]) -> None:
        """Record a row; see :class:`lmlab.tracking.Tracker`."""
        kind = "/".join(str(row[key]) for key in ("kind", "name") if key in row) or "row"
        numbers = {key: value for key, value in row.items() if key not in _NOT_SCALARS}
        self._add(kind, numbers, row.get("step", 0), self._began + row.get("seconds", 0.0))

    def samples(self, rows: Sequence[dict[str, Any]]) -> None:
        """Record samples as Markdown; see :class:`lmlab.tracking.Tracker`."""
        text = "\n\n".join(f"**{row['prompt']}**{row['text']}" for row in rows)
        self._writer.add_text("samples", text, rows[0].get("step") if rows else 0)

    def summary(self, values: dict[str, Any]) -> None:
        """Record the final values; see :class:`lmlab.tracking.Tracker`."""
        self._add("final", values, values.get("step", 0), None)
        words = [f"{key}: {value}" for key, value in values.items() if isinstance(value, str)]
        self._writer.add_text("final", "  \n".join(words), values.get("step", 0))

    def finish(self, exit_code: int) -> None:
        """End the session: write what is left."""
        if exit_code == 0:
            self._writer._get_file_writer().add_summary(self._end)
        self._writer.close()

    def _add(self, kind: str, numbers: Mapping[str, Any], step: int, at: float | None) -> None:
        for key, value in numbers.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{kind}/{key}", float(value), step, walltime=at)


def _wait_for_later_name(folder: Path) -> bool:
    """Wait until the name of a new event file comes after those that exist; return if any does.

    Readers take the files of a folder in the order of their names, which begin with the second
    in which they were made. Otherwise they would read this session before an earlier one.
    """
    made = [_second_of(path) for path in folder.glob(_FILES)]
    if not made:
        return False
    until = time.monotonic() + _CLOCK_SECONDS
    while math.floor(time.time()) <= max(made) and time.monotonic() < until:
        time.sleep(0.02)
    if math.floor(time.time()) <= max(made):
        log.warning(
            "tensorboard: the clock of this machine is behind that of the earlier session; "
            "TensorBoard may show steps of %s twice. metrics.jsonl is not affected",
            folder,
        )
    return True


def _second_of(path: Path) -> int:
    text = path.name.split(".")[3]
    return int(text) if text.isdigit() else 0
