"""The part of a report about a plain sweep: which settings were swept, and the loss at each point.

The other reports compare declared arms; a plain sweep (``-m``) declares nothing, so its settings
are read off the overrides of its runs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from lmlab.study.run_records import RunRecord, Study

# Seeds are repetitions; the others do not change what is trained.
_NOT_SWEPT = re.compile(r"(arm|study|seed|seeds\..*|output_root|samples\..*|logger.*|hydra.*)$")


def build_sweep(study: Study) -> dict[str, Any]:
    """Return the swept settings and the result of every run of a plain sweep.

    Returns:
        ``keys``, the settings that differ between runs, in the order of the command line, and
        ``points``: for each run its arm, seed, ``values`` of the keys, status and final loss (None
        without one). Both are empty for a comparison of arms.
    """
    manifest = study.manifest
    if manifest is None or manifest.comparison is not None:
        return {"keys": [], "points": []}
    settings = [_settings(overrides) for overrides in manifest.overrides]
    keys = swept_keys(settings)
    points = []
    for record in study.records:
        number = record.job.number
        if number >= len(settings):  # a run alone, of the same folder
            continue
        values = [
            settings[number][key]
            if key in settings[number]
            else _configured(manifest.arms[number], key)
            for key in keys
        ]
        points.append(_point(record, values))
    return {"keys": keys, "points": points}


def swept_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings that differ between runs, in the order in which they occur."""
    keys = dict.fromkeys(key for one in settings for key in one if not _NOT_SWEPT.match(key))
    missing = object()
    return [
        key
        for key in keys
        if any(one.get(key, missing) != settings[0].get(key, missing) for one in settings[1:])
    ]


def _settings(overrides: Sequence[str]) -> dict[str, Any]:
    settings = {}
    for override in overrides:
        key, _, text = override.lstrip("+").partition("=")
        settings[key.replace("/", ".")] = _value(text)
    return settings


def _value(text: str) -> Any:
    """Parse a value as a number or a truth value; anything else stays as it was typed."""
    try:
        number = int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
        return number if math.isfinite(number) else text
    except ValueError:
        pass
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool) or value is None else text


def _configured(content: Mapping[str, Any], key: str) -> Any:
    """Return the configured value of a key that a run does not override."""
    value: Any = content
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if not isinstance(value, Mapping | list) else None


def _point(record: RunRecord, values: list[Any]) -> dict[str, Any]:
    return {
        "arm": record.job.arm,
        "seed": record.job.seed,
        "values": values,
        "status": record.state,
        "loss": record.outcome.loss,
    }
