"""Compare a configuration with the identity that a run folder records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmlab.config.deprecated_keys import original_names
from lmlab.config.identity_settings import select_identity
from lmlab.run_folder import flatten
from lmlab.storage.json_text import dump_json, load_json


def unlike_recorded(recorded: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """List the settings that change the result and differ, one ``key: recorded -> here`` each.

    Args:
        recorded: ``config`` in the identity of a run, as this or an earlier version wrote it.
        config: a full configuration as plain values.
    """
    content = load_json(dump_json(config))
    there = dict(flatten(dict(recorded)))
    here = dict(flatten(select_identity(content)))
    as_typed = dict(flatten(original_names(content)))  # identities of earlier versions hold more
    return [
        f"{key}: {there.get(key)} -> {here.get(key, as_typed.get(key))}"
        for key in {**there, **here}
        if there.get(key) not in (here.get(key), as_typed.get(key))
    ]
