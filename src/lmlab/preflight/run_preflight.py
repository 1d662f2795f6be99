"""The preflight of a run: told and checked before it, compared with what it took after it."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import Any

from lmlab.accounting.tables import Table
from lmlab.build.factory import build_checkpoints
from lmlab.build.run_data import RunData
from lmlab.config.run_config import RunConfig
from lmlab.console.formatting import format_duration
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.preflight import machine_resources
from lmlab.preflight.calibration import Calibration, learn
from lmlab.preflight.capacity_check import check_disk, check_memory, does_not_fit, refuse
from lmlab.preflight.forecast import Costs, Forecast, costs_of, forecast
from lmlab.preflight.measurement import calibrate, calibration_of
from lmlab.run_folder import RunFolder
from lmlab.runtime.device import Device, is_out_of_memory
from lmlab.storage.io import write_json
from lmlab.training.state import Progress

FORMAT_VERSION = 1
log = logging.getLogger("lmlab.preflight")


def check_early(config: RunConfig, device: Device, comm: Communicator = SINGLE_PROCESS) -> None:
    """Refuse what memory cannot hold, before any text is prepared. Raises :class:`ConfigError`."""
    costs = None if config.runtime.preflight == "off" else costs_of(config, device, comm)
    if costs is not None:
        check_memory(config, device, costs)


@dataclasses.dataclass
class RunPreflight:
    """A run between its preflight and its end.

    Attributes:
        config: of the run.
        device: that it computes on.
        run: its folder.
        told: what was predicted; None where preflight is off.
        from_step: the step that the session begins at.
        alone: whether the time that it takes is its own.
    """

    config: RunConfig
    device: Device
    run: RunFolder
    told: Forecast | None
    from_step: int
    alone: bool = True
    _started: float = 0.0
    _trained_before: float = 0.0

    @classmethod
    def prepare(
        cls,
        config: RunConfig,
        device: Device,
        texts: RunData,
        run: RunFolder,
        alone: bool = True,
        comm: Communicator = SINGLE_PROCESS,
    ) -> RunPreflight:
        """Measure where that was not done before, tell, and refuse what does not fit.

        Args:
            config: of the run.
            device: that it computes on.
            texts: its data.
            run: its folder.
            alone: False where its steps are not its own: no time is predicted then, or learned.
            comm: that share the batches, of which ``config`` is one's part.

        Raises:
            ConfigError: memory does not suffice.
            DiskError: disk does not suffice.
        """
        done, told = max(build_checkpoints(config, run.checkpoints).steps(), default=0), None
        if config.runtime.preflight != "off" and config.training.steps > 0:
            held = machine_resources.held_before(device.device)
            costs = costs_of(config, device, comm)
            if costs is not None:
                check_memory(config, device, costs)
                check_disk(config, costs, run.path)
            measured = _measure(config, device, costs) if alone else None
            told = forecast(config, device, texts, costs, measured, done, held)
            log.info("preflight: %s", told.told(config, device))
        machine_resources.watch_peak(device.device)
        return cls(config, device, run, told, done, alone, time.perf_counter())

    def begin(self, at: Progress) -> None:
        """Write the prediction into the run's folder, which goes on from ``at``."""
        self._trained_before = at.seconds
        if self.told is None:
            return
        if at.step != self.from_step:  # a run that goes on from another's checkpoint
            self.told, self.from_step = dataclasses.replace(self.told, seconds=None), at.step
        self._write(None)

    def end(self, at: Progress) -> None:
        """Write what the session took, and keep the time of its steps for the next prediction."""
        if self.told is None:
            return
        own, seconds = at.step - self.from_step, at.seconds - self._trained_before
        self._write(
            {
                "seconds": round(time.perf_counter() - self._started, 3),
                "training_seconds": round(seconds, 3),
                "peak_bytes": machine_resources.peak_bytes(self.device.device),
                "disk_bytes": machine_resources.size_of(self.run.path),
            }
        )
        if own > 0 and self.alone:
            learn(self.config, self.device, seconds / own, own)

    def _write(self, actual: dict[str, Any] | None) -> None:
        assert self.told is not None
        write_json(
            self.run.path / "preflight.json",
            {
                "format_version": FORMAT_VERSION,
                "from_step": self.from_step,
                "predicted": self.told.as_dict(),
                "actual": actual,
            },
        )


def _measure(config: RunConfig, device: Device, costs: Costs | None) -> Calibration | None:
    try:
        return calibration_of(config, device)
    except Exception as error:
        free = machine_resources.free_memory(device.device)
        if is_out_of_memory(error) and costs is not None and free is not None:
            refuse(config, does_not_fit(config, device, costs, 0, free))
        # Whatever it is, the run itself meets it too, and keeps its traceback.
        told = str(error) or type(error).__name__
        log.warning("preflight: nothing was measured: %s", told)
    return None


def measure_here(config: RunConfig, device: Device) -> tuple[dict[str, Any], Table]:
    """A few real steps of ``config`` on this device, for ``python -m lmlab.account``."""
    device.apply()
    found = calibrate(config, device)
    steps = config.training.steps
    rows = [
        ["an update", f"{found.step:.4g} s"],
        ["a batch of an evaluation", f"{found.evaluation:.4g} s"],
        ["a checkpoint", f"{found.saving:.4g} s"],
        [f"{steps:,} updates", format_duration(steps * found.step)],
    ]
    heading = f"Measured on {device.name()}: {found.source}"
    return dataclasses.asdict(found), Table(heading, ["", "time"], rows)
