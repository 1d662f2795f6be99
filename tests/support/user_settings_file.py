"""The settings file of a user, in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest


def use_settings(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Use ``text`` as the user settings, and import Python modules from ``folder``."""
    file = folder / "settings" / "lmlab" / "config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "settings"))
    monkeypatch.syspath_prepend(str(folder))
