"""Several ranks train what one process trains, exit together, and resume in any number."""

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
from lmlab.train import main


def test_two_ranks_give_the_curve_of_one_process(two: Trained, single: RunFolder) -> None:
    assert two.codes == [0, 0]
    assert_same_curve(two.run, single)
    assert two.run.status()["tokens"] == single.status()["tokens"], "those of the full batch"
    assert two.run.meta()["identity"] == single.meta()["identity"], (
        "the number of ranks is not part of it"
    )
    sessions = [run.meta()["sessions"][0]["ranks"] for run in (single, two.run)]
    assert sessions == [1, 2]
    largest = max(
        abs(a["grad_norm"] - b["grad_norm"])
        for a, b in zip(two.run.rows("train"), single.rows("train"), strict=True)
    )
    assert largest < 1e-3, "clipping uses the norm of the full batch"
    assert last_weights(two.run) != last_weights(single), "two ranks really sum in another order"


def test_evaluation_over_ranks_has_the_sums_of_one_process(two: Trained, single: RunFolder) -> None:
    ours, theirs = (run.rows("validation")[0] for run in (two.run, single))
    for key in ("loss", "bits_per_byte", "num_tokens"):
        assert ours[key] == theirs[key], "before training, weights are bit-identical"


def test_only_rank_0_prints_and_writes(two: Trained, single: RunFolder) -> None:
    assert two.printed.count("done at step 50") == 1
    assert two.printed.count("step 50: validation loss") == 1
    files = {path.relative_to(two.run.path) for path in two.run.path.rglob("*")}
    expected = {path.relative_to(single.path) for path in single.path.rglob("*")}
    best = re.compile(r"checkpoints/best_\d+.*")
    assert {f for f in map(str, files) if not best.fullmatch(f)} == {
        f for f in map(str, expected) if not best.fullmatch(f)
    }


def test_a_killed_rank_ends_all_ranks_with_one_error(killed: Trained) -> None:
    assert killed.codes == [LostRankError.exit_code, -signal.SIGKILL]
    (error,) = killed.errors
    assert re.search(r"rank 1 of 2 \(process \d+ on .*\) exited without reporting an error", error)
    assert "\nhelp: rerun the command to resume from the last checkpoint" in killed.printed
    status = killed.run.status()
    assert status["status"] == "failed"
    assert "rank 1 of 2" in status["reason"]
    assert "Traceback" not in killed.printed


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_killed_run_resumes_with_any_number_of_ranks(
    killed: Trained, two: Trained, resume, size: int
) -> None:
    resumed = resume(killed, size, "auto")
    warnings = re.findall("saved on .* bit for bit", resumed.log.read_text())
    if size == 2:
        assert last_weights(resumed) == last_weights(two.run), "as an uninterrupted run"
        assert not warnings
    else:
        ranks = "1 rank" if size == 1 else "4 ranks"
        (warning,) = warnings
        assert warning.startswith(f"saved on 2 ranks and continues on {ranks}, which add gradients")
        assert [one["from_step"] for one in resumed.meta()["sessions"]] == [0, 20]


def test_another_rank_reports_that_rank_0_was_killed(
    settings, launch: Launcher, tmp_path: Path
) -> None:
    kill = {0: signal_at(12, signal.SIGKILL)}
    trained = launch([*settings, f"output_root={tmp_path / 'outputs'}"], 2, kill)
    assert trained.codes == [-signal.SIGKILL, LostRankError.exit_code]
    (error,) = trained.errors
    assert "rank 0 of 2" in error
    assert trained.run.status()["status"] == "interrupted"


@pytest.mark.parametrize(("rank", "reason"), [(1, "rank 1 failed: Traceback"), (0, "Traceback")])
def test_a_bug_in_one_rank_is_recorded_with_its_traceback(
    settings, launch: Launcher, tmp_path: Path, rank: int, reason: str
) -> None:
    prepare = {rank: functools.partial(at_step, 7, break_down)}
    trained = launch([*settings, f"output_root={tmp_path / 'outputs'}"], 2, prepare)
    assert trained.codes == [1, 1], trained.printed
    assert trained.printed.count("RuntimeError: a bug\n") == 1
    assert trained.errors == []
    status = trained.run.status()
    assert status["status"] == "failed"
    assert status["reason"].startswith(reason)
    assert "RuntimeError: a bug\n" in status["reason"]


@pytest.mark.long
def test_a_closed_process_group_is_garbage_collected() -> None:
    """Otherwise its connections stay open and the other ranks notice a failure late."""
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
    ("rank", "number", "expected"),
    [(1, signal.SIGTERM, "interrupted"), (0, signal.SIGUSR2, "preempted")],
)
def test_a_signal_to_any_rank_stops_all_at_the_same_step(
    settings, launch: Launcher, tmp_path: Path, rank: int, number: signal.Signals, expected: str
) -> None:
    where = f"output_root={tmp_path / 'outputs'}"
    trained = launch([*settings, where], 2, {rank: signal_at(12, number)})
    assert trained.codes == [128 + number] * 2
    status = trained.run.status()
    assert (status["status"], status["step"]) == (expected, 13)
    assert trained.errors == []


def test_all_ranks_end_when_the_run_diverges(settings, launch: Launcher, tmp_path: Path) -> None:
    wild = ["optim.lr=1e9", "training.grad_clip_norm=null"]
    trained = launch([*settings, *wild, f"output_root={tmp_path / 'outputs'}"], 2)
    assert trained.codes == [0, 0]
    assert trained.run.status()["status"] == "diverged"


def test_a_finished_run_is_passed_over_by_all(two: Trained, settings, launch: Launcher) -> None:
    root = two.run.path.parents[2]
    again = launch([*settings, f"output_root={root}"], 2)
    assert again.codes == [0, 0]
    assert again.printed.count("already complete; skipping") == 1


def test_a_group_of_one_process_changes_no_bit(settings, single: RunFolder, tmp_path: Path) -> None:
    one = execute(compose([*settings, f"output_root={tmp_path}", "runtime.parallel=ddp"])).run
    assert last_weights(one) == last_weights(single)
    assert losses(one) == losses(single)


def test_an_error_of_all_ranks_is_printed_once(settings, launch: Launcher, tmp_path: Path) -> None:
    trained = launch([*settings, f"output_root={tmp_path / 'outputs'}"], 3)
    assert 2 in trained.codes
    assert set(trained.codes) <= {1, 2}
    (error,) = trained.errors
    assert "training.batch_size=8: expected a multiple of 3 with 3 ranks" in error
    assert not trained.run.path.exists()


def test_what_needs_one_process_refuses_several(
    settings, monkeypatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    where = f"output_root={tmp_path}"
    with pytest.raises(
        ConfigError, match=r"runtime\.parallel=none: expected one .* 2 were started"
    ):
        execute(compose([*settings, where, "runtime.parallel=none"]))
    assert main([*settings, where, "-m", "optim.lr=0.001,0.01"]) == 2
    errors = capsys.readouterr().err
    assert "error: a multirun: expected one process, but torchrun or srun started 2" in errors
    assert "\nhelp: start it without torchrun" in errors
    assert list(tmp_path.iterdir()) == []


SLURM = {
    "SLURM_JOB_ID": "71", "SLURM_STEP_ID": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "gpu[07-08]",
}  # fmt: skip


def slurm_variables(rank: int, size: int) -> dict[str, str]:
    return SLURM | {
        "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_STEP_NUM_TASKS": str(size),
    }  # fmt: skip


def test_the_tasks_of_a_slurm_step_are_ranks(settings, launch: Launcher, tmp_path: Path) -> None:
    overrides = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=4"]
    trained = launch(overrides, 2, variables=slurm_variables)
    assert trained.codes == [0, 0]
    assert trained.run.meta()["sessions"][0]["ranks"] == 2


@pytest.mark.long
def test_torchrun_starts_ranks(settings, single: RunFolder, tmp_path: Path) -> None:
    overrides = [*settings, f"output_root={tmp_path / 'outputs'}", "training.steps=4"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m",
         "lmlab.train", *overrides],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done at step 4 of 4") == 1
