"""Runs on a GPU: resumed runs, CUDA graphs and stacks."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from lmlab.config.compose import compose
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.runs.stacked.execute_stack import execute_stack
from lmlab.runtime.signals import SignalHandler

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here"),
]
RATES = {"a": "1e-3", "b": "2e-3", "c": "3e-3"}


@pytest.fixture
def on_gpu(overrides: list[str]) -> list[str]:
    others = [word for word in overrides if not word.startswith("runtime.")]
    return [*others, f"runtime.device={DEVICE}"]


def trained(settings: list[str]) -> RunFolder:
    return execute(compose(settings)).run


def weights(run: RunFolder) -> bytes:
    return (run.checkpoints / "step_00000020" / "model.safetensors").read_bytes()


def losses(run: RunFolder) -> list[float]:
    return [row["loss"] for row in run.rows("train")]


@pytest.mark.parametrize("cuda_graph", ["auto", "false"])
def test_exact_runs_resume_bit_for_bit(
    on_gpu: list[str], monkeypatch: pytest.MonkeyPatch, cuda_graph: str
) -> None:
    settings = [*on_gpu, "runtime.policy=exact", f"runtime.cuda_graph={cuda_graph}", "reuse=false"]
    straight = trained([*settings, "study=straight"])
    with monkeypatch.context() as patch:
        steps = iter(range(100))
        patch.setattr(SignalHandler, "should_stop", lambda self: _after_seven(self, steps))
        stopped = execute(compose([*settings, "study=cut"]))
        assert stopped.exit_code == 128 + signal.SIGTERM
    cut = trained([*settings, "study=cut"])
    assert len(cut.meta()["sessions"]) == 2
    assert weights(cut) == weights(straight)


def _after_seven(stop: SignalHandler, steps) -> bool:
    if next(steps) >= 7:
        stop.signal_number = signal.SIGTERM
    return stop.signal_number is not None


@pytest.mark.parametrize("policy", ["exact", "fast", "bf16"])
def test_a_graph_changes_no_loss(on_gpu: list[str], policy: str) -> None:
    settings = [*on_gpu, f"runtime.policy={policy}", "reuse=false", "training.log_every=1"]
    recorded = trained([*settings, "study=recorded"])
    launched = trained([*settings, "study=launched", "runtime.cuda_graph=false"])
    assert losses(recorded) == pytest.approx(losses(launched), rel=1e-5)
    assert "not recorded" not in recorded.log.read_text()


@pytest.mark.parametrize(
    ("policy", "compiled", "d_model"),
    # Triton's kernels take heads of 32, which the wide models have.
    [("fast", "false", 16), ("bf16", "false", 64), ("bf16", "true", 64)],
)
def test_a_stack_is_close_to_separate_runs(
    on_gpu: list[str], tmp_path: Path, policy: str, compiled: str, d_model: int
) -> None:
    settings = [*on_gpu, f"runtime.policy={policy}", "reuse=false", "training.log_every=1"]
    settings += [f"runtime.compile={compiled}", f"model.d_model={d_model}"]
    arms = [[*settings, f"arm={arm}", f"optim.lr={rate}"] for arm, rate in RATES.items()]
    execute_stack([compose([*own, "study=together"]) for own in arms])
    for arm, own in zip(RATES, arms, strict=True):
        alone = trained([*own, "study=apart"])
        place = tmp_path / "outputs" / "together" / arm / "seed0"
        together = RunFolder(place)
        tolerance = 1e-4 if policy == "fast" else 5e-3
        assert losses(together) == pytest.approx(losses(alone), abs=tolerance)
        assert "not recorded" not in together.log.read_text()
