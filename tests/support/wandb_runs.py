"""Short wandb sessions, what wandb keeps of them, and servers that answer in one way."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.tracking import RunInfo, Tracker, wandb_tracker

KEY = "0123456789abcdef" * 2 + "01234567"
ROWS = [
    {"kind": "validation", "step": 0, "tokens": 0, "seconds": 0.0, "loss": 7.0,
     "bits_per_byte": 2.5},
    {"kind": "train", "step": 10, "tokens": 320, "seconds": 1.5, "loss": 5.0, "lr": 1e-3},
]  # fmt: skip


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
