"""A tracker as a user writes it: a class in a trusted module, and an option of ``logger``."""

from __future__ import annotations

import hashlib
import json
import sys
import textwrap
from pathlib import Path

import pytest

from lmlab.config import user_settings


def module_name(source: str) -> str:
    """Return the name of the module of a tracker.

    Each source has its own, since lmlab reads the parameters of a target once per process.
    """
    return f"tracker_{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def add_tracker(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, **settings: str
) -> None:
    """Make a tracker available as ``logger=mine``.

    Args:
        folder: where the module and the option are written.
        monkeypatch: undoes the changes of the process.
        source: of the module, which has the class ``Tracker``.
        settings: of the option, with their defaults.
    """
    module = module_name(source)
    (folder / f"{module}.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, module, raising=False)
    (folder / "conf" / "logger").mkdir(parents=True)
    option = {"_target_": f"{module}.Tracker", **settings}
    (folder / "conf" / "logger" / "mine.yaml").write_text(json.dumps(option))
    trusted = {"trusted_packages": [module], "search_path": [str(folder / "conf")]}
    monkeypatch.setattr(user_settings, "_read", lambda: trusted)
