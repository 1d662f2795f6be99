"""A unique name of a run, which does not depend on its names, its folder or its machine."""

from __future__ import annotations

import secrets
from pathlib import Path

from lmlab.storage.io import atomic_write_text


def run_token(path: Path) -> str:
    """Return the token in a file of a run folder; it is drawn once and kept by resumed sessions.

    The token is not a hash of the path: otherwise equal paths on two machines, or a run that
    replaces a pruned one, would share a run of a tracker.
    """
    if not path.exists():
        atomic_write_text(path, secrets.token_hex(8))
    return path.read_text("utf-8").strip()
