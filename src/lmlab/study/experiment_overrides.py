"""What an experiment file sets besides the study: overrides that a run by itself needs too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from lmlab.config.paths import conf_folder
from lmlab.config.user_settings import search_path
from lmlab.design.run_keys import typed_text

# What a file says of the study, which no run by itself has.
_OF_STUDY = ("defaults", "study", "design", "ladder", "demo", "hydra")


def experiment_overrides(name: str) -> list[str]:
    """Return the settings of an experiment file as overrides, without those of the study.

    Args:
        name: of the experiment.

    Returns:
        Options of groups first, then single settings; empty if there is no such file any more.
    """
    for folder in (conf_folder(), *search_path()):
        path = folder / "experiment" / f"{name}.yaml"
        if path.is_file():
            content = yaml.safe_load(path.read_text("utf-8")) or {}
            settings = {key: one for key, one in content.items() if key not in _OF_STUDY}
            return [*_groups(content.get("defaults") or []), *_flat(settings)]
    return []


def _groups(defaults: list[Any]) -> Iterator[str]:
    for entry in defaults:
        for key, option in entry.items() if isinstance(entry, Mapping) else ():
            group = str(key).removeprefix("override ").strip().lstrip("/")
            if group.partition("/")[0] not in _OF_STUDY:
                yield f"{group}={option}"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={typed_text(value)}"
