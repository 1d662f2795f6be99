"""Ranks balance experts by the loads of the whole batch, as one process does."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from launching import Launcher, assert_same_curve

from lmlab.run_folder import RunFolder

STEPS = 10
# Without a balancing loss, which is a product of means over the tokens of a rank.
EXPERTS = [
    "model.ffn=moe", "model.ffn.num_experts=4", "model.ffn.bias_update_rate=0.01",
    "model.ffn.balance_coefficient=0", "model.ffn.z_loss_coefficient=0.001",
    f"training.steps={STEPS}",
]  # fmt: skip


def biases(run: RunFolder) -> dict[str, torch.Tensor]:
    file = run.checkpoints / f"step_{STEPS:08d}" / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    return {name: one for name, one in tensors.items() if name.endswith("selection_bias")}


@pytest.fixture(scope="module")
def single_experts(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run in one process."""
    root = tmp_path_factory.mktemp("experts")
    trained = Launcher(root)([*settings, *EXPERTS, f"output_root={root / 'outputs'}"], 1)
    assert trained.codes == [0]
    return trained.run


@pytest.mark.long
@pytest.mark.parametrize("parallel", ["ddp", "zero1", "fsdp"])
def test_two_ranks_train_and_balance_as_one_process(
    single_experts: RunFolder, settings: list[str], launch: Launcher, tmp_path: Path, parallel: str
) -> None:
    overrides = [*settings, *EXPERTS, f"output_root={tmp_path / 'outputs'}"]
    two = launch([*overrides, f"runtime.parallel={parallel}"], 2)
    assert two.codes == [0, 0], two.printed
    assert_same_curve(two.run, single_experts)
    wanted = biases(single_experts)
    assert len(wanted) == 2 and all(bool(one.any()) for one in wanted.values())
    for name, bias in biases(two.run).items():
        assert torch.equal(bias, wanted[name]), name
    for ours, theirs in zip(two.run.rows("train"), single_experts.rows("train"), strict=True):
        # Means over passes; the busiest expert of each half is not that of both.
        assert ours["terms/router_z"] == pytest.approx(theirs["terms/router_z"], rel=1e-3)
