"""Ranks that shard the optimizer state store a shard each, and nothing else differs."""

from __future__ import annotations

import functools
import signal
from pathlib import Path

import pytest
from launching import (
    STEPS,
    Launcher,
    Trained,
    assert_same_curve,
    last_weights,
    num_elements_per_rank,
    print_num_elements,
    signal_at,
)

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.distributed.communicator import Communicator
from lmlab.preflight.forecast import costs_of
from lmlab.run_folder import RunFolder
from lmlab.runs import auto_settings

ZERO = "runtime.parallel=zero1"


def saved(run: RunFolder) -> tuple[bytes, bytes]:
    """Return the files of the last checkpoint: weights and training state."""
    folder = run.checkpoints / f"step_{STEPS:08d}"
    weights, training = (
        (folder / f"{name}.safetensors").read_bytes() for name in ("model", "training")
    )
    return weights, training


@pytest.fixture(scope="module")
def sharded(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run on two ranks that shard the optimizer state."""
    root = tmp_path_factory.mktemp("sharded")
    overrides = [*settings, ZERO, f"output_root={root / 'outputs'}"]
    return Launcher(root)(overrides, 2, dict.fromkeys((0, 1), print_num_elements))


def test_the_checkpoint_is_that_of_unsharded_ranks(
    sharded: Trained, two: Trained, single: RunFolder
) -> None:  # fmt: skip
    assert sharded.codes == [0, 0]
    assert_same_curve(sharded.run, single)
    assert saved(sharded.run) == saved(two.run), "bit-identical, the optimizer state too"
    assert sharded.run.meta()["identity"] == single.meta()["identity"]
    session = sharded.run.meta()["sessions"][0]
    assert (session["ranks"], session["parallel"]) == (2, "zero1")
    ours, theirs = (
        [(row["grad_norm"], row["weight_norm"]) for row in one.run.rows("train")]
        for one in (sharded, two)
    )
    assert ours == theirs, "clipping uses the norm of all gradients"


def test_each_rank_stores_about_half_of_the_state(
    sharded: Trained, settings, launch: Launcher, tmp_path: Path
) -> None:  # fmt: skip
    overrides = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=2"]
    full, same = num_elements_per_rank(
        launch(overrides, 2, dict.fromkeys((0, 1), print_num_elements))
    )
    assert full == same, "without zero1, each stores everything"
    weights, _, moments = full
    parts = num_elements_per_rank(sharded)
    assert [part[0] for part in parts] == [weights, weights]
    assert sum(part[2] for part in parts) == moments
    assert max(part[2] for part in parts) < 0.6 * moments


@pytest.mark.long
def test_muon_assigns_whole_matrices_to_ranks(settings, launch: Launcher, tmp_path: Path) -> None:
    overrides = [*settings, "optim=muon", "training.steps=20", "checkpoint.keep_last=9"]
    weights = []
    for how in ("ddp", "zero1"):
        where = tmp_path / how
        trained = launch([*overrides, f"output_root={where}", f"runtime.parallel={how}"], 2)
        assert trained.codes == [0, 0]
        folder = trained.run.checkpoints / "step_00000020"
        weights.append([path.read_bytes() for path in sorted(folder.glob("*.safetensors"))])
    assert weights[0] == weights[1]


@pytest.mark.long
@pytest.mark.parametrize(
    "chosen",
    [
        ["optim=schedule_free_adamw", "optim.lr=0.01"],
        ["optim=soap", "optim.lr=0.01"],
        ["optim=muon", "optim.groups=[{kind: embedding, optimizer: schedule_free_adamw}]"],
    ],
    ids=["schedule_free", "soap", "groups"],
)
def test_state_of_other_shapes_and_weights_to_evaluate_are_those_of_whole_optimizers(
    settings, launch: Launcher, tmp_path: Path, chosen: list[str]
) -> None:
    overrides = [
        *settings, *chosen, "training.steps=20", "checkpoint.keep_last=9",
        "samples.count=1",
    ]  # fmt: skip
    found = []
    for how in ("ddp", "zero1"):
        where = tmp_path / how
        trained = launch([*overrides, f"output_root={where}", f"runtime.parallel={how}"], 2)
        assert trained.codes == [0, 0], trained.printed
        files = sorted(trained.run.checkpoints.rglob("*.safetensors"))
        losses = [row["loss"] for row in trained.run.rows("validation")]
        found.append((losses, [path.read_bytes() for path in files]))
    assert found[0] == found[1]


@pytest.mark.parametrize(("size", "how"), [(2, "zero1"), (4, "ddp"), (1, "none"), (1, "zero1")])
def test_a_killed_run_resumes_under_any_strategy(
    killed_sharded: Trained, two: Trained, resume, size: int, how: str
) -> None:
    resumed = resume(killed_sharded, size, how)
    if size == 2:
        assert saved(resumed) == saved(two.run), "as an uninterrupted run"


@pytest.fixture(scope="module")
def killed_sharded(
    settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Trained:  # fmt: skip
    """The run on two ranks that shard the state; one is killed during the 24th update."""
    root = tmp_path_factory.mktemp("killed_sharded")
    kill = {1: signal_at(23, signal.SIGKILL)}
    return Launcher(root)([*settings, ZERO, f"output_root={root / 'outputs'}"], 2, kill)


@pytest.mark.long
@pytest.mark.parametrize("size", [2, 4])
def test_an_unsharded_run_resumes_sharded(killed: Trained, two: Trained, resume, size: int) -> None:
    resumed = resume(killed, size, "zero1")
    if size == 2:
        assert saved(resumed) == saved(two.run)


@pytest.mark.long
def test_a_signal_stops_all_ranks_after_a_save(
    settings, two: Trained, launch: Launcher, tmp_path: Path
) -> None:  # fmt: skip
    overrides = [*settings, ZERO, f"output_root={tmp_path / 'outputs'}"]
    stopped = launch(overrides, 2, {1: signal_at(12, signal.SIGUSR2)})
    assert stopped.codes == [128 + signal.SIGUSR2] * 2
    status = stopped.run.status()
    assert (status["status"], status["step"]) == ("preempted", 13)
    resumed = launch(overrides, 2)
    assert "at step 13" in resumed.run.log.read_text()
    assert last_weights(resumed.run) == last_weights(two.run)


def warn_at(step: int) -> None:
    """Make a SIGTERM at a step ask for a save, as in a Slurm job."""
    from lmlab.runtime.signals import EarlySignalHandler

    signal.signal(signal.SIGTERM, EarlySignalHandler(stops=False))
    signal_at(step, signal.SIGTERM)()


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_a_warning_to_one_rank_makes_all_ranks_save(
    settings, launch: Launcher, tmp_path: Path, rank: int
) -> None:  # fmt: skip
    overrides = [
        *settings, ZERO, f"output_root={tmp_path / 'outputs'}", "checkpoint.every_steps=40",
        "checkpoint.keep_last=9",
    ]  # fmt: skip
    other = functools.partial(warn_at, 10**9)
    prepare = {rank: functools.partial(warn_at, 12), 1 - rank: other}
    trained = launch(overrides, 2, prepare)
    assert trained.codes == [0, 0]
    steps = sorted(int(path.name[5:]) for path in trained.run.checkpoints.glob("step_*"))
    assert steps == [13, 40, 50]


def test_the_preflight_counts_the_shard_of_one_rank(settings) -> None:
    config = compose(settings)
    device = auto_settings.build_device(config)
    four = Communicator()
    four.size, four.parallel = 4, "zero1"
    full, part = (
        costs_of(resolve(config).workload, device),
        costs_of(resolve(config).workload, device, four),
    )
    assert full is not None
    assert part is not None
    assert part.memory.optimizer == pytest.approx(full.memory.optimizer / 4, abs=4)
    assert part.memory.parameters == full.memory.parameters
    assert part.memory.gradients == full.memory.gradients
    assert part.memory.saving == full.memory.saving, "rank 0 copies all"
    assert part.disk_most == full.disk_most


@pytest.mark.long
def test_groups_with_multipliers_are_sharded(
    settings, launch: Launcher, tmp_path: Path
) -> None:  # fmt: skip
    more = ["model.param=completep", "model.param.base_d_model=4", "model.param.base_num_layers=1",
            "optim=muon"]  # fmt: skip
    plain = launch([*settings, *more, f"output_root={tmp_path / 'plain'}"], 2)
    sharded = launch([*settings, *more, ZERO, f"output_root={tmp_path / 'sharded'}"], 2)
    assert sharded.codes == plain.codes == [0, 0]
    assert saved(sharded.run) == saved(plain.run)
