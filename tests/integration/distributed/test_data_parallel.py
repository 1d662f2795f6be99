"""Several ranks train what one process trains, end together, and go on in any number."""

from __future__ import annotations

import functools
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launching import (
    Launcher,
    Trained,
    assert_same_curve,
    at_step,
    break_down,
    last_weights,
    losses,
    signal_at,
)

from lmlab.config.compose import compose
from lmlab.errors import ConfigError, LostRankError
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.runtime.launch_env import LaunchEnv, read_launch_env
from lmlab.train import main


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
    killed: Trained, two: Trained, resume, size: int
) -> None:
    resumed = resume(killed, size, "auto")
    if size == 2:
        assert last_weights(resumed) == last_weights(two.run), "as if nothing had happened"


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
    assert trained.codes == [1, 1], trained.printed
    assert trained.printed.count("RuntimeError: a bug\n") == 1
    assert trained.errors == []
    status = trained.run.status()
    assert status["status"] == "failed"
    assert status["reason"].startswith(told)
    assert "RuntimeError: a bug\n" in status["reason"]


def test_nothing_keeps_a_group_that_has_ended() -> None:
    """Else its connections stay open, and the others learn late that this rank has failed."""
    program = """
import gc, weakref
import torch, torch.distributed
from lmlab.distributed.process_group import join
from lmlab.runtime.launch_env import LaunchEnv
with join("ddp", LaunchEnv(0, 1, 0, None)):
    torch.use_deterministic_algorithms(True)  # imports torch's compiler
    group = weakref.ref(torch.distributed.group.WORLD)
gc.collect()
print(group() is None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


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
    assert again.printed.count("already complete; skipping") == 1


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
    assert "training.batch_size=8: expected a multiple of 3 with 3 ranks" in error
    assert not trained.run.path.exists()


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
        assert read_launch_env({}) == LaunchEnv(0, 1, 0, None)

    def test_torchrun_goes_before_slurm(self) -> None:
        found = read_launch_env(SLURM | {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"})
        assert found == LaunchEnv(1, 2, 0, None)

    def test_tasks_of_a_slurm_step(self) -> None:
        found = read_launch_env(SLURM)
        assert (found.rank, found.size, found.local_rank) == (3, 4, 1)
        assert found.address == ("gpu07", 15_000 + 31 * 71 + 2)

    def test_a_batch_script_is_one_process(self) -> None:
        script = {key: value for key, value in SLURM.items() if "STEP" not in key}
        assert read_launch_env(script | {"SLURM_PROCID": "0"}).size == 1

    @pytest.mark.parametrize(
        ("nodes", "first"),
        [("a", "a"), ("a,b[1-2]", "a"), ("n[3,5-7],m", "n3"), ("r[1-2]-x", "r1-x")],
    )
    def test_the_first_host(self, nodes: str, first: str) -> None:
        found = read_launch_env(SLURM | {"SLURM_STEP_NODELIST": nodes})
        assert found.address is not None
        assert found.address[0] == first

    def test_variables_that_contradict_each_other(self) -> None:
        with pytest.raises(ConfigError, match="ranks from 0 to 1"):
            read_launch_env({"RANK": "2", "WORLD_SIZE": "2"})


def test_torchrun_starts_ranks(settings, alone: RunFolder, tmp_path: Path) -> None:
    words = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=4"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m",
         "lmlab.train", *words],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done at step 4 of 4") == 1
