"""The submitting machine knows the device of a job without having it."""

from __future__ import annotations

from lmlab.config.compose import compose, from_dict
from lmlab.runs import auto_settings
from lmlab.sweep.slurm.job_device import job_device
from lmlab.sweep.slurm.resources import ArmResources, Resources


def test_on_a_cpu_the_job_finds_the_device_that_the_submitter_expects() -> None:
    content = compose([]).as_dict()
    resolved = ArmResources(Resources(cpus=2)).resolve_runtime(content, "arm")
    config = from_dict(resolved)
    assert job_device(config) == auto_settings.build_device(config)
    assert job_device(config).threads == 2


def test_a_gpu_need_not_be_on_the_submitting_machine() -> None:
    content = compose([]).as_dict()
    resolved = ArmResources(Resources(gpus=1, cpus=4)).resolve_runtime(content, "arm")
    device = job_device(from_dict(resolved))
    assert (device.device.type, device.policy.name, device.compile) == ("cuda", "bf16", True)
