"""Where transformers keeps the code that comes with exported weights, during a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def keep_remote_code_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let transformers copy the code of exports to a folder, and import it from there alone.

    It never removes an earlier folder from the path of imports, where the files of an export would
    look for each other.
    """
    patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder))
    patch.setattr(
        sys, "path", [one for one in sys.path if not (Path(one) / "transformers_modules").is_dir()]
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        patch.delitem(sys.modules, name)
