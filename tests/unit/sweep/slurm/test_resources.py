"""What jobs request from Slurm, and what their runs compute with."""

from __future__ import annotations

from typing import Any

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError
from lmlab.sweep.slurm.resources import ArmResources, Resources


def resolved(options: dict[str, Any], *overrides: str, arms_per_job: int = 1) -> dict[str, Any]:
    resources = ArmResources(Resources.from_options(options), {}, arms_per_job)
    return resources.resolve_runtime(compose(overrides).as_dict(), "arm")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cpus", 0, "hydra.launcher.cpus=0: expected an integer of at least 1"),
        ("cpus", 1.5, "hydra.launcher.cpus=1.5: expected an integer of at least 1"),
        ("gpus", "2", "hydra.launcher.gpus=2: expected an integer of at least 0"),
        ("time_min", True, "hydra.launcher.time_min=True: expected an integer of at least 1"),
        ("mem_gb", -1, "hydra.launcher.mem_gb=-1: expected null, or gigabytes above 0"),
        ("partition", 3, "hydra.launcher.partition=3: expected null or a name"),
        ("sbatch", ["exclude=a"], "expected a list of sbatch options such as --exclude=node7"),
        ("setup", "module load", "hydra.launcher.setup=module load: expected a list"),
        ("partitoin", "gpu", 'help: did you mean "partition"?'),
        ("partitoin", "gpu", "hydra.launcher.partitoin=gpu: unknown resource, expected one of"),
        ("ranks", 0, "hydra.launcher.ranks=0: expected an integer of at least 1"),
        ("nodes", "two", "hydra.launcher.nodes=two: expected an integer of at least 1"),
    ],
)
def test_an_invalid_request_is_refused_with_its_key(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Resources.from_options({key: value})
    assert message in str(error.value)


def test_sbatch_options_are_keys_and_values() -> None:
    resources = Resources.from_options({"sbatch": ["--exclude=a=b", "--exclusive"]})
    assert resources.sbatch_options() == {"exclude": "a=b", "exclusive": True}


def test_arms_that_match_a_pattern_request_more() -> None:
    resources = ArmResources(Resources.from_options({"cpus": 2}), {"*large*": {"mem_gb": 64}})
    assert resources.for_arm("model-large").mem_gb == 64
    assert resources.for_arm("model-large").cpus == 2
    assert resources.for_arm("model-small") == resources.common
    assert resources.unmatched_patterns(["a", "model-large"]) == []
    assert resources.unmatched_patterns(["b", "a"]) == [
        "hydra.launcher.per_arm.*large*: no arm matches; the arms are a, b"
    ]


def test_a_run_computes_on_what_its_job_requests_not_on_this_machine() -> None:
    on_gpu = resolved({"gpus": 1, "cpus": 8})["runtime"]
    assert (on_gpu["device"], on_gpu["policy"], on_gpu["threads"]) == ("cuda", "bf16", 8)
    assert on_gpu["compile"] is True
    on_cpu = resolved({"cpus": 8}, arms_per_job=3)["runtime"]
    assert (on_cpu["device"], on_cpu["policy"], on_cpu["threads"]) == ("cpu", "auto", 2)


@pytest.mark.parametrize(
    ("options", "message", "help"),
    [
        ({"ranks": 3, "nodes": 2}, "ranks=3: expected a multiple of nodes=2", "ranks=2"),
        ({"nodes": 2}, "ranks=1: expected a multiple of nodes=2", "ranks=2"),
        ({"ranks": 2, "gpus": 2}, "gpus=2: expected 0 or 1 GPUs per rank", "gpus=1"),
    ],
)
def test_ranks_that_no_job_can_have_are_refused(
    options: dict[str, Any], message: str, help: str
) -> None:
    with pytest.raises(ConfigError) as error:
        Resources.from_options(options)
    assert f"hydra.launcher.{message}" in error.value.message
    assert f"set hydra.launcher.{help}" in str(error.value.help)


def test_a_job_has_several_ranks_or_several_runs_but_not_both() -> None:
    resources = ArmResources(Resources(), {"*large*": {"ranks": 2}}, arms_per_job=2)
    assert resources.for_arm("small").ranks == 1
    with pytest.raises(ConfigError, match=r"arms_per_job=2: expected 1 with ranks=2"):
        resources.for_arm("large")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["runtime.parallel=none"], r"runtime\.parallel=none: .* the jobs of arm request 3 ranks"),
        (
            ["training.batch_size=8"],
            r"training\.batch_size=8: expected a multiple of 3 with 3 ranks",
        ),
    ],
)
def test_a_run_that_its_ranks_cannot_train_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolved({"ranks": 3}, *overrides)


def test_the_threads_are_those_of_a_rank() -> None:
    runtime = resolved({"ranks": 2, "cpus": 3})["runtime"]
    assert runtime["threads"] == 3, "so the number of ranks does not change the identity of a run"


def test_explicit_settings_stay() -> None:
    runtime = resolved({"gpus": 1}, "runtime.policy=fast", "runtime.threads=3")["runtime"]
    assert (runtime["policy"], runtime["threads"]) == ("fast", 3)


def test_a_device_that_the_job_does_not_request_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"runtime.device=cuda: expected auto or cpu.*0 GPUs"):
        resolved({}, "runtime.device=cuda")
