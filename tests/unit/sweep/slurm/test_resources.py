"""What jobs ask Slurm for, and what their runs compute with; without a Slurm."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.config.compose import compose, from_dict
from lmlab.errors import ConfigError
from lmlab.runs import auto_settings
from lmlab.sweep.slurm.job_device import device_of
from lmlab.sweep.slurm.resources import Requests, Resources


def settled(resources: dict[str, Any], *overrides: str, arms_per_job: int = 1) -> dict[str, Any]:
    requests = Requests(Resources.of(resources), {}, arms_per_job)
    return requests.settle(compose(overrides).as_dict(), "arm")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("cpus", 0, "at least 1"),
        ("gpus", "2", "at least 0"),
        ("time_min", True, "at least 1"),
        ("mem_gb", -1, "above 0"),
        ("partition", 3, "null or a name"),
        ("sbatch", ["exclude=a"], "--exclude=node7"),
        ("setup", "module load", "a list"),
        ("partitoin", "gpu", 'did you mean "partition"'),
        ("ranks", 0, "at least 1"),
        ("nodes", "two", "at least 1"),
    ],
)
def test_a_wrong_request_is_told_with_its_key(key: str, value: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        Resources.of({key: value})
    assert key in str(error.value)


def test_options_of_sbatch_are_keys_and_values() -> None:
    resources = Resources.of({"sbatch": ["--exclude=a=b", "--exclusive"]})
    assert resources.options() == {"exclude": "a=b", "exclusive": True}


def test_arms_that_match_a_pattern_ask_for_more() -> None:
    requests = Requests(Resources.of({"cpus": 2}), {"*large*": {"mem_gb": 64}})
    assert requests.of("model-large").mem_gb == 64
    assert requests.of("model-large").cpus == 2
    assert requests.of("model-small") == requests.common


def test_a_job_computes_as_it_asked_and_not_as_this_machine_would() -> None:
    on_gpu = settled({"gpus": 1, "cpus": 8})["runtime"]
    assert (on_gpu["device"], on_gpu["policy"], on_gpu["threads"]) == ("cuda", "bf16", 8)
    assert on_gpu["compile"] is True
    on_cpu = settled({"cpus": 8}, arms_per_job=3)["runtime"]
    assert (on_cpu["device"], on_cpu["policy"], on_cpu["threads"]) == ("cpu", "auto", 2)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"ranks": 3, "nodes": 2}, r"ranks=3: accepted with nodes=2 .* for example 2"),
        ({"nodes": 2}, r"ranks=1: accepted with nodes=2 .* for example 2"),
        ({"ranks": 2, "gpus": 2}, r"gpus=2: .* accepted with ranks=2 is 0 or 1"),
    ],
)
def test_ranks_that_no_job_can_have(request_: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Resources.of(request_)


def test_several_ranks_and_several_arms_exclude_each_other_in_each_arm() -> None:
    requests = Requests(Resources.of({}), {"*large*": {"ranks": 2}}, arms_per_job=2)
    assert requests.of("small").ranks == 1
    with pytest.raises(ConfigError, match=r"arms_per_job=2: accepted with ranks=2 is 1"):
        requests.of("large")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["runtime.parallel=none"], r"runtime\.parallel=none: the jobs of arm ask .* 3 ranks"),
        (
            ["training.batch_size=8"],
            r"training\.batch_size=8: expected a multiple of 3 with 3 ranks",
        ),
    ],
)
def test_a_run_that_its_ranks_cannot_train_is_refused_before(
    overrides: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        settled({"ranks": 3}, *overrides)


def test_the_threads_are_those_of_a_rank() -> None:
    runtime = settled({"ranks": 2, "cpus": 3})["runtime"]
    assert runtime["threads"] == 3, "so that ranks are no part of a run's identity"


def test_what_was_set_stays() -> None:
    runtime = settled({"gpus": 1}, "runtime.policy=fast", "runtime.threads=3")["runtime"]
    assert (runtime["policy"], runtime["threads"]) == ("fast", 3)


def test_a_device_that_is_not_asked_for_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"runtime.device=cuda.*0 GPUs"):
        settled({}, "runtime.device=cuda")


def test_the_job_finds_the_device_that_the_submitter_expected() -> None:
    config = from_dict(settled({"cpus": 2}))
    assert device_of(config) == auto_settings.build_device(config)
