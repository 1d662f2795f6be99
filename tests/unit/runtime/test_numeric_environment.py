from __future__ import annotations

import numpy as np
import torch

from lmlab.runtime.numeric_environment import (
    environment_changes,
    environment_of_session,
    numeric_environment,
)


def test_libraries_processor_and_the_variables_that_matter_are_recorded() -> None:
    variables = {
        "MKL_CBWR": "AVX2",
        "PATH": "/bin",
        "ATEN_CPU_CAPABILITY": "",
        "OMP_NUM_THREADS": "4",
    }
    assert numeric_environment("cpu", "cpu", variables) == {
        "torch": torch.__version__, "numpy": np.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(), "variables": {"MKL_CBWR": "AVX2"},
    }  # fmt: skip
    on_cuda = numeric_environment("cuda", "NVIDIA H200", {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"})
    assert on_cuda["gpu"].startswith("NVIDIA H200, CUDA ") and "cpu" not in on_cuda
    assert on_cuda["variables"] == {}, "lmlab sets this value itself"


def test_changes_are_listed_as_far_as_both_are_known() -> None:
    now = {"torch": "2.9", "numpy": "2", "cpu": "AVX512", "variables": {"A": "1", "B": "1"}}
    assert environment_changes(now, now) == []
    before = {"torch": "2.8", "gpu": "H200", "variables": {"A": "1", "C": "x"}}
    assert environment_changes(before, now) == [
        "B: unset -> 1", "C: x -> unset", "torch: 2.8 -> 2.9",
    ]  # fmt: skip
    assert environment_changes({"torch": "2.9"}, now) == []


def test_sessions_of_earlier_versions_recorded_versions_only() -> None:
    versions = {"versions": {"torch": "2.8", "wandb": "1", "numpy": "2"}}
    assert environment_of_session(versions) == {"torch": "2.8", "numpy": "2"}
    assert environment_of_session(versions | {"environment": {"torch": "3"}}) == {"torch": "3"}
    for damaged in ({}, {"versions": None}, {"versions": ["torch"], "environment": 1}):
        assert environment_of_session(damaged) == {}
