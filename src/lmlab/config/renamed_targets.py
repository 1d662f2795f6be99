"""Targets that moved to another module, and the names that identities are computed on.

A configuration may name a target by any path that was ever valid. :func:`resolve_targets` replaces
an old path by the current one; :func:`original_targets` is the inverse, so that moving a class
changes neither the identity of a run nor the id of a study.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

# Original path -> current path. After a second move, change the value; never change a key.
RENAMED_TARGETS = {
    "lmlab.exhibit.accounting.accounting": "lmlab_studies.earlier_write_up.accounting",
    "lmlab.exhibit.generation.generation_grid": "lmlab.demos.sampling_grid.generation_grid",
    "lmlab.exhibit.sgd.sgd_lr": "lmlab_studies.sgd_lr.sgd_lr",
    "lmlab.exhibit.tokenizers.tokenizer_study": "lmlab.demos.tokenizer_study.tokenizer_study",
    "lmlab.exhibit.unicode.unicode_text": "lmlab_studies.unicode.unicode_text",
    "lmlab.optim.schedule.constant": "lmlab.optim.lr_schedule.constant",
    "lmlab.optim.schedule.cosine": "lmlab.optim.lr_schedule.cosine",
    "lmlab.optim.schedule.linear": "lmlab.optim.lr_schedule.linear",
    "lmlab.optim.schedule.wsd": "lmlab.optim.lr_schedule.wsd",
    "lmlab.tokenizer.recipes.bpe": "lmlab.tokenizer.factories.bpe",
    "lmlab.tokenizer.recipes.byte_level": "lmlab.tokenizer.factories.byte_level",
    "lmlab.tokenizer.recipes.saved": "lmlab.tokenizer.factories.saved",
}
_ORIGINAL_TARGETS = {current: original for original, current in RENAMED_TARGETS.items()}


def resolve_targets(content: dict[str, Any]) -> dict[str, Any]:
    """Return ``content`` with the current path of every ``_target_``; warn of each old one."""
    for original, current in _renames_in(content, RENAMED_TARGETS).items():
        warn_renamed(original, current)
    renamed: dict[str, Any] = _replace_targets(content, RENAMED_TARGETS)
    return renamed


def original_targets(content: dict[str, Any]) -> dict[str, Any]:
    """Return ``content`` with the original path of every ``_target_``."""
    renamed: dict[str, Any] = _replace_targets(content, _ORIGINAL_TARGETS)
    return renamed


@functools.cache
def warn_renamed(old: str, new: str) -> None:
    """Log a warning that ``old`` is now called ``new``, once per process."""
    log.warning("%s was renamed to %s", old, new)


def _renames_in(value: Any, table: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if isinstance(value, dict):
        target = value.get("_target_")
        if isinstance(target, str) and target in table:
            found[target] = table[target]
        for inner in value.values():
            found |= _renames_in(inner, table)
    return found


def _replace_targets(value: Any, table: Mapping[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    replaced = {key: _replace_targets(inner, table) for key, inner in value.items()}
    if isinstance(value.get("_target_"), str):
        replaced["_target_"] = table.get(value["_target_"], value["_target_"])
    return replaced
