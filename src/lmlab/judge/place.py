"""Where ledgers are, and how they and their ideas may be called."""

from __future__ import annotations

import re
from pathlib import Path

from lmlab.errors import ConfigError, DataError
from lmlab.judge.ledger import LEDGER_FILE, Ledger
from lmlab.judge.stream import BASELINE_ARM

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
FOLDER = "judge"  # of ledgers, below the output root


def check_name(name: str) -> None:
    """Check the name of a ledger or an idea, which is that of a folder.

    Raises:
        ConfigError: it is not one, or it is reserved.
    """
    if not _NAME.fullmatch(name) or set(name) == {"."}:
        raise ConfigError(f"name={name}: expected 1 to 60 letters, digits and . _ -")
    if name == BASELINE_ARM:
        raise ConfigError(
            f"name={name}: expected another name: the first baseline has this one",
            "choose another name",
        )


def find_ledger(folder: Path | None, root: Path = Path("outputs")) -> Ledger:
    """Return the ledger of a folder; without one, the only ledger below ``root``.

    Raises:
        DataError: there is none, or there are several.
    """
    if folder is not None:
        return Ledger(folder)
    found = sorted(path.parent for path in (root / FOLDER).glob(f"*/{LEDGER_FILE}"))
    if not found:
        raise DataError(
            f"{root / FOLDER}: no ledger",
            "start one with python -m lmlab.judge start, or give ledger=FOLDER",
        )
    if len(found) > 1:
        raise DataError(
            f"{root / FOLDER}: expected one ledger, found {', '.join(one.name for one in found)}",
            f"give one of them, for example ledger={found[0]}",
        )
    return Ledger(found[0])
