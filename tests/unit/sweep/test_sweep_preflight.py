"""A sweep that memory or disk cannot hold is refused before it starts."""

from __future__ import annotations

import pytest

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DiskError
from lmlab.preflight import machine_resources
from lmlab.preflight.forecast import costs_of
from lmlab.runs import auto_settings
from lmlab.sweep.run_data_cache import RunDataCache
from lmlab.sweep.slots import Slot
from lmlab.sweep.sweep_preflight import check_capacity


def test_concurrent_jobs_that_exceed_the_memory_are_refused(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose(overrides)
    device, data, slots = auto_settings.build_device(config), RunDataCache(), [Slot("cpu")] * 4
    costs = costs_of(resolve(config).workload, device)
    assert costs is not None
    each = costs.memory.peak + costs.memory.saving
    for name in ("free_memory", "free_shared_memory"):
        monkeypatch.setattr(machine_resources, name, lambda device: 3 * each + 1)
    check_capacity([config] * 3, data, slots, runs=3)
    with pytest.raises(
        ConfigError, match=r"4 jobs at the same time need .*\nhelp: set .*jobs_per_device=3"
    ):
        check_capacity([config] * 4, data, slots, runs=4)


def test_the_disk_must_hold_all_runs(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose(overrides)
    device, data, slots = auto_settings.build_device(config), RunDataCache(), [Slot("cpu")]
    costs = costs_of(resolve(config).workload, device)
    assert costs is not None
    space = 5 * costs.disk_left + costs.disk_most
    monkeypatch.setattr(machine_resources, "free_disk", lambda folder: space)
    check_capacity([config, config], data, slots, runs=6)
    with pytest.raises(DiskError, match=r"the sweep needs"):
        check_capacity([config, config], data, slots, runs=8)
