"""The paths of configuration files."""

from __future__ import annotations

import os
from pathlib import Path


def conf_folder() -> Path:
    """Return the folder of ``train.yaml``: installed, or beside ``src/`` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def user_settings_file() -> Path:
    """Return the file of the user's own settings, outside any project."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "lmlab" / "config.yaml"
