"""The preflight of a run: predict and check it before the start, compare at the end."""

from __future__ import annotations

import dataclasses
import logging
import time
from pathlib import Path
from typing import Any

from lmlab.accounting.tables import Table
from lmlab.build.factory import build_checkpoints
from lmlab.build.run_data import RunData
from lmlab.build.run_spec import RunSpec
from lmlab.build.workload import RunWorkload
from lmlab.console.formatting import format_count, format_duration
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.errors import ConfigError
from lmlab.preflight import machine_resources
from lmlab.preflight.calibration import Calibration, calibration_file, update_calibration
from lmlab.preflight.capacity_check import check_disk, check_memory, refuse, update_problem
from lmlab.preflight.forecast import Costs, Forecast, costs_of, forecast
from lmlab.preflight.measurement import calibrate, find_or_calibrate
from lmlab.preflight.scratch_copy import measure_optimizer
from lmlab.preflight.state_check import check_state
from lmlab.run_folder import RunFolder
from lmlab.runtime.device import Device, is_out_of_memory
from lmlab.storage.io import write_json
from lmlab.training.state import Progress

FORMAT_VERSION = 1
log = logging.getLogger("lmlab.preflight")


def check_memory_early(
    workload: RunWorkload, device: Device, mode: str, comm: Communicator = SINGLE_PROCESS
) -> None:
    """Refuse a run that memory cannot hold before data is prepared. Raises :class:`ConfigError`."""
    costs = None if mode == "off" else costs_of(workload, device, comm)
    if costs is not None:
        check_memory(workload, device, costs, mode)


@dataclasses.dataclass
class RunPreflight:
    """The prediction of a run, from its preflight to its end.

    Attributes:
        device: where the run computes.
        folder: of the run.
        prediction: None where preflight is off.
        from_step: the step that this session starts from.
        calibration: file that is updated with the step time of the run; None where others share
            its steps.
    """

    device: Device
    folder: RunFolder
    prediction: Forecast | None
    from_step: int
    calibration: Path | None
    _started: float = 0.0
    _seconds_before: float = 0.0

    @classmethod
    def prepare(
        cls,
        spec: RunSpec,
        device: Device,
        data: RunData,
        folder: RunFolder,
        comm: Communicator = SINGLE_PROCESS,
        *,
        is_stacked: bool = False,
    ) -> RunPreflight:
        """Measure a new workload, log the prediction, and refuse what does not fit.

        Args:
            spec: of the run.
            device: where it computes.
            data: of the run.
            folder: of the run.
            comm: of the ranks that share the batches.
            is_stacked: whether other runs share the steps. Time is neither predicted nor learned
                then, nor with several ranks.

        Raises:
            ConfigError: memory does not suffice.
            DiskError: disk space does not suffice.
        """
        workload, prediction = spec.workload.for_rank(comm.size), None
        is_alone = comm.size == 1 and not is_stacked
        saved = build_checkpoints(workload, folder.checkpoints).steps()
        steps_done = max(saved, default=0)
        if spec.preflight != "off" and workload.steps > 0:
            baseline = machine_resources.baseline_bytes(device.device)
            _check_state(spec, device)
            costs = costs_of(workload, device, comm, measure_optimizer(spec))
            if costs is not None:
                check_memory(workload, device, costs, spec.preflight)
                check_disk(workload, costs, folder.path, spec.output_root, spec.preflight)
            measured = _measure(spec, device, costs) if is_alone else None
            prediction = forecast(workload, device, data, costs, measured, steps_done, baseline)
            summary = prediction.summary(device, spec.output_root)
            is_partial = prediction.seconds is not None and spec.callbacks
            omitted = "; the time of callbacks is not included" if is_partial else ""
            log.info("preflight: %s%s", summary, omitted)
        machine_resources.reset_peak(device.device)
        calibration = calibration_file(workload, device, spec.cache_folder) if is_alone else None
        started = time.perf_counter()
        return cls(device, folder, prediction, steps_done, calibration, started)

    def begin(self, progress: Progress) -> None:
        """Write the prediction into the run folder, for a session that starts at ``progress``."""
        self._seconds_before = progress.seconds
        if self.prediction is None:
            return
        if progress.step != self.from_step:  # the run extends a parent from its checkpoint
            self.prediction = dataclasses.replace(self.prediction, seconds=None)
            self.from_step = progress.step
        self._write(None)

    def end(self, progress: Progress) -> None:
        """Write what the session took, and keep its step time for the next prediction."""
        if self.prediction is None:
            return
        steps, seconds = progress.step - self.from_step, progress.seconds - self._seconds_before
        self._write(
            {
                "seconds": round(time.perf_counter() - self._started, 3),
                "training_seconds": round(seconds, 3),
                "peak_bytes": machine_resources.peak_bytes(self.device.device),
                "disk_bytes": machine_resources.size_of(self.folder.path),
            }
        )
        if steps > 0 and self.calibration is not None:
            update_calibration(self.calibration, seconds / steps, steps)

    def _write(self, actual: dict[str, Any] | None) -> None:
        assert self.prediction is not None
        write_json(
            self.folder.path / "preflight.json",
            {
                "format_version": FORMAT_VERSION,
                "from_step": self.from_step,
                "predicted": self.prediction.as_dict(),
                "actual": actual,
            },
        )


def _check_state(spec: RunSpec, device: Device) -> None:
    try:
        check_state(spec, device)
    except ConfigError as problem:
        refuse(problem, spec.preflight)


def _measure(spec: RunSpec, device: Device, costs: Costs | None) -> Calibration | None:
    try:
        return find_or_calibrate(spec, device)
    except Exception as error:
        free = machine_resources.free_memory(device.device)
        if is_out_of_memory(error) and costs is not None and free is not None:
            refuse(update_problem(spec.workload, device, costs, None, free), spec.preflight)
        # The run itself meets the same error and keeps its traceback.
        reason = str(error) or type(error).__name__
        log.warning("preflight: the measurement failed: %s", reason)
    return None


def measure_here(spec: RunSpec, device: Device) -> tuple[dict[str, Any], Table]:
    """Time a few real steps on this device, for ``python -m lmlab.account``."""
    device.apply()
    found = calibrate(spec, device)
    steps = spec.workload.steps
    rows = [
        ["update", f"{found.step:.4g} s"],
        ["evaluation batch", f"{found.evaluation:.4g} s"],
        ["checkpoint", f"{found.saving:.4g} s"],
        [format_count(steps, "update"), format_duration(steps * found.step)],
    ]
    heading = f"Measured on {device.name()}: {found.source}"
    return dataclasses.asdict(found), Table(heading, ["", "time"], rows)
