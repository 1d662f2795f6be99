"""Ranks that divide the optimizer's state: each keeps its part, and nothing else is different."""

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
    kept_by_each,
    last_weights,
    signal_at,
    tell_what_is_kept,
)

from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.distributed.communicator import Communicator
from lmlab.distributed.zero1 import assign_owners
from lmlab.preflight.forecast import costs_of
from lmlab.run_folder import RunFolder
from lmlab.runs import auto_settings

ZERO = "runtime.parallel=zero1"


def saved(run: RunFolder) -> tuple[bytes, bytes]:
    """The files of the last checkpoint: weights, and what else training needs."""
    folder = run.checkpoints / f"step_{STEPS:08d}"
    weights, training = (
        (folder / f"{name}.safetensors").read_bytes() for name in ("model", "training")
    )
    return weights, training


@pytest.fixture(scope="module")
def divided(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run on two ranks that divide the state."""
    root = tmp_path_factory.mktemp("divided")
    words = [*settings, ZERO, f"output_root={root / 'outputs'}"]
    return Launcher(root)(words, 2, dict.fromkeys((0, 1), tell_what_is_kept))


def test_the_checkpoint_is_that_of_ranks_that_keep_the_whole(
    divided: Trained, two: Trained, alone: RunFolder
) -> None:  # fmt: skip
    assert divided.codes == [0, 0]
    assert_same_curve(divided.run, alone)
    assert saved(divided.run) == saved(two.run), "bit for bit, the optimizer's state too"
    assert divided.run.meta()["identity"] == alone.meta()["identity"]
    session = divided.run.meta()["sessions"][0]
    assert (session["ranks"], session["parallel"]) == (2, "zero1")
    ours, theirs = (
        [(row["grad_norm"], row["weight_norm"]) for row in one.run.rows("train")]
        for one in (divided, two)
    )
    assert ours == theirs, "clipping sees the norm of all gradients"


def test_each_rank_keeps_about_half(
    divided: Trained, settings, launch: Launcher, tmp_path: Path
) -> None:  # fmt: skip
    words = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=2"]
    whole, same = kept_by_each(launch(words, 2, dict.fromkeys((0, 1), tell_what_is_kept)))
    assert whole == same, "without it, each keeps all"
    weights, _, moments = whole
    parts = kept_by_each(divided)
    assert [part[0] for part in parts] == [weights, weights]
    assert sum(part[2] for part in parts) == moments
    assert max(part[2] for part in parts) < 0.6 * moments


def test_muon_divides_whole_matrices(settings, launch: Launcher, tmp_path: Path) -> None:
    words = [*settings, "optim=muon", "training.steps=20", "checkpoint.keep_last=9"]
    weights = []
    for how in ("ddp", "zero1"):
        where = tmp_path / how
        trained = launch([*words, f"output_root={where}", f"runtime.parallel={how}"], 2)
        assert trained.codes == [0, 0]
        folder = trained.run.checkpoints / "step_00000020"
        weights.append([path.read_bytes() for path in sorted(folder.glob("*.safetensors"))])
    assert weights[0] == weights[1]


@pytest.mark.parametrize(("size", "how"), [(2, "zero1"), (4, "ddp"), (1, "none"), (1, "zero1")])
def test_a_killed_run_goes_on_otherwise(
    killed_divided: Trained, two: Trained, resume, size: int, how: str
) -> None:
    resumed = resume(killed_divided, size, how)
    if size == 2:
        assert saved(resumed) == saved(two.run), "as if nothing had happened"


@pytest.fixture(scope="module")
def killed_divided(
    settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Trained:  # fmt: skip
    """The run on two ranks that divide the state, of which one is killed in the 24th update."""
    root = tmp_path_factory.mktemp("killed_divided")
    kill = {1: signal_at(23, signal.SIGKILL)}
    return Launcher(root)([*settings, ZERO, f"output_root={root / 'outputs'}"], 2, kill)


@pytest.mark.parametrize("size", [2, 4])
def test_a_run_of_whole_states_goes_on_divided(
    killed: Trained, two: Trained, resume, size: int
) -> None:
    resumed = resume(killed, size, "zero1")
    if size == 2:
        assert saved(resumed) == saved(two.run)


def test_a_signal_stops_and_saves_on_all_ranks(
    settings, two: Trained, launch: Launcher, tmp_path: Path
) -> None:  # fmt: skip
    words = [*settings, ZERO, f"output_root={tmp_path / 'outputs'}"]
    stopped = launch(words, 2, {1: signal_at(12, signal.SIGUSR2)})
    assert stopped.codes == [128 + signal.SIGUSR2] * 2
    status = stopped.run.status()
    assert (status["status"], status["step"]) == ("preempted", 13)
    resumed = launch(words, 2)
    assert "at step 13" in resumed.run.log.read_text()
    assert last_weights(resumed.run) == last_weights(two.run)


def warn_at(step: int) -> None:
    """Let SIGTERM, which comes at a step, ask for a save alone, as in a job of Slurm's."""
    from lmlab.runtime.signals import EarlySignalHandler

    signal.signal(signal.SIGTERM, EarlySignalHandler(stops=False))
    signal_at(step, signal.SIGTERM)()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_warning_to_one_rank_makes_all_save(
    settings, launch: Launcher, tmp_path: Path, rank: int
) -> None:  # fmt: skip
    words = [
        *settings, ZERO, f"output_root={tmp_path / 'outputs'}", "checkpoint.every_steps=40",
        "checkpoint.keep_last=9",
    ]  # fmt: skip
    other = functools.partial(warn_at, 10**9)
    prepare = {rank: functools.partial(warn_at, 12), 1 - rank: other}
    trained = launch(words, 2, prepare)
    assert trained.codes == [0, 0]
    steps = sorted(int(path.name[5:]) for path in trained.run.checkpoints.glob("step_*"))
    assert steps == [13, 40, 50]


def test_parameters_go_to_whoever_has_least() -> None:
    assert assign_owners([5, 9, 1, 4, 5], 2) == [1, 0, 1, 0, 1], "9 + 4 and 5 + 5 + 1"
    assert assign_owners([3, 3], 4) == [0, 1]
    assert assign_owners([3, 3], 1) == [0, 0]


def test_the_preflight_counts_one_ranks_part(settings) -> None:
    config = compose(settings)
    device = auto_settings.build_device(config)
    four = Communicator()
    four.size, four.parallel = 4, "zero1"
    whole, part = (
        costs_of(resolve(config).workload, device),
        costs_of(resolve(config).workload, device, four),
    )
    assert whole is not None
    assert part is not None
    assert part.memory.optimizer == pytest.approx(whole.memory.optimizer / 4, abs=4)
    assert part.memory.parameters == whole.memory.parameters
    assert part.memory.gradients == whole.memory.gradients
    assert part.memory.saving == whole.memory.saving, "rank 0 copies all"
    assert part.disk_most == whole.disk_most
