"""Where the configuration files are."""

from __future__ import annotations

import os
from pathlib import Path


def conf_folder() -> Path:
    """The folder of ``train.yaml``: installed, or beside ``src/`` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def user_settings_file() -> Path:
    """The user's own settings of lmlab, outside any project."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "lmlab" / "config.yaml"
