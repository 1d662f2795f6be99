"""Measure the time to a configuration error and of small commands, and what wandb adds to a run.

python benchmarks/startup.py
"""

from __future__ import annotations

import http.server
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def command_seconds(*arguments: str, code: int = 0, rounds: int = 7) -> list[float]:
    """Wall times of ``python -m lmlab.<arguments>``, which ends with ``code``, in seconds."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        command = [sys.executable, "-m", f"lmlab.{arguments[0]}", *arguments[1:]]
        done = subprocess.run(command, capture_output=True, text=True)
        seconds.append(time.perf_counter() - started)
        assert done.returncode == code, done.stderr
    return seconds


def print_times(name: str, seconds: list[float]) -> None:
    """Print the median and the longest of some wall times."""
    print(
        f"{name:<38} median {statistics.median(seconds):.2f} s, "
        f"longest {max(seconds):.2f} s of {len(seconds)}"
    )


class RejectingServer(http.server.BaseHTTPRequestHandler):
    """A wandb server that rejects every key."""

    def do_POST(self) -> None:
        """Answer 401."""
        self.send_error(401)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


def bad_key() -> Iterator[str]:
    """A server that answers 401."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RejectingServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def no_network() -> Iterator[str]:
    """A port on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def black_hole() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


SETTINGS = [
    "data.num_train_documents=200", "data.num_valid_documents=20", "model.vocab_size=400",
    "model.context_length=32", "model.d_model=16", "model.num_layers=1", "training.steps=5",
    "training.batch_size=2", "schedule.warmup_steps=1", "samples.max_new_tokens=4",
]  # fmt: skip


def run_seconds(logger: str, environment: dict[str, str], folder: Path) -> float:
    """Wall time of a run of five steps, in seconds."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    clean |= {"NETRC": str(folder / "none"), "HOME": str(folder)} | environment
    study = f"study=s{time.time_ns()}"
    command = [sys.executable, "-m", "lmlab.train", *SETTINGS, f"logger={logger}", study]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=clean)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    assert "done at step 5" in done.stdout
    return seconds


def main() -> None:
    """Measure and print."""
    for override in ("optim.lrr=1", "model.norm=pots", "model.d_model=130"):
        print_times(f"configuration error {override}", command_seconds("train", override, code=2))
    print_times("account model=gpt2_xl", command_seconds("account", "model=gpt2_xl", "memory=80GB"))
    servers: dict[str, Callable[[], Iterator[str]]] = {
        "bad key": bad_key, "no network": no_network, "black hole": black_hole,
    }  # fmt: skip
    key = "0123456789abcdef" * 2 + "01234567"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_seconds("none", {}, folder)  # fills the caches
        without = statistics.median(run_seconds("none", {}, folder) for _ in range(3))
        print(f"run of five steps, logger=none       {without:5.1f} s")
        offline = statistics.median(run_seconds("wandb", {}, folder) for _ in range(3))
        print(f"the same, wandb without a key        {offline:5.1f} s")
        for kind, serve in servers.items():
            for url in serve():
                environment = {"WANDB_API_KEY": key, "WANDB_BASE_URL": url}
                seconds = run_seconds("wandb", environment, folder)
                print(f"the same, wandb with {kind:<15} {seconds:5.1f} s")


if __name__ == "__main__":
    main()
