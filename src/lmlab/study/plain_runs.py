"""The runs of a plain sweep and runs alone: each run once, one configuration per arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmlab.design.run_keys import differing, typed_arm_settings, value_of
from lmlab.run_folder import flatten
from lmlab.storage.io import hash_json

if TYPE_CHECKING:
    from lmlab.study.run_records import RunRecord

_SHOWN_KEYS = 2


def settings_of_run(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that distinguish a run from others, from its identity; without seeds."""
    identity = dict(meta.get("identity") or {})
    if not isinstance(identity.get("config"), dict):
        return {}
    config = {key: value for key, value in identity.pop("config").items() if key != "seeds"}
    texts = {f"identity.{key}": value for key, value in flatten(identity)}
    return {key: _plain(value) for key, value in flatten(config)} | texts


def settings_of_job(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of a run that may not have started, from its configuration."""
    return {key: _plain(value) for key, value in typed_arm_settings(content).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def distinct(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return each run once: by its folder, and by its identity where it is known."""
    found: dict[tuple[str, float | None, str], RunRecord] = {}
    for record in records:
        identity = record.meta.get("identity")
        run = hash_json(identity) if identity else record.folder
        key = (record.job.arm, record.job.lr, run)
        known = found.get(key)
        if known is None:
            found[key] = record
        elif not known.outcome.is_final and record.outcome.is_final:
            found[key] = dataclasses.replace(record, job=known.job)
    return list(found.values())


def with_one_metric(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs, compared by bits per byte where their tokenizers differ.

    Losses per token of different tokenizers have no common unit.
    """
    tokenizers = {record.settings.get("identity.tokenizer") for record in records} - {None}
    has_bits = all("bits_per_byte" in row for one in records for row in one.validation)
    is_by_bits = any(record.metric == "bits_per_byte" for record in records)
    if not is_by_bits and (len(tokenizers) < 2 or not has_bits):
        return list(records)
    return [dataclasses.replace(record, metric="bits_per_byte") for record in records]


def separate_arms(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Rename arms so that no name stands for two configurations, which nothing may average.

    The first configuration keeps the name; others add the settings in which they differ from it.
    """
    configurations: dict[str, list[Mapping[str, Any]]] = {}
    named = []
    for record in records:
        known = configurations.setdefault(record.job.arm, [])
        if not any(_agree(settings, record.settings) for settings in known):
            known.append(record.settings)
        first = known[0]
        if not _agree(first, record.settings):
            name = f"{record.job.arm} ({_difference(first, record.settings)})"
            job = dataclasses.replace(record.job, arm=name)
            record = dataclasses.replace(record, job=job)
        named.append(record)
    return named


def _agree(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether two runs have the same settings, as far as both are known."""
    return all(left[key] == right[key] for key in left.keys() & right.keys())


def _difference(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    shared = first.keys() & other.keys()
    left, right = ({key: one[key] for key in one if key in shared} for one in (first, other))
    keys = differing(left, right)
    settings = [key for key in keys if not key.startswith("identity.")] or keys
    text = ", ".join(
        f"{key.removeprefix('identity.')}={value_of(right, key)[:20]}"
        for key in settings[:_SHOWN_KEYS]
    )
    return text + (", ..." if len(settings) > _SHOWN_KEYS else "")
