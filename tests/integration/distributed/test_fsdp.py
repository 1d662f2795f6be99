"""Ranks that shard weights, gradients and optimizer state train and save as one process does."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import safetensors.torch
from launching import (
    STEPS,
    Launcher,
    Trained,
    assert_same_curve,
    at_step,
    break_down,
    last_weights,
    num_elements_per_rank,
    print_num_elements,
    signal_at,
)
from processors import needs_bf16

from lmlab.config.compose import compose
from lmlab.errors import ConfigError, LostRankError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute

FSDP = "runtime.parallel=fsdp"


def shapes(run: RunFolder) -> dict[str, list[int]]:
    """Return the shape of each tensor of the last checkpoint."""
    folder = run.checkpoints / f"step_{STEPS:08d}"
    return {
        name: list(tensor.shape)
        for file in ("model", "training")
        for name, tensor in safetensors.torch.load_file(folder / f"{file}.safetensors").items()
    }


@pytest.fixture(scope="module")
def sharded(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run on two ranks that shard the model and generate a sample."""
    root = tmp_path_factory.mktemp("sharded")
    overrides = [*settings, FSDP, f"output_root={root / 'outputs'}", "samples.count=1"]
    return Launcher(root)(overrides, 2, dict.fromkeys((0, 1), print_num_elements))


def test_the_loss_curve_is_that_of_one_process(sharded: Trained, single: RunFolder) -> None:
    assert sharded.codes == [0, 0]
    assert sharded.errors == []
    assert_same_curve(sharded.run, single)
    assert [row["step"] for row in sharded.run.rows("diagnostics")] == [25, STEPS]
    assert sharded.run.meta()["identity"] == single.meta()["identity"]
    assert sharded.run.meta()["sessions"][0]["parallel"] == "fsdp"
    for key in ("grad_norm", "weight_norm"):
        ours, theirs = ([row[key] for row in one.rows("train")] for one in (sharded.run, single))
        assert ours == pytest.approx(theirs, abs=1e-3), "those of the full model"
    assert "# Samples at step 50" in sharded.run.samples.read_text()


def test_the_checkpoint_has_the_layout_of_one_process(
    sharded: Trained, single: RunFolder
) -> None:  # fmt: skip
    assert shapes(sharded.run) == shapes(single)
    weights = [safetensors.torch.load(last_weights(run)) for run in (sharded.run, single)]
    for name, tensor in weights[0].items():
        assert (tensor - weights[1][name]).abs().max() < 1e-4, name


def test_each_rank_stores_about_half_of_everything(
    sharded: Trained, settings, launch: Launcher, tmp_path: Path
) -> None:  # fmt: skip
    overrides = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=2"]
    full, same = num_elements_per_rank(
        launch(overrides, 2, dict.fromkeys((0, 1), print_num_elements))
    )
    assert full == same, "without fsdp, each stores everything"
    parts = num_elements_per_rank(sharded)
    assert len(parts) == 2
    for part in parts:
        for ours, theirs in zip(part, full, strict=True):
            assert 0.4 * theirs < ours < 0.6 * theirs


@pytest.mark.long
@pytest.mark.parametrize(
    "overrides",
    [
        ["runtime.policy=fast", "optim=sgd", "model.tie_embeddings=false"],
        [
            "model.param=completep",
            "model.param.base_d_model=4",
            "model.param.base_num_layers=1",
            "model.norm=dyt",
        ],
        [
            "optim=lion",
            "model.pos=alibi",
            "optim.lr=3e-5",
            "model.embedding=value",
            "model.embedding.num_tables=1",
            "model.residual=x0",
            "model.head=zloss",
            "model.head.coefficient=0.1",
        ],
        [
            "optim=schedule_free_adamw",
            "schedule=constant",
            "model.attention=mla",
            "model.attention.q_lora_rank=4",
        ],
    ],
    ids=str,
)
def test_other_policies_and_optimizers_work(
    settings, launch: Launcher, tmp_path: Path, overrides: list[str]
) -> None:  # fmt: skip
    overrides = [*settings, *overrides]
    one = execute(compose([*overrides, f"output_root={tmp_path / 'one'}"])).run
    two = launch([*overrides, FSDP, f"output_root={tmp_path / 'two'}"], 2)
    assert two.codes == [0, 0]
    assert_same_curve(two.run, one)


@pytest.fixture(scope="module")
def killed_sharded(
    settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Trained:  # fmt: skip
    """The run on two ranks that shard the model; one is killed during the 24th update."""
    root = tmp_path_factory.mktemp("killed_sharded")
    kill = {1: signal_at(23, signal.SIGKILL)}
    return Launcher(root)([*settings, FSDP, f"output_root={root / 'outputs'}"], 2, kill)


def test_a_killed_rank_ends_all_ranks_with_one_error(killed_sharded: Trained) -> None:
    assert killed_sharded.codes == [LostRankError.exit_code, -signal.SIGKILL]
    (error,) = killed_sharded.errors
    assert re.search(r"rank 1 of 2 \(process \d+ on .*\) exited without reporting an error", error)
    assert killed_sharded.run.status()["status"] == "failed"
    assert "Traceback" not in killed_sharded.printed


@pytest.mark.long
@pytest.mark.parametrize(("size", "how"), [(2, "fsdp"), (4, "ddp"), (1, "none"), (2, "zero1")])
def test_a_killed_run_resumes_under_any_strategy(
    killed_sharded: Trained, sharded: Trained, resume, size: int, how: str
) -> None:
    resumed = resume(killed_sharded, size, how)
    if how == "fsdp":
        assert last_weights(resumed) == last_weights(sharded.run), "bit-identical"


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 4])
def test_an_unsharded_run_resumes_sharded(killed: Trained, resume, size: int) -> None:
    resumed = resume(killed, size, "fsdp")
    assert resumed.meta()["sessions"][-1]["ranks"] == size


@pytest.mark.long
def test_a_signal_stops_all_ranks(
    settings, sharded: Trained, launch: Launcher, tmp_path: Path
) -> None:
    overrides = [*settings, FSDP, f"output_root={tmp_path / 'outputs'}"]
    stopped = launch(overrides, 2, {1: signal_at(12, signal.SIGUSR2)})
    assert stopped.codes == [128 + signal.SIGUSR2] * 2
    assert stopped.run.status()["step"] == 13
    resumed = launch(overrides, 2)
    assert last_weights(resumed.run) == last_weights(sharded.run)


def break_at_seven() -> None:
    at_step(7, break_down)


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.long)])
def test_a_bug_ends_all_ranks_and_is_recorded_with_its_traceback(
    settings, launch: Launcher, tmp_path: Path, rank: int
) -> None:
    overrides = [*settings, FSDP, f"output_root={tmp_path / 'outputs'}"]
    trained = launch(overrides, 2, {rank: break_at_seven})
    # Torch keeps the connections open: if rank 0 fails, they close only with its store.
    assert trained.codes in ([1, 1], [1, LostRankError.exit_code]), trained.printed
    assert trained.printed.count("RuntimeError: a bug\n") == 1
    assert "RuntimeError: a bug\n" in trained.run.status()["reason"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["optim=muon"],
            r"optim\._target_=.*\.MuonAdamW: expected an optimizer that updates shards",
        ),
        pytest.param(
            ["runtime.policy=bf16"],
            r"runtime\.policy=bf16: expected fast or exact with runtime\.parallel=fsdp",
            marks=needs_bf16,
        ),
        (
            ["runtime.compile=true"],
            r"runtime\.compile=true: expected false with runtime\.parallel=fsdp",
        ),
    ],
)
def test_what_cannot_be_sharded_is_refused(
    settings, tmp_path: Path, overrides: list[str], message: str
) -> None:  # fmt: skip
    with pytest.raises(ConfigError, match=message) as error:
        execute(compose([*settings, *overrides, FSDP, f"output_root={tmp_path}"]))
    assert "\nhelp: set runtime.parallel=zero1, which shards" in str(error.value)
