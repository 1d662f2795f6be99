"""Several ranks train what one process trains, end together, and go on in any number."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_process import PRELOADED, rank_to_end

from lmlab.config.compose import compose, to_yaml
from lmlab.config.share import share_of
from lmlab.errors import ConfigError, LostRankError
from lmlab.ranks.world import World, read_world
from lmlab.run import execute
from lmlab.run_folder import RunFolder
from lmlab.train import main

Prepare = Callable[[], None]
STEPS = 50
MORE = [
    f"training.steps={STEPS}", "training.batch_size=8", "training.micro_batch_size=2",
    "training.log_every=1", "validation.batch_size=4", "checkpoint.keep_last=1",
    "samples.count=0",
]  # fmt: skip


@dataclasses.dataclass
class Trained:
    """What several ranks left: their exit codes, their folder, and all that they printed."""

    codes: list[int]
    run: RunFolder
    printed: str

    @property
    def errors(self) -> list[str]:
        return re.findall(r"^.*error: .*$", self.printed, flags=re.M)


class Launcher:
    """Starts ranks from a server that has torch imported already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)
        self.number = 0

    def __call__(
        self,
        overrides: list[str],
        size: int,
        prepare: dict[int, Prepare] | None = None,
        variables: Callable[[int, int], dict[str, str]] = lambda rank, size: {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "LOCAL_RANK": str(rank),
        },
    ) -> Trained:
        self.number += 1
        frozen = self.folder / f"frozen{self.number}.yaml"
        config = compose(overrides)
        frozen.write_text(to_yaml(config))
        log = self.folder / f"printed{self.number}.txt"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        ranks = [
            self.context.Process(
                target=rank_to_end,
                args=(
                    str(frozen),
                    variables(rank, size) | where,
                    str(log),
                    (prepare or {}).get(rank),
                ),
            )
            for rank in range(size)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(60)
            assert process.exitcode is not None, f"a rank hangs\n{log.read_text()}"
        run = RunFolder(Path(config.output_root) / config.study / config.arm / "seed0")
        codes = [process.exitcode or 0 for process in ranks]
        return Trained(codes, run, log.read_text())


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


def at_step(step: int, act: Callable[[], Any]) -> None:
    """Make this process act when it fetches the batch of update number ``step``."""
    from lmlab.data.batches import Batches

    fetch = Batches.batch

    def acting(self: Batches, number: int) -> Any:
        if number == step:
            act()
        return fetch(self, number)

    Batches.batch = acting  # type: ignore[method-assign]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def break_down() -> None:
    raise RuntimeError("a bug")


def signal_at(step: int, number: signal.Signals) -> Prepare:
    return functools.partial(at_step, step, functools.partial(send, number))


def losses(run: RunFolder) -> list[tuple[str, int, float]]:
    return [(row["kind"], row["step"], row["loss"]) for row in run.rows()]


def assert_same_curve(run: RunFolder, reference: RunFolder) -> None:
    assert run.status()["status"] == "done"
    ours, theirs = losses(run), losses(reference)
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert max(abs(a[2] - b[2]) for a, b in zip(ours, theirs, strict=True)) < 1e-4


def last_weights(run: RunFolder) -> bytes:
    return (run.checkpoints / f"step_{STEPS:08d}" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def settings(texts: tuple[Path, Path]) -> list[str]:
    """Of a run on a CPU that takes about a second."""
    return [
        "data=text", f"data.train={texts[0]}", f"data.valid={texts[1]}", "model.vocab_size=280",
        "model.context_length=16", "model.d_model=16", "model.num_layers=2", "model.num_heads=2",
        "schedule.warmup_steps=2", "validation.every_steps=10", "checkpoint.every_steps=5",
        "runtime.device=cpu", "runtime.threads=1", "logger=none", "arm=x",
        "runtime.preflight='off'", *MORE,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def alone(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run in one process."""
    root = tmp_path_factory.mktemp("alone")
    outcome = execute(compose([*settings, f"output_root={root}"]))
    assert outcome.exit_code == 0
    return outcome.run


@pytest.fixture(scope="module")
def two(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run on two ranks."""
    root = tmp_path_factory.mktemp("two")
    return Launcher(root)([*settings, f"output_root={root / 'outputs'}"], 2)


@pytest.fixture(scope="module")
def killed(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run on two ranks, of which the second is killed in its 24th update."""
    root = tmp_path_factory.mktemp("killed")
    kill = {1: signal_at(23, signal.SIGKILL)}
    return Launcher(root)([*settings, f"output_root={root / 'outputs'}"], 2, kill)


def test_two_ranks_give_the_curve_of_one_process(two: Trained, alone: RunFolder) -> None:
    assert two.codes == [0, 0]
    assert_same_curve(two.run, alone)
    assert two.run.status()["tokens"] == alone.status()["tokens"], "of the whole batch"
    assert two.run.meta()["identity"] == alone.meta()["identity"], "ranks are no part of it"
    sessions = [run.meta()["sessions"][0]["ranks"] for run in (alone, two.run)]
    assert sessions == [1, 2]
    largest = max(
        abs(a["grad_norm"] - b["grad_norm"])
        for a, b in zip(two.run.rows("train"), alone.rows("train"), strict=True)
    )
    assert largest < 1e-3, "clipping sees the whole batch's norm"
    assert last_weights(two.run) != last_weights(alone), "two ranks really summed otherwise"


def test_evaluation_over_ranks_has_the_sums_of_one_process(two: Trained, alone: RunFolder) -> None:
    ours, theirs = (run.rows("validation")[0] for run in (two.run, alone))
    for key in ("loss", "bits_per_byte", "num_tokens"):
        assert ours[key] == theirs[key], "before training, weights are equal bit for bit"


def test_only_rank_0_speaks_and_writes(two: Trained, alone: RunFolder) -> None:
    assert two.printed.count("done at step 50") == 1
    assert two.printed.count("step 50: validation loss") == 1
    files = {path.relative_to(two.run.path) for path in two.run.path.rglob("*")}
    expected = {path.relative_to(alone.path) for path in alone.path.rglob("*")}
    best = re.compile(r"checkpoints/best_\d+.*")
    assert {f for f in map(str, files) if not best.fullmatch(f)} == {
        f for f in map(str, expected) if not best.fullmatch(f)
    }


def test_a_killed_rank_ends_all_with_one_error(killed: Trained) -> None:
    assert killed.codes == [LostRankError.exit_code, -signal.SIGKILL]
    (error,) = killed.errors
    assert re.search(r"rank 1 of 2 \(process \d+ on .*\) ended without a word", error)
    assert "the same command goes on from the last checkpoint" in error
    status = killed.run.status()
    assert status["status"] == "failed"
    assert "rank 1 of 2" in status["reason"]
    assert "Traceback" not in killed.printed


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_killed_run_goes_on_with_any_number_of_ranks(
    killed: Trained, two: Trained, alone: RunFolder, settings: list[str], tmp_path: Path,
    launch: Launcher, size: int,
) -> None:  # fmt: skip
    shutil.copytree(killed.run.path.parents[2], tmp_path / "outputs")
    resumed = launch([*settings, f"output_root={tmp_path / 'outputs'}"], size)
    assert resumed.codes == [0] * size
    assert f"resuming {resumed.run.path} at step 20" in resumed.run.log.read_text()
    assert_same_curve(resumed.run, alone)
    if size == 2:
        assert last_weights(resumed.run) == last_weights(two.run), "as if nothing had happened"


def test_the_writer_killed_is_told_by_another(settings, launch: Launcher, tmp_path: Path) -> None:
    kill = {0: signal_at(12, signal.SIGKILL)}
    trained = launch([*settings, f"output_root={tmp_path / 'outputs'}"], 2, kill)
    assert trained.codes == [-signal.SIGKILL, LostRankError.exit_code]
    (error,) = trained.errors
    assert "rank 0 of 2" in error
    assert trained.run.status()["status"] == "interrupted"


@pytest.mark.parametrize(("rank", "told"), [(1, "rank 1 failed: Traceback"), (0, "Traceback")])
def test_a_bug_in_one_rank_is_kept_with_its_traceback(
    settings, launch: Launcher, tmp_path: Path, rank: int, told: str
) -> None:
    prepare = {rank: functools.partial(at_step, 7, break_down)}
    trained = launch([*settings, f"output_root={tmp_path / 'outputs'}"], 2, prepare)
    assert trained.codes == [1, 1]
    assert trained.printed.count("RuntimeError: a bug\n") == 1
    assert trained.errors == []
    status = trained.run.status()
    assert status["status"] == "failed"
    assert status["reason"].startswith(told)
    assert "RuntimeError: a bug\n" in status["reason"]


@pytest.mark.parametrize(
    ("rank", "number", "told"),
    [(1, signal.SIGTERM, "interrupted"), (0, signal.SIGUSR2, "preempted")],
)
def test_a_signal_to_any_rank_stops_all_at_one_step(
    settings, launch: Launcher, tmp_path: Path, rank: int, number: signal.Signals, told: str
) -> None:
    where = f"output_root={tmp_path / 'outputs'}"
    trained = launch([*settings, where], 2, {rank: signal_at(12, number)})
    assert trained.codes == [128 + number] * 2
    status = trained.run.status()
    assert (status["status"], status["step"]) == (told, 13)
    assert trained.errors == []


def test_divergence_is_decided_on_all_ranks(settings, launch: Launcher, tmp_path: Path) -> None:
    wild = ["optim.lr=1e9", "training.grad_clip_norm=null"]
    trained = launch([*settings, *wild, f"output_root={tmp_path / 'outputs'}"], 2)
    assert trained.codes == [0, 0]
    assert trained.run.status()["status"] == "diverged"


def test_a_finished_run_is_passed_over_by_all(two: Trained, settings, launch: Launcher) -> None:
    root = two.run.path.parents[2]
    again = launch([*settings, f"output_root={root}"], 2)
    assert again.codes == [0, 0]
    assert again.printed.count("finished before") == 1


def test_a_group_of_one_computes_what_no_group_does(
    settings, alone: RunFolder, tmp_path: Path
) -> None:
    one = execute(compose([*settings, f"output_root={tmp_path}", "runtime.parallel=ddp"])).run
    assert last_weights(one) == last_weights(alone)
    assert losses(one) == losses(alone)


def test_an_error_of_all_ranks_is_told_once(settings, launch: Launcher, tmp_path: Path) -> None:
    trained = launch([*settings, f"output_root={tmp_path / 'outputs'}"], 3)
    assert 2 in trained.codes
    assert set(trained.codes) <= {1, 2}
    (error,) = trained.errors
    assert "training.batch_size=8: accepted with 3 ranks is a multiple of 3, for example 9" in error
    assert not trained.run.path.exists()


@pytest.mark.parametrize(
    ("whole", "micro", "ranks", "told"),
    [
        (8, "null", 3, r"training\.batch_size=8: .* or start 2 ranks"),
        (2, "null", 4, r"multiple of 4, for example 4; or start 2 ranks"),
        (12, "4", 2, r"training\.micro_batch_size=4: .* the 6 sequences .* for example 3"),
    ],
)
def test_what_cannot_be_shared_equally_is_refused(
    settings, whole: int, micro: str, ranks: int, told: str
) -> None:
    sizes = [f"training.batch_size={whole}", f"training.micro_batch_size={micro}"]
    with pytest.raises(ConfigError, match=told):
        share_of(compose([*settings, *sizes]), ranks)


def test_more_ranks_than_micro_batches_take_smaller_ones(settings) -> None:
    sizes = ["training.batch_size=8", "training.micro_batch_size=4"]
    training = share_of(compose([*settings, *sizes]), 4).training
    assert (training.batch_size, training.micro_batch_size) == (2, 2)


def test_one_process_is_asked_for_where_several_were_started(
    settings, monkeypatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    where = f"output_root={tmp_path}"
    with pytest.raises(ConfigError, match=r"runtime\.parallel=none: 2 processes were started"):
        execute(compose([*settings, where, "runtime.parallel=none"]))
    assert main([*settings, where, "-m", "optim.lr=0.001,0.01"]) == 2
    told = capsys.readouterr().err
    assert "error: a multirun was started in 2 processes at once" in told
    assert "start it once, without torchrun" in told
    assert list(tmp_path.iterdir()) == []


SLURM = {
    "SLURM_JOB_ID": "71", "SLURM_STEP_ID": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "gpu[07-08]",
}  # fmt: skip


def slurm_variables(rank: int, size: int) -> dict[str, str]:
    return SLURM | {
        "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_STEP_NUM_TASKS": str(size),
    }  # fmt: skip


def test_tasks_of_slurm_are_ranks(settings, launch: Launcher, tmp_path: Path) -> None:
    words = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=4"]
    trained = launch(words, 2, variables=slurm_variables)
    assert trained.codes == [0, 0]
    assert trained.run.meta()["sessions"][0]["ranks"] == 2


class TestWorld:
    """What the variables of torchrun and Slurm say."""

    def test_nothing_was_started(self) -> None:
        assert read_world({}) == World(0, 1, 0, None)

    def test_torchrun_goes_before_slurm(self) -> None:
        found = read_world(SLURM | {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"})
        assert found == World(1, 2, 0, None)

    def test_tasks_of_a_slurm_step(self) -> None:
        found = read_world(SLURM)
        assert (found.rank, found.size, found.local_rank) == (3, 4, 1)
        assert found.address == ("gpu07", 15_000 + 31 * 71 + 2)

    def test_a_batch_script_is_one_process(self) -> None:
        script = {key: value for key, value in SLURM.items() if "STEP" not in key}
        assert read_world(script | {"SLURM_PROCID": "0"}).size == 1

    @pytest.mark.parametrize(
        ("nodes", "first"),
        [("a", "a"), ("a,b[1-2]", "a"), ("n[3,5-7],m", "n3"), ("r[1-2]-x", "r1-x")],
    )
    def test_the_first_host(self, nodes: str, first: str) -> None:
        found = read_world(SLURM | {"SLURM_STEP_NODELIST": nodes})
        assert found.address is not None
        assert found.address[0] == first

    def test_variables_that_contradict_each_other(self) -> None:
        with pytest.raises(ConfigError, match="ranks from 0 to 1"):
            read_world({"RANK": "2", "WORLD_SIZE": "2"})


def test_torchrun_starts_ranks(settings, alone: RunFolder, tmp_path: Path) -> None:
    words = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=4"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m",
         "lmlab.train", *words],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done at step 4 of 4") == 1
