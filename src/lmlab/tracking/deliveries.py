"""Records of which trackers have received a run in its current state."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from lmlab.run_folder import RunFolder
from lmlab.storage.fields import read_fields
from lmlab.storage.io import hash_json, write_json

_CONTENT = ("metrics.jsonl", "samples.md", "notes.json", "config.yaml")


def record_delivery(run: RunFolder, logger: dict[str, Any]) -> None:
    """Record that a tracker has received all of a run.

    Args:
        run: the run folder.
        logger: the component of the tracker, as plain values.
    """
    write_json(_file(run), _records(run) | {hash_json(logger): _content(run)})


def is_delivered(run: RunFolder, logger: dict[str, Any]) -> bool:
    """Return whether a tracker has all of a run. wandb has it only if its files still exist."""
    if _records(run).get(hash_json(logger)) != _content(run):
        return False
    folder = run.wandb_folder()
    return "wandb" not in str(logger.get("_target_")) or folder is None or folder.is_dir()


def _records(run: RunFolder) -> dict[str, Any]:
    return read_fields(_file(run))


def _file(run: RunFolder) -> Path:
    return run.path / "tracked.json"


def _content(run: RunFolder) -> str:
    digest = hashlib.sha256(str(run.status().get("status")).encode())
    for name in _CONTENT:
        with contextlib.suppress(FileNotFoundError):
            digest.update((run.path / name).read_bytes())
    return digest.hexdigest()
