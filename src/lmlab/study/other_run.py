"""Whether a run folder holds the run that a study needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.config.deprecated_keys import upgrade
from lmlab.config.identity_settings import select_identity, unlike_recorded
from lmlab.run_folder import RunFolder
from lmlab.storage.plain_yaml import load_plain


def why_another(meta: Mapping[str, Any], run: RunFolder, content: dict[str, Any]) -> str:
    """Say why a run folder is not that of the configuration that a study needs.

    Args:
        meta: content of ``meta.json``; empty if it cannot be read.
        run: the folder.
        content: the configuration.

    Returns:
        The reason; empty if it is the run, as far as its records say.
    """
    identity, source = meta.get("identity"), "meta.json"
    recorded = identity.get("config") if isinstance(identity, dict) else None
    if not isinstance(recorded, dict):
        if identity or not run.rows("validation"):
            return ""  # not started, or the records of a program other than lmlab
        source = "config.yaml, since meta.json has no identity"
        try:
            recorded = select_identity(upgrade(load_plain(run.config.read_bytes())))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return (
                "meta.json and config.yaml cannot be read, so nothing says whose results they are"
            )
    different = unlike_recorded(recorded, content)
    if not different:
        return ""
    more = f", and {len(different) - 3} more" if len(different) > 3 else ""
    shown = f"{', '.join(different[:3])}{more}"
    return f"the folder holds another run (there -> needed): {shown}; by {source}"
