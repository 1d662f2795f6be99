"""Real wandb files, and servers that refuse, do not know the key, or never answer."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmlab.errors import ConfigError
from lmlab.tracking import RunInfo, Tracker, no_tracker, wandb_process, wandb_tracker
from lmlab.tracking.wandb_process import WandbTracker
from lmlab.tracking.wandb_server import find_key, find_problem

KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture(autouse=True)
def _no_users_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, settings or cache of the person who runs the tests is ever used."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def info(tmp_path: Path, **changes: Any) -> RunInfo:
    known = {
        "folder": tmp_path / "run", "name": "arm/seed0", "group": "study", "tags": ("toystories",),
        "config": {"model": {"d_model": 8}},
    }  # fmt: skip
    return RunInfo(**known | changes)


def start(tmp_path: Path, mode: str = "auto", **changes: Any) -> Tracker:
    return wandb_tracker(info(tmp_path, **changes), project="lmlab", mode=mode)


def offline_folders(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))


def inspect(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def history(folder: Path) -> list[dict[str, Any]]:
    """The logged rows, as wandb itself reads them back."""
    rows = []
    for line in inspect(folder).splitlines():
        record = json.loads(line)
        if record["type"] == "history":
            items = record["history"]["item"]
            if isinstance(items, dict):
                rows.append(items)
            else:
                keys = [".".join(item.get("nested_key", [])) or item["key"] for item in items]
                rows.append(dict(zip(keys, (i.get("value_json") for i in items), strict=True)))
    return rows


ROWS = [
    {"kind": "validation", "step": 0, "tokens": 0, "seconds": 0.0, "loss": 7.0,
     "bits_per_byte": 2.5},
    {"kind": "train", "step": 10, "tokens": 320, "seconds": 1.5, "loss": 5.0, "lr": 1e-3},
]  # fmt: skip


def test_rows_samples_and_summary_can_be_read_back(tmp_path: Path) -> None:
    tracker = start(tmp_path)
    assert isinstance(tracker, WandbTracker)
    for row in ROWS:
        tracker.log(row)
    tracker.samples([{"prompt": "Once", "text": " upon a time"}])
    tracker.summary({"loss": 4.5, "best_step": 10})
    tracker.finish(0)

    (folder,) = offline_folders(tmp_path)
    told = json.dumps(history(folder))
    for key in ("train/loss", "validation/loss", "validation/bits_per_byte", "by_tokens/train_loss",
                "by_seconds/validation_loss", "train/lr", "samples"):  # fmt: skip
        assert key in told, told
    summary = inspect(folder, "--summary")
    for part in ("final/loss", "4.5", "arm/seed0", "study", "toystories", '"d_model": 8'):
        assert part in summary + inspect(folder), part
    (table,) = folder.rglob("*.table.json")
    assert json.loads(table.read_text())["data"] == [["Once", " upon a time"]]
    axes = [json.loads(line) for line in inspect(folder).splitlines() if '"metric"' in line]
    told = json.dumps(axes)
    assert all(f'"{axis}"' in told for axis in ("step", "tokens", "seconds"))
    written = {path.name for path in tmp_path.iterdir()}
    assert "wandb" not in written, "files belong to the run folder"


def test_a_resumed_run_keeps_its_id(tmp_path: Path) -> None:
    for _ in range(2):
        tracker = start(tmp_path)
        tracker.log(ROWS[0])
        tracker.finish(0)
        time.sleep(1.1)  # the folders' names hold the second
    ids = {folder.name.rsplit("-", 1)[1] for folder in offline_folders(tmp_path)}
    assert len(offline_folders(tmp_path)) == 2
    assert len(ids) == 1


def test_no_key_means_offline_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(tmp_path).finish(0)
    assert len(offline_folders(tmp_path)) == 1
    assert [record for record in caplog.records if record.name.startswith("lmlab")] == []
    start(tmp_path, "online").finish(0)
    assert "no API key is set" in caplog.text


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers each question about the key in one way."""

    status, body = 401, b"{}"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments: object) -> None:
        pass


def serving(status: int, body: bytes) -> Iterator[str]:
    handler = type("Fixed", (Answer,), {"status": status, "body": body})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def black_hole() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def refusing() -> Iterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


SERVERS = {
    "bad key": (lambda: serving(401, b"{}"), "rejects the API key (HTTP 401)"),
    "unknown key": (lambda: serving(200, b'{"data": {"viewer": null}}'), "does not know"),
    "broken": (lambda: serving(500, b"oops"), "HTTP 500"),
    "no network": (refusing, "cannot be reached"),
    "black hole": (black_hole, "is not responding"),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_trouble_with_the_server_means_offline_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    make, told = SERVERS[kind]
    for url in make():
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", url)
        started = time.monotonic()
        tracker = start(tmp_path)
        tracker.log(ROWS[0])
        waited = time.monotonic() - started
        tracker.finish(0)
        ended = time.monotonic() - started
    print(f"{kind}: the run waited {waited:.2f} s at its start, {ended:.1f} s to the end")
    assert ended < 25, "it hangs"
    warnings = [record for record in caplog.records if record.name.startswith("lmlab")]
    assert len(warnings) == 1
    assert told in warnings[0].getMessage()
    assert KEY not in caplog.text
    (folder,) = offline_folders(tmp_path)
    assert "validation/loss" in json.dumps(history(folder))


def test_the_server_is_asked_about_the_key() -> None:
    for url in serving(200, b'{"data": {"viewer": {"id": "x"}}}'):
        assert find_problem(url, KEY) is None
    for url in serving(200, b"<html>log in to this hotel"):
        assert "is not a wandb server" in str(find_problem(url, KEY))


def test_a_server_of_nonsense_hurts_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for url in serving(200, b'{"data": {"viewer": {"id": "x"}}}'):  # and nothing else is right
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", url)
        tracker = start(tmp_path)
        tracker.log(ROWS[0])
        tracker.finish(0)
    # wandb's own service breaks down on such an answer, or gives up: which is its affair.
    assert len([record for record in caplog.records if record.name == "lmlab.tracking"]) == 1


def test_a_key_in_netrc_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine api.wandb.ai\n  login user\n  password {KEY}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert find_key("https://api.wandb.ai") == KEY
    assert find_key("https://elsewhere.example") is None


FAULTY = """
import time, types
def Table(**content): return None
def teardown(exit_code): pass
def setup(): return types.SimpleNamespace(settings=types.SimpleNamespace(base_url="http://x"))
def Settings(**settings): return None
class Run:
    def define_metric(self, *names, **settings): pass
    def log(self, row): {log}
    def finish(self, exit_code): {finish}
def init(**settings): {init}
"""


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ({"init": "raise RuntimeError('no service')"}, "cannot start (RuntimeError: no service)"),
        ({"log": "raise RuntimeError('gone')"}, "stopped (RuntimeError: gone)"),
        ({"log": "import os; os._exit(3)"}, "crashed"),
        ({"finish": "time.sleep(60)"}, "did not end in time"),
        ({"finish": "raise RuntimeError('late')"}, "crashed"),
    ],
)
def test_a_wandb_that_fails_ends_the_tracking_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    faults: dict[str, str],
    told: str,
) -> None:
    """A module in wandb's place that fails in one way; the run's side is the real one."""
    monkeypatch.setattr(wandb_process, "FINISH_SECONDS", 4.0)
    (tmp_path / "faulty").mkdir()
    code = FAULTY.format(**{"log": "pass", "finish": "pass", "init": "return Run()"} | faults)
    (tmp_path / "faulty" / "wandb.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "faulty")
    tracker = start(tmp_path)
    started = time.monotonic()
    for _ in range(3):
        tracker.log(ROWS[0])
    tracker.samples([])
    assert time.monotonic() - started < 1, "the run waits for nobody"
    tracker.finish(0)
    assert time.monotonic() - started < 20
    assert caplog.text.count(told) == 1
    assert len([record for record in caplog.records if record.name == "lmlab.tracking"]) == 1


@pytest.mark.parametrize("reason", ["the first update", "a long wait", "the end"])
def test_wandb_starts_behind_the_first_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Importing it takes a processor for a second, and the first update would wait that long."""
    monkeypatch.setattr(wandb_process, "START_SECONDS", 2.0 if reason == "a long wait" else 600.0)
    (tmp_path / "faulty").mkdir()
    code = f"open({str(tmp_path / 'imported')!r}, 'w').close()\n"
    code += FAULTY.format(log="pass", finish="pass", init="return Run()")
    (tmp_path / "faulty" / "wandb.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "faulty")
    tracker = start(tmp_path)
    tracker.log(ROWS[0])
    time.sleep(1)
    assert not (tmp_path / "imported").exists()
    if reason == "the end":
        tracker.finish(0)
        assert (tmp_path / "imported").exists()
        return
    if reason == "the first update":
        tracker.log(ROWS[1])
    deadline = time.monotonic() + 30
    while not (tmp_path / "imported").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    tracker.finish(0)


def test_a_killed_run_leaves_its_rows(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from lmlab.tracking import RunInfo, wandb_tracker; "
        "tracker = wandb_tracker(RunInfo(Path('run'), 'a', 'b', (), {}), project='p', mode='auto');"
        "tracker.log(dict(kind='train', step=3, tokens=1, seconds=1.0, loss=2.0));"
        "import time; time.sleep(0.5);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    assert killed.returncode == -9
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = offline_folders(tmp_path)
        if found and "train/loss" in json.dumps(history(found[0])):
            break
        time.sleep(0.5)
    else:
        pytest.fail("the row is not in wandb's file")


def test_an_unknown_mode_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"logger\.mode=sometimes: expected one of auto, online, offline"
    ):
        start(tmp_path, "sometimes")


def test_no_tracker_takes_everything(tmp_path: Path) -> None:
    tracker = no_tracker(info(tmp_path))
    tracker.log(ROWS[0])
    tracker.samples([])
    tracker.summary({})
    tracker.finish(0)
    assert not (tmp_path / "run").exists()
