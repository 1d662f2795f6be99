"""Optimizers whose work ranks would divide, though the optimizer needs more than its part."""

from __future__ import annotations

import re

import pytest
from own_parts import OfElements, OfModel, OfTensors, Undeclared

from lmlab.build.instantiate import BoundTarget
from lmlab.build.parallel_check import check_parallel
from lmlab.config.compose import compose
from lmlab.distributed.communicator import Communicator
from lmlab.errors import ConfigError
from lmlab.runs.auto_settings import build_device


def refusal(kind: type, parallel: str) -> str:
    """What the check of an optimizer says; empty where it accepts it."""
    comm = Communicator()
    comm.size, comm.parallel = 2, parallel
    device = build_device(compose(["runtime.policy=fast", "runtime.device=cpu"]))
    try:
        check_parallel([BoundTarget(f"own_parts.{kind.__name__}", {"lr": 0.1})], device, comm)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("parallel", ["none", "ddp"])
@pytest.mark.parametrize("kind", [Undeclared, OfElements, OfTensors, OfModel])
def test_ranks_that_hold_the_whole_model_take_any_optimizer(kind: type, parallel: str) -> None:
    assert refusal(kind, parallel) == ""


@pytest.mark.parametrize(
    ("kind", "parallel"), [(OfElements, "zero1"), (OfElements, "fsdp"), (OfTensors, "zero1")]
)
def test_ranks_divide_what_may_be_divided(kind: type, parallel: str) -> None:
    assert refusal(kind, parallel) == ""


@pytest.mark.parametrize(
    ("kind", "parallel", "message"),
    [
        (Undeclared, "fsdp", r"expected an optimizer that declares what its update depends on, wi"),
        (Undeclared, "zero1", r"declares what .*, with runtime\.parallel=zero1"),
        (OfModel, "zero1", r"updates each tensor by itself, with runtime\.parallel=zero1"),
        (OfModel, "fsdp", r"updates each tensor by itself"),
        (OfTensors, "fsdp", r"updates shards of a matrix, .*this one needs full matrices"),
    ],
)
def test_what_would_be_divided_wrongly_is_refused(kind: type, parallel: str, message: str) -> None:
    said = refusal(kind, parallel)
    assert re.match(rf"optim\._target_=.*{kind.__name__}: .*{message}", said), said
    assert "\nhelp: " in said
