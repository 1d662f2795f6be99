"""The settings of an arm that identify its sweep: those that may not change between launches."""

from __future__ import annotations

from typing import Any

from lmlab.config.deprecated_keys import original_names
from lmlab.config.run_length import without_budgets

# Settings of an arm that change no result.
_RECORDED = ("notes", "tags", "purpose", "callbacks", "reuse_across_code", "ladder")


def identifying_settings(arm: dict[str, Any]) -> dict[str, Any]:
    """Return an arm's configuration without what may change between launches of one sweep.

    Settings that are newer than the files of a sweep and have their default are left out as well,
    and classes have the names that they had first.
    """
    kept = {key: value for key, value in original_names(arm).items() if key not in _RECORDED}
    if isinstance(kept.get("scale"), dict):  # the rungs of a ladder are declared with it
        kept["scale"] = {k: v for k, v in kept["scale"].items() if not k.startswith("ladder_")}
    if isinstance(kept.get("training"), dict):
        kept["training"] = without_budgets(kept["training"])
        kept["training"].pop("diagnose_every", None)
    tokenizer = kept.get("tokenizer")
    if isinstance(tokenizer, dict) and tokenizer.get("end_of_text", "") is None:
        kept["tokenizer"] = {k: v for k, v in tokenizer.items() if k != "end_of_text"}
    tracker = kept.get("logger")
    if isinstance(tracker, dict):
        kept["logger"] = _of_tracker(tracker)
    return kept


def _of_tracker(node: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a tracker, or of each of several, without most of those that depend
    on the environment of the launch.
    """
    if "_target_" not in node:
        return {k: _of_tracker(one) if isinstance(one, dict) else one for k, one in node.items()}
    return {key: node[key] for key in ("_target_", "project", "mode") if key in node}
