from __future__ import annotations

import pytest

from lmlab.errors import ConfigError, ReportedElsewhere
from lmlab.runtime import launch_env
from lmlab.runtime.launch_env import (
    LaunchEnv,
    print_error,
    read_launch_env,
    require_single_process,
)

SLURM = {
    "SLURM_JOB_ID": "71", "SLURM_STEP_ID": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "gpu[07-08]",
}  # fmt: skip
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}


def test_without_a_launcher_there_is_one_process() -> None:
    assert read_launch_env({}) == LaunchEnv(0, 1, 0, None)


def test_torchrun_takes_precedence_over_slurm() -> None:
    assert read_launch_env(SLURM | TORCHRUN) == LaunchEnv(1, 2, 0, None)


def test_the_tasks_of_a_slurm_step_are_ranks() -> None:
    env = read_launch_env(SLURM)
    assert (env.rank, env.size, env.local_rank) == (3, 4, 1)
    assert env.address == ("gpu07", 15_000 + 31 * 71 + 2)


def test_all_ranks_of_a_slurm_step_agree_on_the_address() -> None:
    tasks = [SLURM | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": "0"} for rank in range(4)]
    assert len({read_launch_env(task).address for task in tasks}) == 1
    other_step = read_launch_env(SLURM | {"SLURM_STEP_ID": "3"}).address
    assert other_step != read_launch_env(SLURM).address, "two steps on a node run side by side"
    chosen = SLURM | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "2222"}
    assert read_launch_env(chosen).address == ("10.0.0.1", 2222)


def test_a_batch_script_is_one_process() -> None:
    script = {key: value for key, value in SLURM.items() if "STEP" not in key}
    assert read_launch_env(script | {"SLURM_PROCID": "0"}).size == 1


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("a", "a"), ("a,b[1-2]", "a"), ("n[3,5-7],m", "n3"), ("r[1-2]-x", "r1-x")],
)
def test_the_first_host_is_read_from_a_node_list(nodes: str, first: str) -> None:
    env = read_launch_env(SLURM | {"SLURM_STEP_NODELIST": nodes})
    assert env.address is not None
    assert env.address[0] == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK": "2"}, r"^RANK=2: expected a rank from 0 to 1, since WORLD_SIZE=2\nhelp: unset"),
        ({"RANK": "x"}, r"^RANK=x: expected an integer of 0 or more"),
        ({"WORLD_SIZE": "-2"}, r"^WORLD_SIZE=-2: expected an integer of 0 or more"),
    ],
)
def test_invalid_variables_are_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_launch_env(TORCHRUN | changes)


@pytest.fixture
def set_rank(monkeypatch: pytest.MonkeyPatch):
    def set_variables(rank: int) -> None:
        for key, value in (TORCHRUN | {"RANK": str(rank)}).items():
            monkeypatch.setenv(key, value)

    return set_variables


def test_what_needs_one_process_refuses_several(set_rank) -> None:
    require_single_process("a multirun")
    set_rank(0)
    with pytest.raises(ConfigError, match=r"^a multirun: expected one process, .* started 2"):
        require_single_process("a multirun")


def test_rank_0_prints_an_error_and_the_others_wait_for_it(
    set_rank, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(launch_env.time, "sleep", waits.append)
    error = ConfigError("a=1: expected 2", "set a=2")
    set_rank(0)
    print_error(error)
    assert capsys.readouterr().err == "error: a=1: expected 2\nhelp: set a=2\n"
    assert waits == []
    set_rank(1)
    print_error(error)
    assert capsys.readouterr().err == "rank 1: error: a=1: expected 2\nhelp: set a=2\n"
    assert waits == [launch_env.RANK0_REPORT_SECONDS]
    print_error(ReportedElsewhere(error))
    assert capsys.readouterr().err == ""


def test_invalid_variables_do_not_hide_an_error(
    set_rank, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    print_error(ConfigError("a=1: expected 2"))
    assert capsys.readouterr().err == "error: a=1: expected 2\n"
