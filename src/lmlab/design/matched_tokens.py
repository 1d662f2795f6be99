"""Arms that process as many tokens as the baseline, for ``design.hold_tokens``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from lmlab.config.run_length import BUDGETS, require_known_steps


def match_tokens(content: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """Return an arm's configuration with steps set to process as many tokens as the baseline.

    Warm-up and the intervals of logging, validation and saving keep their tokens too.

    Raises:
        ConfigError: the steps of one are not known yet.
    """
    for one in (content, baseline):
        require_known_steps(one, "with design.hold_tokens=true, which sets the steps")
    changed = copy.deepcopy(content)
    changed["training"] |= dict.fromkeys(changed["training"].keys() & set(BUDGETS))
    ratio = _tokens_per_step(baseline) / _tokens_per_step(content)
    for section, key in _SETTINGS_IN_STEPS:
        value = baseline[section].get(key)
        if value is not None and key in changed[section]:
            changed[section][key] = max(0 if key == "warmup_steps" else 1, round(value * ratio))
    return changed


_SETTINGS_IN_STEPS: Sequence[tuple[str, str]] = (
    ("training", "steps"),
    ("training", "log_every"),
    ("schedule", "warmup_steps"),
    ("validation", "every_steps"),
    ("checkpoint", "every_steps"),
)


def _tokens_per_step(content: dict[str, Any]) -> int:
    return int(content["training"]["batch_size"]) * int(content["model"]["context_length"])
