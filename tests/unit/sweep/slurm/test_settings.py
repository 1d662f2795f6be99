"""The settings of ``hydra.launcher`` for Slurm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError
from lmlab.sweep.slurm.settings import SlurmSettings

DEFAULTS: dict[str, Any] = {
    "resources": {"cpus": 4, "gpus": 1, "ranks": 2, "mem_gb": 8}, "per_arm": {}, "driver": {},
    "arms_per_job": 1, "array_parallelism": 64, "signal_seconds": 90, "retries": 3,
    "poll_seconds": 10.0, "wait": False, "plan_only": False, "report": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms_per_job": 0}, "hydra.launcher.arms_per_job=0: expected an integer of at least 1"),
        ({"array_parallelism": 1.5}, "hydra.launcher.array_parallelism=1.5: expected an integer"),
        ({"signal_seconds": True}, "hydra.launcher.signal_seconds=True: expected an integer"),
        ({"retries": -1}, "hydra.launcher.retries=-1: expected an integer of at least 0"),
        ({"per_arm": {"*a*": {"cpu": 2}}}, 'did you mean "cpus"?'),
        ({"driver": {"ranks": 2}}, "hydra.launcher.driver.ranks=2: expected 1"),
        ({"driver": {"mem": 2}}, "hydra.launcher.driver.mem=2: unknown resource"),
        ({"driver": 5}, "hydra.launcher.driver=5: expected resources by key"),
        ({"driver": {"mem_gb": "8"}}, "hydra.launcher.driver.mem_gb=8: expected null, or gigab"),
        ({"driver": {"time_min": 1}}, "hydra.launcher.driver.time_min=1: expected more minutes"),
        ({"per_arm": [1]}, "hydra.launcher.per_arm=[1]: expected resources by pattern"),
        ({"per_arm": {"*a*": 3}}, "hydra.launcher.per_arm.*a*=3: expected resources by key"),
        ({"per_arm": {"*a*": {"cpus": 0}}}, "hydra.launcher.per_arm.*a*.cpus=0: expected an"),
        ({"wait": "no"}, "hydra.launcher.wait=no: expected true or false"),
        ({"poll_seconds": 0}, "hydra.launcher.poll_seconds=0: expected seconds above 0"),
        ({"resources": {"sbatch": ["--time=5"]}}, "remove it and set hydra.launcher.time_min"),
        ({"resources": {"sbatch": ["--array 0-3"]}}, "remove it and set hydra.launcher.array_par"),
        ({"resources": {"sbatch": ["--parsable"]}}, "hydra.launcher.sbatch=--parsable: expected"),
        ({"arms_per_job": 2}, "hydra.launcher.arms_per_job=2: expected 1 with ranks=2"),
        ({"arms_per_job": 2, "resources": {}, "per_arm": {"a": {"ranks": 2}}},
         "hydra.launcher.arms_per_job=2: expected 1 with ranks=2"),
    ],
)  # fmt: skip
def test_invalid_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        SlurmSettings.from_options(**(DEFAULTS | changes))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"resources": {"time_min": 1}},
            "hydra.launcher.time_min=1: expected more minutes than the 90 seconds of "
            "hydra.launcher.signal_seconds",
        ),
        ({"signal_seconds": 240 * 60}, "set hydra.launcher.time_min=242, or hydra.launcher.signal"),
        (
            {"per_arm": {"wide": {"time_min": 1}}},
            "set hydra.launcher.per_arm.wide.time_min=3, or hydra.launcher.signal_seconds=30",
        ),
    ],
)
def test_settings_that_no_arm_can_use_are_refused(changes: dict[str, Any], message: str) -> None:
    content = compose([]).as_dict()
    manifest = Manifest("s", "", [content, content], ["narrow", "wide"], [[], []])
    defaults = DEFAULTS | {"resources": {}, "wait": True}
    settings = SlurmSettings.from_options(**(defaults | changes))
    with pytest.raises(ConfigError) as error:
        settings.resolve_runtime(manifest)
    assert message in str(error.value)


def test_the_driver_requests_one_process_without_gpus() -> None:
    settings = SlurmSettings.from_options(**(DEFAULTS | {"driver": {"mem_gb": 1}}))
    driver = settings.driver
    assert (driver.gpus, driver.ranks, driver.cpus, driver.mem_gb) == (0, 1, 4, 1)


def test_settings_survive_the_file_of_the_driver() -> None:
    changes = {"per_arm": {"*large*": {"mem_gb": 64, "sbatch": ["--exclusive"]}}, "retries": 7}
    settings = SlurmSettings.from_options(**(DEFAULTS | changes))
    stored = json.loads(json.dumps(settings.as_dict()))
    restored = SlurmSettings.from_dict(stored)
    assert restored == settings
    assert restored.submission.resources.for_arm("large-model").mem_gb == 64


def test_each_arm_gets_the_runtime_of_its_own_job() -> None:
    changes = {"resources": {"cpus": 2}, "per_arm": {"wide": {"cpus": 8}}}
    settings = SlurmSettings.from_options(**(DEFAULTS | changes))
    content = compose([]).as_dict()
    manifest = Manifest("s", "", [content, content], ["narrow", "wide"], [[], []])
    resolved = settings.resolve_runtime(manifest)
    assert [arm["runtime"]["threads"] for arm in resolved.arms] == [2, 8]
    assert manifest.arms[0]["runtime"]["threads"] == "auto", "the manifest did not change"
