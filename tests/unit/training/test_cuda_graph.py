from __future__ import annotations

import torch
from torch import nn

from lmlab.runtime.compile_policy import GPU_RATE
from lmlab.training.cuda_graph import LAUNCH_BOUND_SECONDS, CudaGraphGradients, maybe_graphed

SMALL = round(LAUNCH_BOUND_SECONDS * GPU_RATE / 2)


def compute(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (inputs - targets).sum()


def is_graphed(device: str, step_flops: int, setting: str | bool) -> bool:
    found = maybe_graphed(
        compute, [nn.Parameter(torch.zeros(1))],
        device=torch.device(device), step_flops=step_flops, setting=setting,
    )  # fmt: skip
    assert found is compute or isinstance(found, CudaGraphGradients)
    return found is not compute


def test_parts_that_read_from_the_device_are_not_captured() -> None:
    parts = [nn.Linear(1, 1), nn.Linear(1, 1)]
    keywords = {"device": torch.device("cuda"), "step_flops": SMALL, "setting": "auto"}
    weights = [nn.Parameter(torch.zeros(1))]
    assert maybe_graphed(compute, weights, **keywords, parts=parts) is not compute
    parts[1].is_capturable = False
    assert maybe_graphed(compute, weights, **keywords, parts=parts) is compute


def test_only_small_steps_on_cuda_are_captured_unless_turned_off() -> None:
    assert is_graphed("cuda", SMALL, "auto")
    assert not is_graphed("cuda", 4 * SMALL, "auto")
    assert not is_graphed("cuda", SMALL, False)
    assert not is_graphed("cpu", SMALL, "auto")
