from __future__ import annotations

import dataclasses
import subprocess
import sys
import time

import pytest
import torch.distributed as dist

from lmlab.distributed import peers as module
from lmlab.distributed.peers import Peers, RankProcess
from lmlab.errors import LostRankError, RankError
from lmlab.storage.process_identity import process_start_time

ME = RankProcess.current()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXIT_SECONDS", 0.2)


@pytest.fixture
def exited() -> RankProcess:
    """A process of this machine that has exited."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start_time(process.pid)
    process.communicate(b"\n")
    return dataclasses.replace(ME, pid=process.pid, started=started)


def make_peers(*processes: RankProcess) -> list[Peers]:
    store = dist.HashStore()
    return [Peers(store, rank, list(processes)) for rank in range(len(processes))]


def test_a_live_and_an_exited_process_are_told_apart(exited: RankProcess) -> None:
    assert not ME.has_exited()
    assert exited.has_exited()
    assert dataclasses.replace(ME, started="1").has_exited(), "a later process with this id"
    assert not dataclasses.replace(exited, host="elsewhere").has_exited(), "unknown from here"


def test_ranks_share_cores_only_on_the_same_host() -> None:
    def process(host: str, *cores: int) -> RankProcess:
        return RankProcess(host, 1, None, frozenset(cores))

    ranks = make_peers(
        process("a", 0, 1), process("a", 1, 2), process("a", 3), process("b", 0, 1, 2, 3)
    )
    assert [peer.on_this_host() for peer in ranks] == [[0, 1, 2]] * 3 + [[3]]
    assert [peer.num_sharing_cores() for peer in ranks] == [2, 2, 1, 1]


def test_the_first_failure_is_the_one_that_others_report() -> None:
    first, second, third = make_peers(ME, ME, ME)
    assert not third.has_failure()
    second.report_failure("a=1: expected 2")
    first.report_failure("another")
    assert third.has_failure() and third.any_has_exited()
    error = third.lost_rank_error()
    assert type(error) is RankError, "the rank failed with an error of its own"
    assert error.message == "rank 1 failed: a=1: expected 2"
    assert error.help is not None and error.help.startswith("rerun the command to resume")


def test_a_killed_rank_is_named(exited: RankProcess) -> None:
    first, _ = make_peers(ME, exited)
    assert first.any_has_exited()
    error = first.lost_rank_error()
    assert isinstance(error, LostRankError)
    assert f"rank 1 of 2 (process {exited.pid} on {ME.host}) exited without" in error.message


def test_a_failure_caused_by_a_killed_rank_counts_as_a_lost_rank(exited: RankProcess) -> None:
    first, _, third = make_peers(ME, exited, ME)
    first.report_failure(first.lost_rank_error().message)
    error = third.lost_rank_error()
    assert isinstance(error, LostRankError)
    assert error.message.startswith("rank 0 failed: rank 1 of 3")


def test_an_unreachable_rank_on_another_host_is_reported_without_a_name() -> None:
    first, _ = make_peers(ME, dataclasses.replace(ME, host="elsewhere"))
    assert not first.any_has_exited()
    error = first.lost_rank_error()
    assert isinstance(error, LostRankError)
    assert error.message == "a rank of this run can no longer be reached"


def test_one_rank_reports() -> None:
    assert [peer.claim_report() for peer in make_peers(ME, ME, ME)] == [True, False, False]


def test_rank_0_leaves_when_all_others_have_left_or_exited(exited: RankProcess) -> None:
    first, second, _ = make_peers(ME, ME, exited)
    second.leave(60)  # at once
    started = time.monotonic()
    first.leave(60)
    assert time.monotonic() - started < 30


def test_rank_0_does_not_wait_longer_than_it_is_told() -> None:
    first, _ = make_peers(ME, ME)
    started = time.monotonic()
    first.leave(0.2)
    assert 0.2 <= time.monotonic() - started < 30
