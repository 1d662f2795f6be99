"""The API key, and what a server says about it in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from wandb_runs import KEY, black_hole, refusing, serving

from lmlab.tracking import wandb_server
from lmlab.tracking.wandb_server import find_key, find_problem


@pytest.fixture(autouse=True)
def _no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of the user who runs the tests is read."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


def test_a_server_is_recognized_by_its_answer() -> None:
    for url in serving(200, b'{"data": {"viewer": {"id": "x"}}}'):
        assert find_problem(url, KEY) is None
    for url in serving(200, b"<html>log in to this hotel"):
        assert "is not a wandb server" in str(find_problem(url, KEY))


def test_a_key_in_netrc_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert find_key("https://api.wandb.ai") == KEY
    assert find_key("https://elsewhere.example") is None


def test_the_environment_s_key_comes_before_that_of_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai\n  login user\n  password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert find_key("https://api.wandb.ai") == KEY
    monkeypatch.delenv("WANDB_API_KEY")
    netrc.write_text("nonsense api.wandb.ai\n")
    assert find_key("https://api.wandb.ai") is None, "a damaged file holds no key"


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (401, b"{}", "rejects the API key (HTTP 401)"),
        (403, b"{}", "rejects the API key (HTTP 403)"),
        (500, b"oops", "returned an error (HTTP 500)"),
        (200, b'{"data": {"viewer": null}}', "does not know the API key"),
        (200, b'{"data": null}', "is not a wandb server"),
        (200, b"[]", "is not a wandb server"),
        (200, b"\xff", "is not a wandb server"),
    ],
)
def test_each_answer_has_its_explanation(status: int, body: bytes, problem: str) -> None:
    for url in serving(status, body):
        assert find_problem(url, KEY) == f"{url} {problem}"


def test_a_server_that_is_away_or_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in refusing():
        assert f"{url} cannot be reached" in str(find_problem(url, KEY))
    monkeypatch.setattr(wandb_server, "PROBE_SECONDS", 0.5)
    for url in black_hole():
        started = time.monotonic()
        assert find_problem(url, KEY) == f"{url} is not responding"
        assert time.monotonic() - started < 5
    assert find_problem("not a url", KEY) is not None
