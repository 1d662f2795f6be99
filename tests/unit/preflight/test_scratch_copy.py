"""The state of every optimizer of torch is predicted to the byte, but for its scalars."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lmlab.accounting.memory import FLOAT32
from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.preflight import scratch_copy
from lmlab.preflight.forecast import costs_of
from lmlab.preflight.scratch_copy import ScratchCopy, measure_optimizer
from lmlab.runs.auto_settings import choose_device

CASES = [
    ("ASGD", ""), ("Adadelta", ""), ("Adagrad", ""), ("Adam", "amsgrad: true"), ("Adamax", ""),
    ("NAdam", ""), ("RAdam", ""), ("Rprop", ""), ("RMSprop", ""), ("RMSprop", "momentum: 0.9"),
    ("RMSprop", "momentum: 0.9\ncentered: true"), ("SGD", ""), ("SGD", "momentum: 0.9"),
    ("Adafactor", ""),
]  # fmt: skip


@pytest.fixture
def spec_of(overrides, tmp_path: Path, monkeypatch):  # type: ignore[no-untyped-def]
    (tmp_path / "lmlab").mkdir()
    (tmp_path / "lmlab" / "config.yaml").write_text(f"search_path: [{tmp_path}]\n")
    (tmp_path / "optim").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def make(target: str, more: str = ""):  # type: ignore[no-untyped-def]
        text = f"_target_: {target}\nlr: 0.01\n{more}\n"
        (tmp_path / "optim" / "mine.yaml").write_text(text)
        return resolve(compose([*overrides, "optim=mine"]))

    return make


def actual_bytes(spec) -> int:  # type: ignore[no-untyped-def]
    model = factory.build_model(spec)
    optimizer = factory.build_optimizer(spec, model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    tensors = [t for s in optimizer.state.values() for t in s.values() if hasattr(t, "nbytes")]
    return sum(tensor.nbytes for tensor in tensors if tensor.ndim)


def test_the_predicted_state_of_an_optimizer_is_the_actual_one(spec_of) -> None:
    torch.set_num_threads(1)
    for name, more in CASES:
        spec = spec_of(f"torch.optim.{name}", more)
        counts = measure_optimizer(spec)
        assert counts is not None
        actual = actual_bytes(spec)
        assert FLOAT32 * counts.state == pytest.approx(actual, rel=0.05, abs=100), (name, more)
        costs = costs_of(spec.workload, choose_device(spec), optimizer=counts)
        assert costs is not None and costs.memory.optimizer == FLOAT32 * counts.state


def test_a_large_model_is_measured_on_a_small_copy(spec_of, monkeypatch) -> None:
    spec = spec_of("torch.optim.Adafactor")
    monkeypatch.setattr(scratch_copy, "MEASURED_PARAMETERS", 0)
    counts = measure_optimizer(spec)
    assert counts is not None and counts.state > 0
    model = ScratchCopy.build(spec, torch.device("cpu")).state.model
    whole = factory.build_model(spec)
    small, large = (sum(p.numel() for p in one.parameters()) for one in (model, whole))
    assert small <= large
