"""A tracker as a user writes it: a class in a trusted module, and an option of ``logger``."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import pytest

from lmlab.config import user_settings

MODULE = "tracker_for_test"


def add_tracker(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, **settings: str
) -> None:
    """Make a tracker available as ``logger=mine``.

    Args:
        folder: where the module and the option are written.
        monkeypatch: undoes the changes of the process.
        source: of the module :data:`MODULE`, which has the class ``Tracker``.
        settings: of the option, with their defaults.
    """
    (folder / f"{MODULE}.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    (folder / "conf" / "logger").mkdir(parents=True)
    option = {"_target_": f"{MODULE}.Tracker", **settings}
    (folder / "conf" / "logger" / "mine.yaml").write_text(json.dumps(option))
    trusted = {"trusted_packages": [MODULE], "search_path": [str(folder / "conf")]}
    monkeypatch.setattr(user_settings, "_read", lambda: trusted)
